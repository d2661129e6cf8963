"""Rows of a CSV as text -> the valid ones, and the bad ones with the reason for each.

Bad rows keep the words they came in, and all their columns.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest

import pandas as pd

from pipeline.model.order import HOURS, NUMBERS, PRODUCT, normalised_code
from pipeline.orders.csv_lines import CsvRow, quote_fault
from pipeline.orders.order_rows import OrderRows
from pipeline.orders.row_rules import (
    COLUMNS,
    DECIMAL_COMMA,
    LINE_BREAK,
    REASON,
    REQUIRED_COLUMNS,
    SURPLUS,
    Fault,
    reasons_of,
)

INSIDE_QUOTES = "row is inside the quotes of a row above"


def separate(rows: Sequence[CsvRow], header: Sequence[str]) -> OrderRows:
    """Separate the valid from the bad among rows.

    Columns go by position meanwhile, since names may be there twice, and rows may be wider than
    the header.

    Args:
        rows: of a CSV.
        header: names of its columns.

    Returns:
        The valid rows, whose index is their position among `rows`, and the bad ones.
    """
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
    names = [*_distinct_names(header, width), REASON]
    valid = typed.loc[typed.index.difference(reasons.index), COLUMNS]
    return OrderRows(
        valid.astype({PRODUCT: "category"}), pd.DataFrame(rejected, columns=names, dtype=str)
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


def _distinct_names(header: Sequence[str], width: int) -> list[str]:
    """Name the columns of rejected rows; those without a name of their own get their position."""
    names = [*header, *[""] * (width - len(header))]
    return [
        name if name and name != REASON and names.count(name) == 1 else f"{name}_{position}"
        for position, name in enumerate(names, start=1)
    ]
