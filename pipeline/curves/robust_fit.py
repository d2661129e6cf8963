"""Curves through rows of which a few are wrong: iteratively reweighted least squares.

The search starts with Huber's weights and one noise for all rows, which finds the bulk of the rows
even when a third of the labels is wrong. It settles with Tukey's biweight, which leaves outliers
without any influence, and with noise that may grow with the estimate and differ by product, so
that noisy rows count less (Holland and Welsch 1977 compare the weights). Where there are many
rows, all this happens on some of them, and one more step on all of them is as good as many
(one-step M-estimates: Bickel 1975).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pipeline.curves.noise import (
    MEDIAN_OF_NORMAL,
    MIN_NOISE_SHARE,
    OUTLIER_DISTANCE,
    NoiseScale,
    measure_noise,
)
from pipeline.curves.prior import Prior, estimate_prior, update, without_falls
from pipeline.curves.segments import (
    LeastSquaresSums,
    LocatedRows,
    Positions,
    evaluate,
    least_squares_sums,
    locate,
    sum_by_segment,
)
from pipeline.model.arrays import Floats
from pipeline.orders.splits import every_nth

HUBER = 0.5
"""Distance, in units of the noise, from which Huber's weights fall: nearly least absolute error."""
MAX_FIT_STEPS = 20
FOUND, SETTLED = 0.03, 1e-3
"""Search and settling end when the estimates move less than this on average, in units of the
noise."""
MAX_SEARCH_ROWS = 500_000
ROWS_AT_ONCE = 250_000
"""So many rows stay in the processor's cache while they are summed."""
TINY = 1e-9
MIN_FREE_SHARE = 0.05
"""A curve that follows its rows nearly all the way has residuals that say nothing."""


class LabelledRows(NamedTuple):
    """Rows to fit; all of shape (n_rows,).

    Attributes:
        product: position of each row's product.
        orders: orders placed.
        hours: labels.
    """

    product: Positions
    orders: Floats
    hours: Floats

    def part(self, where: slice) -> "LabelledRows":
        """Return some of the rows."""
        return LabelledRows(self.product[where], self.orders[where], self.hours[where])

    def parts(self) -> Iterator["LabelledRows"]:
        """Yield all rows, a few at a time."""
        for start in range(0, len(self.hours), ROWS_AT_ONCE):
            yield self.part(slice(start, start + ROWS_AT_ONCE))


class _Rows(NamedTuple):
    """Rows, and where they lie on the curves."""

    product: Positions
    hours: Floats
    located: LocatedRows


class _Fit(NamedTuple):
    """One step of the search.

    Attributes:
        coefficients: of the curves, shape (n_products, D).
        sums: of the rows that they were fitted on.
        prior: of the coefficients.
        estimates: for the rows in hours, shape (n_rows,).
        residuals: label minus estimate in hours, shape (n_rows,), made larger where a curve
            follows its own few rows, so that they are as large as the noise.
    """

    coefficients: Floats
    sums: LeastSquaresSums
    prior: Prior
    estimates: Floats
    residuals: Floats


def fit_robustly(rows: LabelledRows, knots: Floats, n_products: int) -> Floats:
    """Return the coefficients of each product's curve, no rise negative, shape (n_products, D).

    Args:
        rows: to fit.
        knots: of the curves, shape (D,).
        n_products: number of products.
    """
    some = rows.part(every_nth(len(rows.hours), MAX_SEARCH_ROWS))
    located = locate(knots, some.product, some.orders, n_products)
    fit, noise = _settle(_Rows(some.product, some.hours, located), len(knots))
    sums, prior, coefficients = fit.sums, fit.prior, fit.coefficients
    if len(some.hours) < len(rows.hours):
        sums = _sum_in_parts(rows, knots, coefficients, noise)
        prior = estimate_prior(sums, prior)
        coefficients = update(sums, prior).means
    return without_falls(coefficients, sums, prior)


def _settle(rows: _Rows, n_coefficients: int) -> tuple[_Fit, NoiseScale]:
    """Search for curves, and improve them until their estimates stay where they are."""
    fit = _search(rows, n_coefficients)
    noise = NoiseScale.ordinary(rows.located.n_products)
    for _ in range(MAX_FIT_STEPS):
        noise = measure_noise(rows.product, fit.estimates, fit.residuals, noise)
        noise_hours = noise.of(rows.product, fit.estimates)
        weights = _settling_weights(rows.hours - fit.estimates, noise_hours)
        before = fit.estimates
        fit = _fit(rows, weights, fit.prior)
        if np.mean(np.abs(fit.estimates - before) / noise_hours) < SETTLED:
            break
    return fit, noise


def _search(rows: _Rows, n_coefficients: int) -> _Fit:
    """Find the bulk of the rows, starting from a level curve and a prior that allows anything."""
    level = np.sqrt(np.mean(rows.hours**2)) + TINY
    anything = Prior(np.zeros(n_coefficients), level**2 * np.eye(n_coefficients))
    estimates = np.full(len(rows.hours), np.median(rows.hours))
    residuals = rows.hours - estimates
    for _ in range(MAX_FIT_STEPS):
        noise = np.median(np.abs(residuals)) / MEDIAN_OF_NORMAL + MIN_NOISE_SHARE * level
        distances = np.abs(rows.hours - estimates) / noise
        fit = _fit(rows, 1 / np.maximum(distances / HUBER, 1) / noise**2, anything)
        moved = np.mean(np.abs(fit.estimates - estimates)) / noise
        estimates, residuals = fit.estimates, fit.residuals
        if moved < FOUND:
            break
    return fit


def _settling_weights(residuals: Floats, noise_hours: Floats) -> Floats:
    """Return Tukey's biweights, divided by the variance of the noise."""
    distances = residuals / noise_hours
    biweights = np.maximum(1 - (distances / OUTLIER_DISTANCE) ** 2, 0.0) ** 2
    weights: Floats = biweights / noise_hours**2
    return weights


def _fit(rows: _Rows, weights: Floats, start: Prior) -> _Fit:
    """Fit the curves to weighted rows, and see where the rows lie around them.

    Args:
        rows: to fit.
        weights: of the rows; one over the variance of the noise where nothing is wrong.
        start: where the search for the prior begins.
    """
    by_segment = sum_by_segment(rows.located, rows.hours, weights)
    sums = least_squares_sums(by_segment, rows.located.rows_of_product, len(start.mean))
    prior = estimate_prior(sums, start)
    posterior = update(sums, prior)
    estimates = np.maximum(evaluate(posterior.means, rows.located), 0.0)
    free_share = 1 - posterior.freedom / np.maximum(sums.rows, 1)
    reduction = np.sqrt(np.maximum(free_share, MIN_FREE_SHARE))
    residuals = (rows.hours - estimates) / reduction[rows.product]
    return _Fit(posterior.means, sums, prior, estimates, residuals)


def _sum_in_parts(
    rows: LabelledRows, knots: Floats, coefficients: Floats, noise: NoiseScale
) -> LeastSquaresSums:
    """Sum all rows, weighted by how far they are from the curves that some of them gave."""
    n_products, n_coefficients = coefficients.shape
    by_segment = np.zeros((5, n_products, max(n_coefficients - 1, 1)))
    for part in rows.parts():
        located = locate(knots, part.product, part.orders, n_products)
        estimates = np.maximum(evaluate(coefficients, located), 0.0)
        noise_hours = noise.of(part.product, estimates)
        weights = _settling_weights(part.hours - estimates, noise_hours)
        by_segment += sum_by_segment(located, part.hours, weights)
    rows_of_product = np.bincount(rows.product, minlength=n_products)
    return least_squares_sums(by_segment, rows_of_product, n_coefficients)
