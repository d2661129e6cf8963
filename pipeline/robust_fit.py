"""Curves through rows of which a few are wrong: iteratively reweighted least squares.

The search starts with Huber's weights and one noise for all rows, which finds the bulk of the rows
even when a third of the labels is wrong. It settles with Tukey's biweight, which leaves outliers
without any influence, and with noise that may grow with the estimate and
differ by product, so that noisy rows count less (Holland and Welsch 1977 compare the weights).
"""

from typing import NamedTuple

import numpy as np

from pipeline.curve_segments import (
    Floats,
    LocatedRows,
    Positions,
    SegmentSums,
    evaluate,
    sum_by_segment,
)
from pipeline.noise_scale import (
    MEDIAN_OF_NORMAL,
    OUTLIER_DISTANCE,
    SMALLEST_SHARE,
    NoiseScale,
    measure_noise,
)
from pipeline.pooled_prior import Prior, estimate_prior, update, without_falls

HUBER = 0.5
"""Distance, in units of the noise, from which Huber's weights fall: nearly least absolute error."""
MOST_STEPS = 40
FOUND, SETTLED = 0.03, 1e-3
"""Search and settling end when the estimates move less than this on average, in units of the
noise."""
MOST_ROWS_FOR_START = 500_000
TINY = 1e-9
LEAST_FREE_SHARE = 0.05
"""A curve that follows its rows nearly all the way has residuals that say nothing."""


class LabelledRows(NamedTuple):
    """Rows to fit.

    Attributes:
        product: position of each row's product, shape (n_rows,).
        located: where the rows lie on the curves.
        hours: their labels, shape (n_rows,).
    """

    product: Positions
    located: LocatedRows
    hours: Floats

    def thinned(self, step: int) -> "LabelledRows":
        """Return every step-th row."""
        product = self.product[::step]
        located = self.located._replace(
            cell=self.located.cell[::step],
            position=self.located.position[::step],
            rows_of_product=np.bincount(product, minlength=self.located.n_products),
        )
        return LabelledRows(product, located, self.hours[::step])


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
    sums: SegmentSums
    prior: Prior
    estimates: Floats
    residuals: Floats


def fit_robustly(rows: LabelledRows, n_coefficients: int) -> Floats:
    """Return the coefficients of each product's curve, no rise negative, shape (n_products, D).

    Where there are many rows, the search is made on some of them, and settles on all.

    Args:
        rows: to fit.
        n_coefficients: D, the number of coefficients of a curve.
    """
    step = -(-len(rows.hours) // MOST_ROWS_FOR_START)
    some = rows.thinned(step)
    noise = NoiseScale.ordinary(rows.located.n_products)
    fit, noise = _settle(some, _search(some, n_coefficients), noise)
    if step > 1:
        fit, noise = _settle(rows, _assess(rows, fit.sums, fit.prior), noise)
    return without_falls(fit.coefficients, fit.sums, fit.prior)


def _search(rows: LabelledRows, n_coefficients: int) -> _Fit:
    """Find the bulk of the rows, starting from a level curve and a prior that allows anything."""
    level = np.sqrt(np.mean(rows.hours**2)) + TINY
    anything = Prior(np.zeros(n_coefficients), level**2 * np.eye(n_coefficients))
    estimates = np.full(len(rows.hours), np.median(rows.hours))
    residuals = rows.hours - estimates
    for _ in range(MOST_STEPS):
        noise = np.median(np.abs(residuals)) / MEDIAN_OF_NORMAL + SMALLEST_SHARE * level
        distances = np.abs(rows.hours - estimates) / noise
        weights = 1 / np.maximum(distances / HUBER, 1)
        fit = _fit(rows, weights / noise**2, anything)
        moved = np.mean(np.abs(fit.estimates - estimates)) / noise
        estimates, residuals = fit.estimates, fit.residuals
        if moved < FOUND:
            break
    return fit


def _settle(rows: LabelledRows, fit: _Fit, noise: NoiseScale) -> tuple[_Fit, NoiseScale]:
    """Improve a fit until its estimates stay where they are."""
    for _ in range(MOST_STEPS):
        noise = measure_noise(rows.product, fit.estimates, fit.residuals, noise)
        noise_hours = noise.of(rows.product, fit.estimates)
        distances = (rows.hours - fit.estimates) / noise_hours
        weights = np.maximum(1 - (distances / OUTLIER_DISTANCE) ** 2, 0.0) ** 2
        before = fit.estimates
        fit = _fit(rows, weights / noise_hours**2, fit.prior)
        if np.mean(np.abs(fit.estimates - before) / noise_hours) < SETTLED:
            break
    return fit, noise


def _fit(rows: LabelledRows, weights: Floats, start: Prior) -> _Fit:
    """Fit the curves to weighted rows; the weights are one over the variance of the noise."""
    sums = sum_by_segment(rows.located, rows.hours, weights, len(start.mean))
    return _assess(rows, sums, estimate_prior(sums, start))


def _assess(rows: LabelledRows, sums: SegmentSums, prior: Prior) -> _Fit:
    """Return the curves that sums and prior give, and where these rows lie around them."""
    posterior = update(sums, prior)
    estimates = np.maximum(evaluate(posterior.means, rows.located), 0.0)
    free_share = 1 - posterior.freedom / np.maximum(sums.rows, 1)
    reduction = np.sqrt(np.maximum(free_share, LEAST_FREE_SHARE))
    residuals = (rows.hours - estimates) / reduction[rows.product]
    return _Fit(posterior.means, sums, prior, estimates, residuals)
