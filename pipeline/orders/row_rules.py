"""The columns of a week, what makes a row of it bad, and the words for that."""

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pyarrow
import pyarrow.compute as pc
from pandera.errors import SchemaErrors

from pipeline.model.order import (
    FEATURES,
    HOURS,
    MAX_HOURS_TO_DISPATCH,
    MAX_PRODUCT_CODE_LENGTH,
    NUMBERS,
    OPTIONAL,
    PRODUCT,
    REQUIRED,
    is_whole,
    limits,
)
from pipeline.orders.products import positions_of

COLUMNS = [*FEATURES, HOURS]
REQUIRED_COLUMNS = [*REQUIRED, HOURS]
REASON = "reason"
DECIMAL_COMMA = "a decimal comma"
LINE_BREAK = "[\n\r\v\f\x85\u2028\u2029]"
CONTROL_CHARACTER = "[\x00-\x09\x0e-\x1f\x7f-\x84\x86-\x9f]"

Fault = tuple[str, str, int]
"""A column, the check that it did not pass, and the row."""


def _code() -> pa.Column:
    checks = [
        pa.Check.ne("", error="is missing"),
        _without(LINE_BREAK, error="contains a line break"),
        _without(CONTROL_CHARACTER, error="contains a control character"),
        pa.Check.str_length(
            max_value=MAX_PRODUCT_CODE_LENGTH,
            error=f"is longer than {MAX_PRODUCT_CODE_LENGTH} characters",
        ),
    ]
    return pa.Column(checks=checks)


def _without(pattern: str, error: str) -> pa.Check:
    """Return the check that no text has a pattern in it; Arrow looks at 10,000 in a millisecond."""

    def lacks(texts: "pd.Series[Any]") -> "pd.Series[bool]":
        codes, distinct = positions_of(texts)
        found = pc.match_substring_regex(pyarrow.array(distinct, pyarrow.string()), pattern)
        return pd.Series(~found.to_numpy(zero_copy_only=False)[codes], index=texts.index)

    return pa.Check(lacks, error=error)


def _number(least: float, most: float, whole: bool = False, optional: bool = False) -> pa.Column:
    too_small = "is negative" if least == 0 else f"is below {least:,}"
    checks = [pa.Check.ge(least, error=too_small), pa.Check.le(most, error=f"is above {most:,}")]
    if whole:
        checks.append(pa.Check(lambda column: column % 1 == 0, error="is not a whole number"))
    return pa.Column(float, checks, nullable=optional)


VALID_ROW = pa.DataFrameSchema(
    {
        PRODUCT: _code(),
        **{name: _number(*limits(name), is_whole(name), name in OPTIONAL) for name in NUMBERS},
        HOURS: _number(0, MAX_HOURS_TO_DISPATCH),
    }
)
"""What a row must be like to be trained on: a code of one short line, and numbers within their
limits, none of them missing but optional ones."""


def broken_rules(rows: pd.DataFrame) -> list[Fault]:
    """Return which rules of `VALID_ROW` are broken, and in which rows."""
    try:
        VALID_ROW.validate(rows, lazy=True, inplace=True)  # changes nothing; else copies
    except SchemaErrors as error:
        cases = error.failure_cases
        return list(zip(cases["column"], cases["check"], cases["index"]))
    return []


def reasons_of(
    rows: pd.DataFrame, text: pd.DataFrame, other_faults: Sequence[Fault]
) -> "pd.Series[str]":
    """Return why each bad row is bad, indexed by row: `orders_placed is negative; …`.

    Args:
        rows: with numbers, NaN where a field is none.
        text: of the same fields.
        other_faults: those that only the file shows.
    """
    faults = [*broken_rules(rows), *_unreadable_options(rows, text), *other_faults]
    words = [
        _why_not_a_number(column, str(text.at[row, column]))
        if check == "not_nullable"
        else f"{column} {check}"
        for column, check, row in faults
    ]
    reasons = pd.Series(words, index=[row for *_, row in faults], dtype=str)
    return reasons.groupby(level=0).agg("; ".join)


def _unreadable_options(rows: pd.DataFrame, text: pd.DataFrame) -> list[Fault]:
    """Return the fields that may be missing, and are not, and are no numbers."""
    return [
        (name, "not_nullable", row)
        for name in OPTIONAL
        for row in rows.index[rows[name].isna() & text[name].str.strip().ne("")]
    ]


def _why_not_a_number(column: str, text: str) -> str:
    if not text.strip():
        return f"{column} is missing"
    if re.fullmatch(r"[+-]?[\d.]*,\d+", text.strip()):
        return f"{column} has {DECIMAL_COMMA} instead of a point"
    return f"{column} is not a number"
