"""Products of which part of the orders are of another kind, with one label in common.

Some orders may leave at once, or get a default of the system for a label. No curve of orders placed
fits both them and the others, and one in between fits neither. A curve is fitted to the kind of
which there are more; the others are outliers.
"""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from pipeline.curves.alone import huber_lines
from pipeline.curves.labels import RESOLUTION, count_labels, in_units, medians_of
from pipeline.curves.noise import MEDIAN_ABSOLUTE_NORMAL
from pipeline.curves.segments import Positions
from pipeline.curves.weighted_fit import LabelledRows, PlacedRows
from pipeline.model.arrays import Floats

MIN_ROWS = 20
"""Fewer rows of a product do not tell kinds apart."""
MIN_SHARE = 0.1
"""Fewer orders of another kind are left to the weights of the fit."""
MIN_RATIO_TO_NEXT = 3
"""Where hours are rounded, labels next to the most frequent one are frequent as well."""
MIN_DISTANCE, MIN_STEPS = 3.0, 1.5
"""Labels are of another kind if they are farther than this from the curve of the others, in units
of their noise and of the step of the labels."""


class Ties(NamedTuple):
    """Products of which many rows have the same label, far from the curve of the others.

    Attributes:
        product: positions of the products, rising.
        hours: the label.
        rows: of the product.
        at: rows with this label.
        far: how many of these are far from the curve of the others.
    """

    product: Positions
    hours: Floats
    rows: Positions
    at: Positions
    far: Positions

    def where(self, kept: npt.NDArray[np.bool_]) -> Self:
        """Return some of the products."""
        return self._replace(
            product=self.product[kept],
            hours=self.hours[kept],
            rows=self.rows[kept],
            at=self.at[kept],
            far=self.far[kept],
        )

    def of_another_kind(self) -> Self:
        """Return the products with many rows of either kind."""
        least = MIN_SHARE * self.rows
        return self.where((self.far >= least) & (self.rows - self.at >= least))

    def is_minority(self, product: Positions, hours: Floats) -> npt.NDArray[np.bool_]:
        """Return which rows are of the kind of which there are fewer, shape (n_rows,)."""
        if not len(self.product):
            return np.zeros(len(product), dtype=bool)
        place = np.minimum(np.searchsorted(self.product, product), len(self.product) - 1)
        is_at = in_units(hours) == in_units(self.hours)[place]
        is_other = is_at == (2 * self.at <= self.rows)[place]
        minority: npt.NDArray[np.bool_] = is_other & (self.product[place] == product)
        return minority

    def majority_of(self, rows: LabelledRows) -> LabelledRows:
        """Return the rows without those of the kind of which there are fewer."""
        if not len(self.product):
            return rows
        return rows.sample(~self.is_minority(rows.product, rows.hours))


def examine_ties(rows: LabelledRows, steps: Floats, knots: Floats) -> Ties:
    """Return the products of which one label is far more frequent than any other.

    Args:
        rows: of all products.
        steps: in which the labels of each product come, in hours, shape (n_products,).
        knots: the ends of the order counts of a week; the curve is a line between them, or a level
            if there is one end.
    """
    candidates = _frequent_labels(rows)
    if not len(candidates.product):
        return candidates
    return candidates._replace(far=_count_far(candidates, rows, steps, knots))


def _frequent_labels(rows: LabelledRows) -> Ties:
    """Return the products of which one label is far more frequent than any other."""
    counts = count_labels(rows.product, in_units(rows.hours))
    places = counts.most_frequent
    others = counts.rows.copy()
    others[places] = 0
    next_one = np.maximum.reduceat(others, counts.first)
    found = Ties(
        product=counts.product[places],
        hours=np.asarray(counts.units[places] * RESOLUTION),
        rows=counts.rows_of_product,
        at=counts.rows[places],
        far=counts.rows[places],
    )
    is_many = (found.rows >= MIN_ROWS) & (found.at >= MIN_SHARE * found.rows)
    return found.where(
        is_many & (found.at < found.rows) & (found.at >= MIN_RATIO_TO_NEXT * next_one)
    )


def _count_far(ties: Ties, rows: LabelledRows, steps: Floats, knots: Floats) -> Positions:
    """Count the rows at a frequent label that are far from a line through the others."""
    of_ties = rows.sample(np.isin(rows.product, ties.product))
    number = np.searchsorted(ties.product, of_ties.product)
    of_ties = of_ties._replace(product=number)
    is_at = in_units(of_ties.hours) == in_units(ties.hours)[number]
    n_ties = len(ties.product)
    steps = steps[ties.product]
    others = PlacedRows.of(of_ties.sample(~is_at), knots, steps)
    fit = huber_lines(others, len(knots))
    sizes = np.abs(others.hours - fit.estimates(others)) / fit.reduction[others.product]
    median = medians_of(others.product, sizes, n_ties)
    least = np.maximum(MIN_DISTANCE * median / MEDIAN_ABSOLUTE_NORMAL, MIN_STEPS * steps)
    at = PlacedRows.of(of_ties.sample(is_at), knots, steps)
    is_far = np.abs(at.hours - fit.estimates(at)) > least[at.product]
    return np.bincount(at.product[is_far], minlength=n_ties)
