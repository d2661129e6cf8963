"""The bytes of a CSV of orders -> its valid rows, and its bad rows with the reason for each.

Every file is first read in one typed pass, which is all that a sound week needs. Only when that
finds something wrong, the file is read again as text, so that bad rows keep the words they came in.
"""

import csv
import io
import re
import warnings
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import pandas as pd
import pandera.pandas as pa
from pandas.errors import DtypeWarning, ParserError, ParserWarning
from pandera.errors import SchemaErrors

from pipeline.model.order import (
    FEATURES,
    HOURS,
    MAX_HOURS_TO_DISPATCH,
    NUMBERS,
    OPTIONAL,
    PRODUCT,
    REQUIRED,
    is_whole,
    limits,
)
from pipeline.stages.errors import DatasetError

COLUMNS = [*FEATURES, HOURS]
REQUIRED_COLUMNS = [*REQUIRED, HOURS]
REASON = "reason"
SURPLUS = "row"
HEADER_ROW = 0
CHUNK_ROWS = 500_000

Fault = tuple[str, str, int]
"""A column, the check that it did not pass, and the row."""


def _number(least: float, most: float, whole: bool = False, optional: bool = False) -> pa.Column:
    too_small = "is negative" if least == 0 else f"is below {least:,}"
    checks = [pa.Check.ge(least, error=too_small), pa.Check.le(most, error=f"is above {most:,}")]
    if whole:
        checks.append(pa.Check(lambda column: column % 1 == 0, error="is not a whole number"))
    return pa.Column(float, checks, nullable=optional)


VALID_ROW = pa.DataFrameSchema(
    {
        PRODUCT: pa.Column(checks=pa.Check.ne("", error="is missing")),
        **{name: _number(*limits(name), is_whole(name), name in OPTIONAL) for name in NUMBERS},
        HOURS: _number(0, MAX_HOURS_TO_DISPATCH),
        SURPLUS: pa.Column(
            bool, pa.Check.eq(False, error="has more fields than the header"), required=False
        ),
    }
)
"""What a row must be like to be trained on: numbers within their limits, none of them missing but
optional ones."""


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
    try:
        _check_layout(content)
        return _sound_rows(content) or _separated_rows(content)
    except UnicodeDecodeError as error:
        raise DatasetError(f"it is not UTF-8 text: {error}") from error
    except (ParserError, csv.Error) as error:
        raise DatasetError(f"it is not a CSV file: {error}") from error


def _check_layout(content: bytes) -> None:
    """Raise a `DatasetError` with everything that is wrong with the file as a whole."""
    lines = _lines(content)
    header = next(lines, [])
    if not header:
        raise DatasetError("it is empty")
    faults = [f"the column {name} is missing" for name in REQUIRED_COLUMNS if name not in header]
    if faults:
        faults.append(f"the header reads {','.join(header)[:200]!r}")
        if len(header) == 1 and re.search(r"[;|\t]", header[0]):
            faults.append("the delimiter should be a comma")
    faults += [f"the column {name} is there twice" for name in COLUMNS if header.count(name) > 1]
    if next(lines, None) is None:
        faults.append("there are no rows below the header")
    if faults:
        raise DatasetError(*faults)


def _lines(content: bytes) -> Iterator[list[str]]:
    """Yield the fields of each line that is not blank, without the spaces around them."""
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    return ([field.strip() for field in line] for line in csv.reader(text) if line)


def _sound_rows(content: bytes) -> OrderRows | None:
    """Read all rows in one typed pass, or return None if there is anything wrong with any row."""
    try:
        with warnings.catch_warnings(action="error", category=ParserWarning):
            warnings.simplefilter("error", DtypeWarning)  # numbers and words in one column
            rows = _read_csv(content, dtype={PRODUCT: str})
    except (ParserError, ParserWarning, DtypeWarning):
        return None
    if not set(REQUIRED_COLUMNS).issubset(rows.columns):
        return None
    # Reading categories at once would take codes such as 007 for numbers.
    rows = rows.reindex(columns=COLUMNS).astype({PRODUCT: "category"})
    codes = rows[PRODUCT].cat.categories
    numbers = [*NUMBERS, HOURS]
    numeric = all(rows[name].dtype.kind in "if" for name in numbers)
    if not (numeric and codes.equals(codes.str.strip())):
        return None
    rows = rows.astype(dict.fromkeys(numbers, float))
    try:
        VALID_ROW.validate(rows, lazy=True)
    except SchemaErrors:
        return None
    return OrderRows(rows, rejected=pd.DataFrame(columns=[*COLUMNS, REASON]))


def _separated_rows(content: bytes) -> OrderRows:
    """Read all rows as text and separate the valid from the bad, in chunks to spare memory.

    Columns go by position meanwhile, since names may be there twice, and rows may be wider than
    the header.
    """
    lines = _lines(content)
    header = next(lines)
    width = max(chain([len(header)], map(len, lines)))
    chunks = _read_csv(content, dtype=str, names=range(width), header=None, chunksize=CHUNK_ROWS)
    separated = [
        _separated(chunk.drop(index=HEADER_ROW, errors="ignore").fillna(""), header)
        for chunk in chunks
    ]
    valid = pd.concat([rows.valid for rows in separated], ignore_index=True)
    rejected = pd.concat([rows.rejected for rows in separated], ignore_index=True)
    rejected.columns = pd.Index([*_distinct_names(header, width), REASON])
    return OrderRows(valid.astype({PRODUCT: "category"}), rejected)


def _separated(text: pd.DataFrame, header: list[str]) -> OrderRows:
    """Separate the valid from the bad among rows of text, whose columns are positions."""
    names = [name for name in COLUMNS if name in header]
    fields = text[[header.index(name) for name in names]].set_axis(names, axis="columns")
    fields = fields.reindex(columns=COLUMNS, fill_value="")
    rows = pd.DataFrame(
        {
            PRODUCT: fields[PRODUCT].str.strip(),
            **{
                name: pd.to_numeric(fields[name], errors="coerce").astype(float)
                for name in (*NUMBERS, HOURS)
            },
            SURPLUS: (text[text.columns[len(header) :]] != "").any(axis="columns"),
        }
    )
    reasons = _reasons(rows, fields)
    rejected = text.loc[reasons.index].assign(**{REASON: reasons})
    return OrderRows(rows.loc[rows.index.difference(reasons.index), COLUMNS], rejected)


def _distinct_names(header: list[str], width: int) -> list[str]:
    """Name the columns of rejected rows; those without a name of their own get their position."""
    names = [*header, *[""] * (width - len(header))]
    return [
        name if name and name != REASON and names.count(name) == 1 else f"{name}_{position}"
        for position, name in enumerate(names, start=1)
    ]


def _reasons(rows: pd.DataFrame, text: pd.DataFrame) -> "pd.Series[str]":
    """Return why each bad row is bad, indexed by row: `orders_placed is negative; …`."""
    faults = [*_broken_rules(rows), *_unreadable_options(rows, text)]
    words = [
        _why_not_a_number(column, str(text.at[row, column]))
        if check == "not_nullable"
        else f"{column} {check}"
        for column, check, row in faults
    ]
    reasons = pd.Series(words, index=[row for *_, row in faults], dtype=str)
    return reasons.groupby(level=0).agg("; ".join)


def _broken_rules(rows: pd.DataFrame) -> list[Fault]:
    try:
        VALID_ROW.validate(rows, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        return list(zip(cases["column"], cases["check"], cases["index"]))
    return []


def _unreadable_options(rows: pd.DataFrame, text: pd.DataFrame) -> list[Fault]:
    """Return the fields that may be missing, and are not, and are no numbers."""
    return [
        (name, "not_nullable", row)
        for name in OPTIONAL
        for row in rows.index[rows[name].isna() & text[name].str.strip().ne("")]
    ]


def _why_not_a_number(column: str, text: str) -> str:
    return f"{column} is not a number" if text.strip() else f"{column} is missing"


def _read_csv(content: bytes, **options: Any) -> Any:
    """Read a CSV with what all passes have in common: the first column is never an index."""
    return pd.read_csv(
        io.BytesIO(content),
        index_col=False,
        keep_default_na=False,
        na_values=dict.fromkeys(OPTIONAL, ""),
        skipinitialspace=True,
        **options,
    )
