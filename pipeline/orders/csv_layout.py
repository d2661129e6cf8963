"""What is wrong with a CSV of orders as a whole: its header, its columns, its delimiter."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pipeline.orders.csv_lines import CsvRow
from pipeline.orders.file_kinds import REMEDY
from pipeline.orders.row_rules import COLUMNS, DECIMAL_COMMA, REQUIRED_COLUMNS
from pipeline.stages.errors import DatasetError

NO_ROWS = "there are no rows below the header"
OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def names_of(header: CsvRow) -> list[str]:
    """Return the names of the columns, without the blanks around them."""
    return [name.strip() for name in header.fields]


def check_layout(header: CsvRow, first: CsvRow | None) -> None:
    """Raise a `DatasetError` with everything that is wrong with a file as a whole.

    Args:
        header: its first row.
        first: its second row, if it has one.
    """
    names = names_of(header)
    faults = [*missing_columns(names)]
    if faults:
        faults = [*_mistakes(names, first)] or faults
        faults.append(f"the header reads {','.join(names)[:200]!r}")
    faults += [f"the column {name} is there twice" for name in COLUMNS if names.count(name) > 1]
    if len(header.lines) > 1:
        faults.append("a quote in the header is not closed")
    if first is None and faults:
        faults.append(NO_ROWS)
    if faults:
        raise DatasetError(*faults)


def unused_columns(names: Sequence[str]) -> list[str]:
    """Return the names of columns that we do not know."""
    return [name for name in names if name and name not in COLUMNS]


def missing_columns(names: Sequence[str]) -> Iterator[str]:
    """Name the missing columns, and what they may be called by mistake."""
    free = {_letters(name): name for name in reversed(names) if name not in COLUMNS}
    for column in REQUIRED_COLUMNS:
        if column in names:
            continue
        close = get_close_matches(_letters(column), free, n=1)
        if close:
            yield f"the column {column} is missing: should {free[close[0]][:80]!r} read {column}?"
        else:
            yield f"the column {column} is missing"


def _letters(name: str) -> str:
    """Return the name of a column without what people write in many ways: case, blanks, signs."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _mistakes(names: Sequence[str], first: CsvRow | None) -> Iterator[str]:
    """Name the mistakes of programs that write another sort of CSV."""
    if names[0].lower().startswith("sep="):
        yield "its first line is Excel's 'sep=', not the header"
        yield "Remove that line."
    elif any(re.fullmatch(r"[\d.]+", name) for name in names):
        yield "it has no header: its first line is a row"
    for delimiter, called in OTHER_DELIMITERS.items():
        if len(names) == 1 and delimiter in names[0]:
            yield f"its fields are separated by {called}: the delimiter should be a comma"
            if first and re.search(r"\d,\d", ",".join(first.fields)):
                yield f"its numbers have {DECIMAL_COMMA} instead of a point"
            yield REMEDY
