"""The bytes of a CSV of orders -> its valid rows, and its bad rows with the reason for each.

Every file is first read in one typed pass, which is all that a sound week needs. Only when that
finds something wrong, the file is read again as text, so that bad rows keep the words they came in.
"""

import io
import re
import reprlib
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, zip_longest
from typing import NamedTuple

import pandas as pd
from pandas.errors import DtypeWarning, ParserError, ParserWarning

from pipeline.model.order import HOURS, NUMBERS, OPTIONAL, PRODUCT, normalised_code
from pipeline.orders.csv_layout import check_layout, names_of
from pipeline.orders.csv_lines import CsvRow, csv_rows, has_odd_quotes, quote_fault
from pipeline.orders.file_kinds import check_kind, not_utf_8
from pipeline.orders.row_rules import (
    COLUMNS,
    DECIMAL_COMMA,
    LINE_BREAK,
    REASON,
    REQUIRED_COLUMNS,
    SURPLUS,
    Fault,
    broken_rules,
    reasons_of,
)
from pipeline.stages.logs import LOG
from pipeline.stages.wording import first_few

CHUNK_ROWS = 50_000
INSIDE_QUOTES = "row is inside the quotes of a row above"


class OrderRows(NamedTuple):
    """The rows of one CSV.

    Attributes:
        valid: rows to train on: the features of orders and their hours; the product is a category,
            all others are floats, NaN where an optional one is missing.
        rejected: all other rows: every column as the text in the file, and a column `reason`.
    """

    valid: pd.DataFrame
    rejected: pd.DataFrame


def read_order_rows(content: bytes) -> OrderRows:
    """Read and validate the rows of a CSV with a header; columns that we do not know are ignored.

    Raises:
        DatasetError: this is not a CSV of orders; the message lists all faults at once.
    """
    check_kind(content)
    try:
        check_layout(content)
        rows = _sound_rows(content) or _separated_rows(content)
    except UnicodeDecodeError as error:
        raise not_utf_8(content, error) from error
    _warn_of_cases(rows.valid[PRODUCT].cat.categories)
    return rows


def _warn_of_cases(codes: Iterable[str]) -> None:
    """Name the codes that may be one product, since only their case differs."""
    by_case = defaultdict(list)
    for code in codes:
        by_case[code.casefold()].append(code)
    alike = [" and ".join(map(reprlib.repr, group)) for group in by_case.values() if len(group) > 1]
    if alike:
        LOG.warning(
            "Some product codes differ only in upper and lower case, and count as different "
            f"products: {first_few(alike, write=str)}."
        )


def _sound_rows(content: bytes) -> OrderRows | None:
    """Read all rows in one typed pass, or return None if there is anything wrong with any row."""
    if has_odd_quotes(content):
        return None
    try:
        with warnings.catch_warnings(action="error", category=ParserWarning):
            warnings.simplefilter("error", DtypeWarning)  # numbers and words in one column
            rows = _typed_rows(content)
    except (ParserError, ParserWarning, DtypeWarning):
        return None
    if not set(REQUIRED_COLUMNS).issubset(rows.columns):
        return None
    rows = rows.reindex(columns=COLUMNS).astype({PRODUCT: "category"})
    numbers = [*NUMBERS, HOURS]
    if not all(rows[name].dtype.kind in "if" for name in numbers):
        return None
    rows = _with_normalised_codes(rows)
    rows = rows.astype(dict.fromkeys(numbers, float))
    if broken_rules(rows):
        return None
    return OrderRows(rows, rejected=pd.DataFrame(columns=[*COLUMNS, REASON]))


def _typed_rows(content: bytes) -> pd.DataFrame:
    """Read all rows in one pass: codes as text or as categories of text, others as they look."""

    def read(product_type: str, n_rows: int | None = None) -> pd.DataFrame:
        return pd.read_csv(
            io.BytesIO(content),
            dtype={PRODUCT: product_type},
            index_col=False,  # or else a field too many in every row shifts the columns
            keep_default_na=False,
            na_values=dict.fromkeys(OPTIONAL, ""),
            skipinitialspace=True,
            nrows=n_rows,
        )

    # Categories are read faster, but become numbers where all codes, such as 007, look like some.
    first = read("category", n_rows=1)
    is_text = PRODUCT in first and first[PRODUCT].cat.categories.dtype == "str"
    return read("category" if is_text else "str")


def _with_normalised_codes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with their codes, which are categories, normalised."""
    codes = rows[PRODUCT].cat.categories
    normalised = codes.map(normalised_code)
    if normalised.equals(codes):
        return rows
    by_row = rows[PRODUCT].map(dict(zip(codes, normalised)))
    return rows.assign(**{PRODUCT: by_row.astype(str).astype("category")})


def _separated_rows(content: bytes) -> OrderRows:
    """Read all rows as text and separate the valid from the bad, in chunks to spare memory.

    Columns go by position meanwhile, since names may be there twice, and rows may be wider than
    the header.
    """
    rows = csv_rows(content)
    header = names_of(next(rows))
    separated = []
    while chunk := list(islice(rows, CHUNK_ROWS)):
        separated.append(_separated(chunk, header))
    valid = pd.concat([rows.valid for rows in separated], ignore_index=True)
    rejected = pd.concat([rows.rejected for rows in separated], ignore_index=True)
    width = max(len(rows.rejected.columns) for rows in separated) - 1
    rejected = rejected.reindex(columns=[*range(width), REASON]).fillna("")
    rejected.columns = pd.Index([*_distinct_names(header, width), REASON])
    return OrderRows(valid.astype({PRODUCT: "category"}), rejected)


def _separated(rows: Sequence[CsvRow], header: list[str]) -> OrderRows:
    """Separate the valid from the bad among rows, whose columns are positions."""
    places = {name: header.index(name) for name in COLUMNS if name in header}
    columns = zip_longest(header, *(row.fields for row in rows), fillvalue="")
    text = pd.DataFrame({place: column[1:] for place, column in enumerate(columns)}, dtype=str)
    width = len(text.columns)
    fields = text[[*places.values()]].set_axis([*places], axis="columns")
    fields = fields.reindex(columns=COLUMNS, fill_value="")
    typed = pd.DataFrame(
        {
            PRODUCT: fields[PRODUCT].map(normalised_code),
            **{
                name: pd.to_numeric(fields[name], errors="coerce").astype(float)
                for name in (*NUMBERS, HOURS)
            },
            SURPLUS: (text[text.columns[len(header) :]] != "").any(axis="columns"),
        }
    )
    other_faults = [*_quote_faults(rows, places), *_decimal_commas(rows, places, len(header))]
    reasons = reasons_of(typed, fields, other_faults)
    rejected = [
        [*_padded(part, width), INSIDE_QUOTES if number else reason]
        for position, reason in zip(reasons.index.tolist(), reasons)
        for number, part in enumerate(_parts(rows[position], places, width))
    ]
    return OrderRows(
        valid=typed.loc[typed.index.difference(reasons.index), COLUMNS],
        rejected=pd.DataFrame(rejected, columns=[*range(width), REASON]),
    )


def _padded(fields: list[str], width: int) -> list[str]:
    return fields + [""] * (width - len(fields))


def _quote_faults(rows: Sequence[CsvRow], places: Mapping[str, int]) -> list[Fault]:
    """Return the rows whose quotes are not meant as they are."""
    numbers = [places[name] for name in REQUIRED_COLUMNS if name != PRODUCT]
    found = ((quote_fault(row, numbers), position) for position, row in enumerate(rows))
    return [("row", fault, position) for fault, position in found if fault]


def _decimal_commas(
    rows: Sequence[CsvRow], places: Mapping[str, int], header_width: int
) -> list[Fault]:
    """Return the numbers of rows too long whose decimals stand in a field that is no column's.

    If the last column is empty, nothing else tells that a row is too long.
    """
    unread_next = [name for name in places if places[name] + 1 not in places.values()]
    return [
        (name, f"has {DECIMAL_COMMA} instead of a point", position)
        for position, row in enumerate(rows)
        if len(row.fields) > header_width
        for name in unread_next
        if name != PRODUCT
        if all(field.strip().isdigit() for field in row.fields[places[name] :][:2])
    ]


def _parts(row: CsvRow, places: Mapping[str, int], width: int) -> list[list[str]]:
    """Return the fields of a bad row, or those of each line if its quotes made it bad."""
    known = [row.fields[place].strip() for place in places.values() if place < len(row.fields)]
    is_broken = len(row.lines) > 1 and any(re.search(LINE_BREAK, field) for field in known)
    if is_broken or _quote_faults([row], places):
        return [line.rstrip("\r\n").split(",", width - 1) for line in row.lines]
    return [row.fields]


def _distinct_names(header: list[str], width: int) -> list[str]:
    """Name the columns of rejected rows; those without a name of their own get their position."""
    names = [*header, *[""] * (width - len(header))]
    return [
        name if name and name != REASON and names.count(name) == 1 else f"{name}_{position}"
        for position, name in enumerate(names, start=1)
    ]
