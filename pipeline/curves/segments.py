"""Piecewise-linear curves of orders placed: where their knots are, and sums of rows by segment.

A curve of K segments has D = K + 1 coefficients: its level at the first knot, and its rise over
each segment, in hours. Outside the knots the first and the last segment go on. A curve without
segments is a level alone; a curve of one segment is a straight line.

    hours(orders) = β₀ + Σⱼ βⱼ · ramp(orders), ramp = clip((orders - kⱼ₋₁) / (kⱼ - kⱼ₋₁), 0, 1)
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import isotonic_regression

from pipeline.model.arrays import Floats
from pipeline.orders.splits import systematic_sample

Positions = npt.NDArray[np.intp]

KNOT_BINS = 32
MAX_KNOT_ROWS = 100_000


class NormalEquations(NamedTuple):
    """Weighted least squares of each product: XᵀWX · β = XᵀWy, with weights in 1/hours².

    Attributes:
        rows: number of rows, whatever their noise, shape (n_products,); rows that count less are
            fractions.
        matrices: XᵀWX in 1/hours², shape (n_products, D, D).
        right_sides: XᵀWy in 1/hours, shape (n_products, D).
    """

    rows: Positions | Floats
    matrices: Floats
    right_sides: Floats

    def of(self, products: Positions | npt.NDArray[np.bool_]) -> "NormalEquations":
        """Return the equations of some of the products."""
        return NormalEquations(
            self.rows[products], self.matrices[products], self.right_sides[products]
        )


def place_knots(product: Positions, orders: Floats, hours: Floats, segments: int) -> Floats:
    """Return increasing knots for curves of all products, shape (n_segments + 1,).

    They divide the typical curve into stretches of equal length, where length counts the share
    of rows passed and the share of hours risen: steep stretches get short segments, and stretches
    without rows few. There may be fewer segments than asked for, where the rows have few
    different order counts, and none at all where they have one.

    Args:
        product: position of each row's product, shape (n_rows,).
        orders: orders placed, shape (n_rows,).
        hours: hours to dispatch, shape (n_rows,).
        segments: most segments that the curves may have.
    """
    ends = np.array([orders.min(), orders.max()])
    if segments == 0 or ends[0] == ends[1]:
        return ends[:1]
    if segments == 1:
        return ends
    sample = systematic_sample(len(orders), MAX_KNOT_ROWS)
    edges, rise = _isotonic_rise(product[sample], orders[sample], hours[sample])
    length = np.linspace(0.0, 1.0, len(edges)) + rise
    interior = np.interp(np.linspace(0.0, length[-1], segments + 1)[1:-1], length, edges)
    return np.unique(np.concatenate([ends[:1], interior, ends[1:]]))


def _isotonic_rise(product: Positions, orders: Floats, hours: Floats) -> tuple[Floats, Floats]:
    """Return quantiles of the orders placed, and how far the hours have risen there, 0 to 1.

    The hours, relative to the mean of their product, are the medians of the bins between the
    quantiles, made monotone by isotonic regression (Barlow and others 1972).

    Returns:
        Orders and rises, both of shape (n_bins + 1,).
    """
    edges = np.quantile(orders, np.linspace(0.0, 1.0, KNOT_BINS + 1))
    mean_hours = np.bincount(product, hours) / np.maximum(np.bincount(product), 1)
    relative = hours / np.where(mean_hours > 0, mean_hours, 1.0)[product]
    bins = np.clip(np.searchsorted(edges, orders, side="right") - 1, 0, KNOT_BINS - 1)
    filled = np.unique(bins)
    medians = np.array([np.median(relative[bins == i]) for i in filled])
    monotone = isotonic_regression(medians)
    centres = (edges[:-1] + edges[1:])[filled] / 2
    rise = np.interp(edges, centres, monotone - monotone[0])
    return edges, rise / rise[-1] if rise[-1] > 0 else rise


class LocatedRows(NamedTuple):
    """Where rows lie on the curves of their products.

    Attributes:
        cell: number of the row's product and segment, product · segments + segment, shape
            (n_rows,).
        position: how far into its segment the row lies, 0 to 1 within the knots, shape (n_rows,).
        rows_of_product: number of rows of each product, shape (n_products,); rows that count less
            are fractions.
        n_segments: number of segments, at least one: a level alone has one without rise.
        sample_weight: how much each row counts, shape (n_rows,); None if all count alike.
    """

    cell: Positions
    position: Floats
    rows_of_product: Positions | Floats
    n_segments: int
    sample_weight: Floats | None = None

    @property
    def n_products(self) -> int:
        """Number of products."""
        return len(self.rows_of_product)

    def of_products(
        self, kept: npt.NDArray[np.bool_], rows: npt.NDArray[np.bool_]
    ) -> "LocatedRows":
        """Return the rows of some of the products, which are numbered anew.

        Args:
            kept: which products, shape (n_products,).
            rows: which rows these are, shape (n_rows,).
        """
        product, segment = np.divmod(self.cell[rows], self.n_segments)
        weights = self.sample_weight
        return LocatedRows(
            (np.cumsum(kept) - 1)[product] * self.n_segments + segment,
            self.position[rows],
            self.rows_of_product[kept],
            self.n_segments,
            None if weights is None else weights[rows],
        )

    @property
    def representatives(self) -> npt.NDArray[np.bool_] | slice:
        """Which rows stand for all, where rows count one by one: of those of weight w a share w.

        They are a systematic sample with these probabilities (Madow 1949).
        """
        if self.sample_weight is None:
            return slice(None)
        passed = np.floor(np.cumsum(self.sample_weight / self.sample_weight.max()))
        chosen: npt.NDArray[np.bool_] = np.diff(passed, prepend=0.0) > 0
        return chosen


def locate(
    knots: Floats,
    product: Positions,
    orders: Floats,
    n_products: int,
    sample_weight: Floats | None = None,
) -> LocatedRows:
    """Return where rows lie on the curves with these knots, and how much they count."""
    rows = np.bincount(product, sample_weight, minlength=n_products)
    if len(knots) == 1:
        return LocatedRows(product, np.zeros(len(orders)), rows, 1, sample_weight)
    widths = np.diff(knots)
    segment = np.searchsorted(knots[1:-1], orders, side="right")
    position = (orders - knots[segment]) / widths[segment]
    cell = product * len(widths) + segment
    return LocatedRows(cell, position, rows, len(widths), sample_weight)


def evaluate(coefficients: Floats, rows: LocatedRows) -> Floats:
    """Return the hours that curves give for rows, shape (n_rows,).

    Args:
        coefficients: level and rises of each product in hours, shape (n_products, D).
        rows: where the rows lie.
    """
    # β₀ + β₁ + … + βⱼ + βⱼ₊₁ · position in segment j
    levels = np.cumsum(coefficients, axis=1)[:, : rows.n_segments].ravel()
    hours: Floats = levels[rows.cell]
    if coefficients.shape[1] > 1:
        hours += coefficients[:, 1:].ravel()[rows.cell] * rows.position
    return hours


def sum_by_segment(rows: LocatedRows, hours: Floats, weights: Floats) -> Floats:
    """Sum rows by product and segment, shape (5, n_products, n_segments).

    The five sums are of weight, weight · position, weight · position², weight · hours and
    weight · position · hours; those of several parts of the rows can be added.

    Args:
        rows: where the rows lie.
        hours: hours to dispatch, shape (n_rows,).
        weights: of the rows, shape (n_rows,), beside how much they count.
    """
    if rows.sample_weight is not None:
        weights = weights * rows.sample_weight
    shape = (rows.n_products, rows.n_segments)
    weighted_position = weights * rows.position
    terms = (
        weights,
        weighted_position,
        weighted_position * rows.position,
        weights * hours,
        weighted_position * hours,
    )
    cells = shape[0] * shape[1]
    return np.array([np.bincount(rows.cell, term, cells).reshape(shape) for term in terms])


def normal_equations(
    by_segment: Floats, rows_of_product: Positions | Floats, n_coefficients: int
) -> NormalEquations:
    """Return the normal equations of the coefficients, from the sums by segment.

    The row of X of a label in segment j has a one for the level and for each segment passed, and
    the position for its own. Products are summed each for itself, to the last bit.

    Args:
        by_segment: as `sum_by_segment` returns them, shape (5, n_products, n_segments).
        rows_of_product: number of rows of each product, shape (n_products,).
        n_coefficients: D.
    """
    weight, position, square, hours, position_hours = by_segment
    rises = slice(0, n_coefficients - 1)
    matrices = np.empty((len(weight), n_coefficients, n_coefficients))
    right_sides = np.empty((len(weight), n_coefficients))
    # XᵀWX: of two different coefficients, the one of the later segment says which rows count.
    passed, passed_hours = _sum_after(weight), _sum_after(hours)
    crossed = np.append(passed[:, :1] + weight[:, :1], (position + passed)[:, rises], axis=1)
    places = np.arange(n_coefficients)
    matrices[:] = crossed[:, np.maximum.outer(places, places)]
    matrices[:, places[1:], places[1:]] = (square + passed)[:, rises]
    # XᵀWy = Σ w y x
    right_sides[:, 0] = passed_hours[:, 0] + hours[:, 0]
    right_sides[:, 1:] = (position_hours + passed_hours)[:, rises]
    return NormalEquations(rows_of_product, matrices, right_sides)


def _sum_after(by_segment: Floats) -> Floats:
    """Return the sums over the segments after each, shape (n_products, n_segments)."""
    from_here: Floats = np.cumsum(by_segment[:, ::-1], axis=1)[:, ::-1]
    return np.append(from_here[:, 1:], np.zeros((len(by_segment), 1)), axis=1)
