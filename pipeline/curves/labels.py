"""The labels that rows of a product share: how often each one occurs, and which one most often."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats

Units = npt.NDArray[np.int64]

RESOLUTION = 1e-6
"""Labels are told apart in units of so many hours."""


class LabelCounts(NamedTuple):
    """The different labels of each product, sorted by product and label, as columns.

    Attributes:
        product: position of the product.
        units: the label, in units of the resolution.
        rows: how many rows of the product have it.
        first: where the labels of each product with rows begin, shape (n_products_with_rows,).
    """

    product: Positions
    units: Units
    rows: Positions
    first: Positions

    @property
    def number(self) -> Positions:
        """Number of each label's product among those with rows."""
        return np.repeat(np.arange(len(self.first)), self.labels)

    @property
    def labels(self) -> Positions:
        """How many different labels each product with rows has."""
        return np.diff(np.append(self.first, len(self.units)))

    @property
    def rows_of_product(self) -> Positions:
        """Rows of each product with rows."""
        return np.add.reduceat(self.rows, self.first)

    @property
    def most_frequent(self) -> Positions:
        """Where the most frequent label of each product with rows stands, the least of equals."""
        largest = np.maximum.reduceat(self.rows, self.first)
        places = np.flatnonzero(self.rows == largest[self.number])
        return places[_starts(self.product[places])]


def count_labels(product: Positions, units: Units) -> LabelCounts:
    """Count the labels of each product; there must be a row.

    Args:
        product: position of each row's product, shape (n_rows,).
        units: labels in units of the resolution, shape (n_rows,).
    """
    least = units.min()
    span = int(units.max() - least) + 1
    # One key for both: integers are sorted fast.
    keys = np.sort(product.astype(np.int64) * span + (units - least))
    firsts = _starts(keys)
    owners, offsets = np.divmod(keys[firsts], span)
    return LabelCounts(
        product=owners,
        units=offsets + least,
        rows=np.diff(np.append(firsts, len(keys))),
        first=_starts(owners),
    )


def medians_of(product: Positions, values: Floats, n_products: int) -> Floats:
    """Return the upper median of the values of each product; zero for those without rows.

    Args:
        product: position of each row's product, shape (n_rows,).
        values: shape (n_rows,).
        n_products: number of products.
    """
    rows = np.bincount(product, minlength=n_products)
    ordered = values[np.lexsort((values, product))]
    medians = np.zeros(n_products)
    has_rows = rows > 0
    medians[has_rows] = ordered[(np.cumsum(rows) - rows + rows // 2)[has_rows]]
    return medians


def in_units(hours: Floats) -> Units:
    """Return labels in units of the resolution."""
    return np.rint(hours / RESOLUTION).astype(np.int64)


def _starts(ordered: Units) -> Positions:
    """Return where the runs of equal numbers begin."""
    return np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
