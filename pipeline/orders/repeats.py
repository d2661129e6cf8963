"""Rows that are in a week several times, as if parts of the file had been delivered again.

Labels in whole hours make many honest repeats: orders of a product that came after as many others
on their day took equally long. So repeats are compared with what chance makes of such labels.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from pipeline.model.arrays import Floats
from pipeline.model.metadata import RepeatedRows
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.orders.hashes import hash_rows

MAX_REPEATED_SHARE = 0.03
"""So many rows may repeat others beyond what chance explains."""
FALSE_ALARM_RATE = 0.01
MAX_CHECKED_ROWS = 1_000_000
"""The largest products with so many rows show whether a week has repeats."""
MIN_CELLS = 20
"""So many distinct rows are not by chance all there twice, or all three times."""
NEIGHBOURHOOD = 11
"""So many neighbouring order counts of a product have about the same labels."""
MIN_AGREEMENT = 1e-12
"""Keeps quotients finite where labels never, or always, agree."""

Integers = npt.NDArray[np.int64]


def find_repeats(orders: pd.DataFrame) -> RepeatedRows:
    """Count the rows of a week that repeat an earlier one in all features and hours."""
    checked = _largest_products(orders)
    share = 1 - len(np.unique(hash_rows(checked))) / len(checked)
    if share <= MAX_REPEATED_SHARE:
        return RepeatedRows(share=share, by_chance=0.0, copies=1, breached=False)
    cells = _count_cells(checked)
    copies = int(np.gcd.reduce(cells.rows.astype(np.int64))) if len(cells.rows) >= MIN_CELLS else 1
    by_chance = _share_by_chance(cells)
    breached = copies > 1 or share > by_chance + MAX_REPEATED_SHARE
    return RepeatedRows(share=share, by_chance=by_chance, copies=copies, breached=breached)


def _largest_products(orders: pd.DataFrame) -> pd.DataFrame:
    """Return all rows of the largest products, which are enough rows to find repeats in."""
    if len(orders) <= MAX_CHECKED_ROWS:
        return orders
    rows = orders[PRODUCT].value_counts()
    taken = rows.index[: 1 + int((rows.cumsum() < MAX_CHECKED_ROWS).sum())]
    return orders[orders[PRODUCT].isin(taken)]


class _Cells(NamedTuple):
    """The distinct rows of a week; each of shape (n_cells,).

    Attributes:
        rows: how many rows are the same.
        place: number of their product and order count; neighbouring counts differ by one.
        beside: rows of the same place and the next larger label of the product.
        behind: rows of the same label and the next larger order count of the product.
    """

    rows: Floats
    place: Integers
    beside: Floats
    behind: Floats


def _share_by_chance(cells: _Cells) -> float:
    """Return the largest share of rows that repeat others by chance.

    If M rows of a product and order count agree in pairs with probability c, they have as few
    distinct labels as possible where 1/c labels are equally likely: (1 − (1 − c)^M) · c⁻¹ on
    average. The others are repeats.
    """
    rows = _sums(cells, cells.rows)
    agreement = _agreement(cells, rows).clip(MIN_AGREEMENT, 1 - MIN_AGREEMENT)
    distinct = -np.expm1(rows * np.log1p(-agreement)) / agreement
    repeats = float((rows - distinct).sum())
    spread = math.sqrt(repeats)  # as their number is about Poisson
    return (repeats + float(stats.norm.isf(FALSE_ALARM_RATE)) * spread) / float(rows.sum())


def _agreement(cells: _Cells, rows_of_place: Floats) -> Floats:
    """Return how likely two orders of one product and order count agree in their label.

    Rows delivered twice agree as well, so it is measured on pairs that would agree as often by
    chance: with one label the next larger one of the other, or one order count the next larger
    one. Where labels cluster the former is too small, and where hours rise steeply the latter.

    Returns:
        For each place, from its neighbourhood, shape (n_places,).
    """
    pairs_beside = rows_of_place * (rows_of_place - 1)
    pairs_behind = rows_of_place * np.append(rows_of_place[1:], 0)
    return np.maximum(
        _around(_sums(cells, cells.rows * cells.beside)) / _around(pairs_beside),
        _around(_sums(cells, cells.rows * cells.behind)) / _around(pairs_behind),
    )


def _sums(cells: _Cells, values: Floats) -> Floats:
    """Add up values of the cells of each place, shape (n_places,)."""
    return np.bincount(cells.place, values).astype(float)


def _around(counts: Floats) -> Floats:
    """Add up the counts of neighbouring places, and next to nothing."""
    sums = np.convolve(counts, np.ones(NEIGHBOURHOOD))[NEIGHBOURHOOD // 2 :][: len(counts)]
    return sums + MIN_AGREEMENT


def _count_cells(orders: pd.DataFrame) -> _Cells:
    product, _ = pd.factorize(orders[PRODUCT])
    place = _number(product, orders[ORDERS].to_numpy(dtype=float))
    label = _number(product, orders[HOURS].to_numpy(dtype=float))
    labels = label.max() + 2  # so that no cell's larger label is that of the next place
    cells, rows = np.unique(place * labels + label, return_counts=True)

    def rows_at(wanted: Integers) -> Floats:
        found = np.searchsorted(cells, wanted).clip(max=len(cells) - 1)
        return np.where(cells[found] == wanted, rows[found], 0.0)

    return _Cells(
        rows=rows.astype(float),
        place=cells // labels,
        beside=rows_at(cells + 1),
        behind=rows_at(cells + labels),
    )


def _number(product: npt.NDArray[np.intp], values: Floats) -> Integers:
    """Number the pairs of product and value, so that neighbours differ by one.

    Numbers of two products differ by two or more.
    """
    order = np.lexsort((values, product))
    product, values = product[order], values[order]
    steps = np.where(np.diff(product) > 0, 2, np.diff(values) > 0)
    numbers = np.empty(len(order), dtype=np.int64)
    numbers[order] = np.concatenate([[0], np.cumsum(steps)])
    return numbers
