"""Which rows a model is fitted on and judged on, and which regressor is fitted."""

from typing import NamedTuple

import pandas as pd
from sklearn.model_selection import train_test_split

from pipeline.dispatch_curves import FEATURES, PerProductLine
from pipeline.order_rows import HOURS, PRODUCT
from pipeline.stage_errors import DatasetError

TEST_SHARE = 0.2
TRAIN_SHARE = 1 - TEST_SHARE
MIN_ROWS = 5
"""A product with fewer rows in a dataset only trains, and gets no slope of its own."""
SEED = 20210705


class Split(NamedTuple):
    """Disjoint rows for fitting and for judging; together they are all rows of the dataset."""

    train: pd.DataFrame
    test: pd.DataFrame


def split_orders(orders: pd.DataFrame) -> Split:
    """Split the rows 80/20, the same share of each product, the same way every time.

    Products with fewer than 5 rows only train.

    Raises:
        DatasetError: no product has enough rows to be judged on.
    """
    rows_of_product = orders.groupby(PRODUCT, observed=True)[PRODUCT].transform("size")
    testable = orders[rows_of_product >= MIN_ROWS]
    if testable.empty:
        raise DatasetError(
            f"Cannot judge a model on this dataset: no product has {MIN_ROWS} rows or "
            f"more (there are {len(orders):,} rows of {orders[PRODUCT].nunique():,} products)."
        )
    _, test = train_test_split(
        testable,
        test_size=TEST_SHARE,
        stratify=testable[PRODUCT],
        random_state=SEED,
    )
    return Split(train=orders.drop(index=test.index), test=test)


def fit_regressor(orders: pd.DataFrame, share_of_dataset: float = 1.0) -> PerProductLine:
    """Fit the regressor for hours to dispatch on these rows.

    Args:
        orders: rows to fit.
        share_of_dataset: which share of the dataset they are; the fit that is judged treats a
            product in the same way as the fit that is published, though it sees fewer of its rows.
    """
    min_rows = round(share_of_dataset * MIN_ROWS)
    return PerProductLine(min_rows).fit(orders[FEATURES], orders[HOURS])
