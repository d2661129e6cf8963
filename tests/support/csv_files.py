"""CSV files that nobody would think of: hypothesis builds them of fields, rows and line ends."""

from collections.abc import Callable, Sequence

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

COLUMNS = ("product_code", "orders_placed", "hours_to_dispatch")
OTHERS = ("note", "day", "", "reason", "note", "product", "part")
SOUND = {
    "product_code": ["SKU001", "SKU002", "007", "1e5", "NA", "Schlüssel", "ß" * 200],
    "orders_placed": ["112", "7.5", "0", "1e3", " 4 ", "1000000", ".5", "7."],
    "hours_to_dispatch": ["8.28", "0", "100000", "0.1", "3e-1", "8.280000000000001"],
}
ODD_NUMBERS = (
    *("-1", "-0", "+5", "1e400", "1e-400", "inf", "nan", "True", "0x1f", "1_000", "1,5", "1.015,5"),
    *("1 000", "1\u2019000", "1\u00a0000", "١٢", "٢.٥", "\uff11\uff12", "1e", ".", "1 2", "=1+1"),
    *("\t5", "5\t", "5\u2003", "5\x1c", "5\x0b"),
)
ODD_TEXTS = (
    *("", " ", "\t", "\r", "\n\n", "a\nb", "a\r\nb", "SKU001,1,2\nSKU002,3,4", "call, please"),
    *('3.5" disk', '"', '""', 'a"b', '"x', 'x"', ' "x', "'q'", "#5", "x" * 201, "é" * 150),
    *("Schlu\u0308ssel", "\ufeffSKU001", "\u200b", "\u00a0SKU001", "SKU\x1c", "\x1fSKU"),
    *("SKU\x00", "\x0bSKU", "SKU\x85", "\u2028SKU"),
)
ODD = st.sampled_from([*ODD_NUMBERS, *ODD_TEXTS]) | st.text(max_size=6)
MISTAKES = ('"', '""', ",", ";", "\n", "\r", "\x00", "\x1c", " ", "\ufeff", "x" * 10**6)
ENDS = ("\n", "\r\n", "\r")
STYLES = ("plain", "quoted", "padded", "stray", "raw")
REPEATS = (1, 1, 1, 2, 5, 40, 300)
Writer = Callable[[str], SearchStrategy[str]]


@st.composite
def csv_files(draw: DrawFn, repeats: Sequence[int] = REPEATS) -> bytes:
    """Draw the content of a file, most of them nearly sound.

    Args:
        draw: given by hypothesis.
        repeats: how often a row may stand there.
    """
    columns = draw(_columns())
    end = draw(st.sampled_from(ENDS))
    ends = draw(st.sampled_from([(end,), (end,), (end,), ENDS]))
    styles = draw(st.sampled_from([("plain",), ("plain", "quoted"), ("quoted",), STYLES]))
    oddness = draw(st.sampled_from([0, 0, 1, 4, 10]))
    row = st.tuples(_row(columns, oddness, styles), st.sampled_from(repeats))
    write = _writer(styles[:2])
    lines = [",".join(draw(write(name)) for name in columns)]
    for text, times in draw(st.lists(row, max_size=9)):
        lines += [text] * times
    content = draw(_with_mistakes("".join(line + draw(st.sampled_from(ends)) for line in lines)))
    encoding = draw(st.sampled_from(["utf-8"] * 8 + ["utf-8-sig", "cp1252", "utf-16"]))
    encoded = content.encode(encoding, "replace")
    return draw(st.sampled_from([encoded, encoded, encoded.rstrip(b"\r\n")]))


@st.composite
def _columns(draw: DrawFn) -> list[str]:
    columns = [*COLUMNS, *draw(st.lists(st.sampled_from(OTHERS), max_size=4))]
    change = draw(st.sampled_from([""] * 12 + ["missing", "twice", "case", "many"]))
    if change == "missing":
        columns.remove(draw(st.sampled_from(COLUMNS)))
    elif change == "twice":
        columns.append(draw(st.sampled_from(COLUMNS)))
    elif change == "case":
        columns[0] = columns[0].title()
    columns = draw(st.permutations(columns))
    return columns + [f"c{number}" for number in range(500)] if change == "many" else columns


@st.composite
def _row(draw: DrawFn, columns: Sequence[str], oddness: int, styles: Sequence[str]) -> str:
    """Draw a row in which so many of twenty fields are odd."""
    is_odd = st.integers(0, 19).map(lambda number: number < oddness)
    fields = []
    for name in columns[: len(COLUMNS) + 4]:
        sound = st.sampled_from(SOUND.get(name, ["", "n", "5", "urgent"]))
        fields.append(draw(ODD if draw(is_odd) else sound))
    if draw(is_odd):
        blank = draw(st.sampled_from(["", "", "", "", " ", "\t", "  \x1c", "\u00a0", "x"]))
        if blank:
            return blank
        fields = draw(_ragged(fields))
    write = _writer(styles)
    written = [draw(write(field)) for field in fields]
    return ",".join(written + ["n"] * (len(columns) - len(COLUMNS) - 4))


@st.composite
def _ragged(draw: DrawFn, fields: list[str]) -> list[str]:
    place = draw(st.integers(0, len(fields) - 1))
    changes: Sequence[list[str]] = (
        [],
        [fields[place], ""],
        [fields[place], "5"],
        [""] * 2,
        [""] * 500,
        [""] * 30_000,
    )
    return [*fields[:place], *draw(st.sampled_from(changes)), *fields[place + 1 :]]


def _writer(styles: Sequence[str]) -> Writer:
    """Return what writes a field in one of some styles."""

    def write(field: str) -> SearchStrategy[str]:
        quoted = '"' + field.replace('"', '""') + '"'
        needs_quotes = any(letter in field for letter in ',"\r\n')
        forms = {
            "plain": quoted if needs_quotes else field,
            "quoted": quoted,
            "padded": f" {quoted} ",
            "stray": f'"{field}',
            "raw": field,
        }
        return st.sampled_from([forms[style] for style in styles])

    return write


@st.composite
def _with_mistakes(draw: DrawFn, text: str) -> str:
    """Draw a text with up to three letters in it that are not meant."""
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2, 3]))):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(MISTAKES)) + text[place:]
    return text
