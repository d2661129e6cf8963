"""Which rows a model is fitted on and judged on, and which regressor is fitted."""

from typing import NamedTuple

import pandas as pd
from sklearn.model_selection import train_test_split

from pipeline.dispatch_curves import FEATURES, PerProductLine
from pipeline.order_rows import HOURS, PRODUCT
from pipeline.stage_errors import DatasetError

TEST_SHARE = 0.2
MIN_ROWS_TO_TEST = 5
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
    testable = orders[rows_of_product >= MIN_ROWS_TO_TEST]
    if testable.empty:
        raise DatasetError(
            f"Cannot judge a model on this dataset: no product has {MIN_ROWS_TO_TEST} rows or "
            f"more (there are {len(orders):,} rows of {orders[PRODUCT].nunique():,} products)."
        )
    _, test = train_test_split(
        testable,
        test_size=TEST_SHARE,
        stratify=testable[PRODUCT],
        random_state=SEED,
    )
    return Split(train=orders.drop(index=test.index), test=test)


def fit_regressor(orders: pd.DataFrame) -> PerProductLine:
    """Fit the regressor for hours to dispatch on these rows."""
    return PerProductLine().fit(orders[FEATURES], orders[HOURS])
