"""Rows of a dataset, the valid and the bad ones, and how those of several chunks become one."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.types import union_categoricals

from pipeline.model.order import PRODUCT, normalised_code
from pipeline.orders.row_rules import COLUMNS, REASON

PLAIN_CODE = "^[!-~]([ -~]*[!-~])?$"
"""Visible ASCII with blanks only inside, which is normalised as it is; Arrow finds it fast."""


class OrderRows(NamedTuple):
    """Some rows of a dataset.

    Attributes:
        valid: rows to train on: the features of orders and their hours; the product is a category,
            all others are floats, NaN where an optional one is missing. Categories of a chunk are
            in any order.
        rejected: all other rows: columns as text, and a column `reason`.
    """

    valid: pd.DataFrame
    rejected: pd.DataFrame


NO_ORDERS = pd.DataFrame({name: pd.Series(dtype=float) for name in COLUMNS}).astype(
    {PRODUCT: pd.CategoricalDtype(pd.Index([], dtype=str))}
)
NONE_REJECTED = pd.DataFrame(columns=[REASON], dtype=str)


def orders_of(table: "pa.Table") -> pd.DataFrame:
    """Return the rows of an Arrow table of orders, with their codes normalised.

    Args:
        table: the product as a dictionary, and other columns of `COLUMNS` as floats.
    """
    rows: pd.DataFrame = table.to_pandas()
    codes = rows[PRODUCT].cat.categories
    if not pc.all(pc.match_substring_regex(pa.array(codes, pa.string()), PLAIN_CODE)).as_py():
        normalised = codes.map(normalised_code)
        numbers, distinct = pd.factorize(normalised)
        old = rows[PRODUCT].cat.codes.to_numpy()
        rows[PRODUCT] = pd.Categorical.from_codes(numbers[old], distinct)
    return rows.reindex(columns=COLUMNS)


def concat_orders(chunks: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the valid rows of chunks, one after the other, the products sorted."""
    codes = union_categoricals([chunk[PRODUCT] for chunk in chunks], sort_categories=True)
    codes = codes.remove_unused_categories()
    numbers = {
        name: np.concatenate([chunk[name].to_numpy() for chunk in chunks])
        for name in COLUMNS
        if name != PRODUCT
    }
    return pd.DataFrame({PRODUCT: codes, **numbers})[COLUMNS]


def concat_rejected(chunks: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the bad rows of chunks; columns that one of them lacks are empty in it."""
    rows = pd.concat([*chunks], ignore_index=True).fillna("")
    return rows[[*rows.columns.drop(REASON), REASON]]
