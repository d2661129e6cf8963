"""Rows of a CSV as text -> the valid ones, and the bad ones with the reason for each.

Bad rows keep the words they came in, and all their columns. One that takes up several lines counts
as so many bad rows, so that each line of a file is in a valid row, in a bad one, or blank.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import nan

import pandas as pd

from pipeline.model.order import HOURS, NUMBERS, PRODUCT, normalised_code
from pipeline.orders.csv_lines import STRAY_QUOTE, CsvRow, quote_fault
from pipeline.orders.order_rows import OrderRows
from pipeline.orders.row_rules import (
    COLUMNS,
    DECIMAL_COMMA,
    REASON,
    REQUIRED_COLUMNS,
    Fault,
    reasons_of,
)

INSIDE_QUOTES = "row is inside the quotes of a row above"
NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)", re.I
)


def separate(rows: Sequence[CsvRow], header: Sequence[str]) -> OrderRows:
    """Separate the valid from the bad among rows.

    Columns go by position, since names may be there twice.

    Args:
        rows: of a CSV.
        header: names of its columns.

    Returns:
        The valid rows, whose index is their position among `rows`, and the bad ones.
    """
    places = {name: header.index(name) for name in COLUMNS if name in header}
    fields = pd.DataFrame({name: _column(rows, places.get(name)) for name in COLUMNS}, dtype=str)
    typed = pd.DataFrame(
        {
            PRODUCT: fields[PRODUCT].map(normalised_code),
            **{name: fields[name].map(_number).astype(float) for name in (*NUMBERS, HOURS)},
        }
    )
    other_faults = [
        *_width_faults(rows, header),
        *_quote_faults(rows, places),
        *_decimal_commas(rows, places, len(header)),
    ]
    reasons = reasons_of(typed, fields, other_faults)
    bad = zip((rows[position] for position in reasons.index.tolist()), reasons)
    valid = typed.loc[typed.index.difference(reasons.index), COLUMNS]
    return OrderRows(valid.astype({PRODUCT: "category"}), _rejected(list(bad), header))


def _column(rows: Sequence[CsvRow], place: int | None) -> list[str]:
    """Return a field of each row, empty where there is none."""
    if place is None:
        return [""] * len(rows)
    return [row.fields[place] if place < len(row.fields) else "" for row in rows]


def _number(text: str) -> float:
    """Return what a field says, as Arrow would, or NaN."""
    text = text.strip(" \t\r\n")
    return float(text) if NUMBER.fullmatch(text) else nan


def _width_faults(rows: Sequence[CsvRow], header: Sequence[str]) -> Iterator[Fault]:
    """Return the rows with more or fewer fields than the header, whose fields may be shifted.

    A comma at the end shifts none if the last column cannot be empty.
    """
    width = len(header)
    comma_is_harmless = header[-1] in REQUIRED_COLUMNS
    for position, row in enumerate(rows):
        if len(row.fields) < width:
            yield "row", "has fewer fields than the header", position
        elif row.fields[width:] and not (comma_is_harmless and row.fields[width:] == [""]):
            yield "row", "has more fields than the header", position


def _quote_faults(rows: Sequence[CsvRow], places: Mapping[str, int]) -> Iterator[Fault]:
    """Return the rows whose quotes are not meant as they are."""
    numbers = [places[name] for name in REQUIRED_COLUMNS if name != PRODUCT]
    for position, row in enumerate(rows):
        if fault := quote_fault(row, numbers):
            yield "row", fault, position


def _decimal_commas(
    rows: Sequence[CsvRow], places: Mapping[str, int], header_width: int
) -> Iterator[Fault]:
    """Return the numbers of rows too long whose decimals stand in a field that is no column's."""
    unread_next = [name for name in places if places[name] + 1 not in places.values()]
    for position, row in enumerate(rows):
        if len(row.fields) > header_width:
            for name in unread_next:
                number = row.fields[places[name] :][:2]
                if name != PRODUCT and all(field.strip().isdigit() for field in number):
                    yield name, f"has {DECIMAL_COMMA} instead of a point", position


def _rejected(bad: Sequence[tuple[CsvRow, str]], header: Sequence[str]) -> pd.DataFrame:
    """Return bad rows with their reasons, each line of them as one row.

    Fields beyond the header stand together in one column more.
    """
    width = len(header)
    rows = [
        [*part[:width], *[""] * (width - len(part)), ",".join(part[width:]), reason]
        for row, why in bad
        for part, reason in _parts(row, why)
    ]
    names = [*_distinct_names([*header, ""]), REASON]
    rejected = pd.DataFrame(rows, columns=names, dtype=str)
    surplus = names[width]
    return rejected if (rejected[surplus] != "").any() else rejected.drop(columns=surplus)


def _parts(row: CsvRow, reason: str) -> Iterator[tuple[list[str], str]]:
    """Yield the fields of a bad row, or those of each line if the row has several."""
    if len(row.lines) < 2 and STRAY_QUOTE not in reason:
        yield row.fields, reason
        return
    for number, line in enumerate(row.lines):
        yield line.rstrip("\r\n").split(","), INSIDE_QUOTES if number else reason


def _distinct_names(names: Sequence[str]) -> list[str]:
    """Name the columns of rejected rows; those without a name of their own get their position."""
    count = Counter(names)
    return [
        name if name and name != REASON and count[name] == 1 else f"{name}_{position}"
        for position, name in enumerate(names, start=1)
    ]
