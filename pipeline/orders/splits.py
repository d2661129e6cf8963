"""Which rows train and which test: folds and samples, the same way every time."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.model.metadata import RepeatedRows
from pipeline.model.order import PRODUCT
from pipeline.orders.hashes import Hashes, hash_codes, hash_rows
from pipeline.orders.products import positions_of
from pipeline.orders.repeats import find_repeats
from pipeline.stages.errors import DatasetError

FOLDS = 5
"""One fifth of the rows tests a fit on the others."""
MIN_ROWS_OF_PRODUCT = FOLDS
"""A product with fewer rows in a dataset only trains."""


TEST_FOLD = FOLDS - 1


class Split(NamedTuple):
    """Disjoint rows for training and testing.

    Attributes:
        orders: all rows.
        train: rows to fit.
        test: rows to test the fit on.
        repeats: how many rows of the dataset repeat others.
    """

    orders: pd.DataFrame
    train: pd.DataFrame
    test: pd.DataFrame
    repeats: RepeatedRows


def split_orders(orders: pd.DataFrame) -> Split:
    """Split the rows 80/20, the same share of each product, the same way every time.

    Products with fewer than 5 rows only train.

    Raises:
        DatasetError: no product has enough rows to test on.
    """
    repeats = find_repeats(orders)
    is_test = assign_folds(orders, repeats) == TEST_FOLD
    if not is_test.any():
        rows = f"{MIN_ROWS_OF_PRODUCT} rows or more{' that differ' if repeats.breached else ''}"
        raise DatasetError(
            f"Cannot judge a model on this dataset: no product has {rows} "
            f"(there are {len(orders):,} rows of {orders[PRODUCT].nunique():,} products)."
        )
    return Split(orders, orders[~is_test], orders[is_test], repeats)


def assign_folds(orders: pd.DataFrame, repeats: RepeatedRows) -> npt.NDArray[np.int8]:
    """Deal out the rows of each product to five folds; return each row's fold.

    They are dealt out in the order of their hashes, which is as good as shuffled, and the same
    wherever the rows stand and whatever other products there are. A product with fewer than five
    rows has none in the last folds. Where rows seem to be there several times, equal ones get the
    same fold, so that no fit is tested on rows that it has seen.
    """
    dealt = _deal_out(orders, repeats)
    folds = np.empty(len(orders), dtype=np.int8)
    folds[dealt.order] = dealt.folds
    return folds


def deal_out(
    orders: pd.DataFrame, repeats: RepeatedRows
) -> tuple[pd.DataFrame, Hashes, npt.NDArray[np.int8]]:
    """Return rows by product, and those of each by their hashes; their hashes; and their folds."""
    dealt = _deal_out(orders, repeats)
    return orders.iloc[dealt.order], dealt.hashes, dealt.folds


class _Dealt(NamedTuple):
    """Rows by product, and those of each by their hashes; all of shape (n_rows,).

    Attributes:
        order: places of these rows.
        hashes: of them.
        folds: of them.
    """

    order: npt.NDArray[np.intp]
    hashes: Hashes
    folds: npt.NDArray[np.int8]


def _deal_out(orders: pd.DataFrame, repeats: RepeatedRows) -> _Dealt:
    product, _ = positions_of(orders[PRODUCT])
    hashes = hash_rows(orders)
    order = by_product(product, hashes)
    product, hashes = product[order], hashes[order]
    is_first = np.append(True, product[1:] != product[:-1])
    is_next = is_first | np.append(True, hashes[1:] != hashes[:-1])
    if not repeats.breached:
        is_next[:] = True
    rank = np.cumsum(is_next)
    rank -= rank[is_first][np.cumsum(is_first) - 1]
    return _Dealt(order, hashes, (rank % FOLDS).astype(np.int8))


def by_product(product: npt.NDArray[np.intp], hashes: Hashes) -> npt.NDArray[np.intp]:
    """Return the order of rows by product, and those of each product by their hashes.

    Args:
        product: position of each row's product, shape (n_rows,).
        hashes: of the rows, shape (n_rows,).
    """
    # One number for both is sorted far faster than two.
    bits = np.uint64(int(product.max()).bit_length())
    keys = (product.astype(np.uint64) << (np.uint64(64) - bits)) | (hashes >> bits)
    return np.argsort(keys if bits else hashes)


def systematic_sample(n_rows: int, max_rows: int) -> slice:
    """Return the slice of every k-th of so many rows, of which it takes at most `max_rows`."""
    return slice(None, None, max(1, -(-n_rows // max_rows)))


class Thinning(NamedTuple):
    """Which rows of a week show how a model does on all of them.

    Attributes:
        steps: one of so many rows is taken of each product, by code, and none of other products;
            None if all rows are.
    """

    steps: "pd.Series[int] | None"

    def of(self, orders: pd.DataFrame) -> pd.DataFrame:
        """Return these rows, of this week or of another one."""
        if self.steps is None:
            return orders
        some = orders[orders[PRODUCT].isin(self.steps.index)]
        steps = some[PRODUCT].map(self.steps).to_numpy(dtype=int)
        places = some.groupby(PRODUCT, observed=True).cumcount().to_numpy()
        thinned: pd.DataFrame = some[places % steps == 0]
        return thinned


def plan_thinning(orders: pd.DataFrame, most_rows: int, rows_per_product: int) -> Thinning:
    """Choose at most about `most_rows` rows that show how a model does on all of them.

    How much a model can learn depends on the rows of each product. So products are left out rather
    than rows of each, and a product loses rows only beyond `rows_per_product`, or beyond its equal
    share if that is more.
    """
    if len(orders) <= most_rows:
        return Thinning(None)
    rows = orders[PRODUCT].value_counts()
    rows = rows[rows > 0]
    most_of_product = max(rows_per_product, most_rows // len(rows))
    drawn = np.argsort(hash_codes(rows.index), kind="stable")
    shuffled = rows.clip(upper=most_of_product).iloc[drawn]
    kept = shuffled.index[: max(1, int((shuffled.cumsum() <= most_rows).sum()))]
    return Thinning(-(-rows[kept] // most_of_product))
