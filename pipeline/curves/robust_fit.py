"""Curves through rows of which a few are wrong: iteratively reweighted least squares (IRLS).

It starts with Huber's weights and one noise for all rows, which finds the bulk of the rows even
when a third of the labels is wrong. It goes on with Tukey's bisquare weights, which leave outliers
without any influence, and with noise that may grow with the estimate and differ by product, so
that noisy rows count less (Holland and Welsch 1977 compare the weights). Where there are many
rows, all this happens on a sample of them, and one more step on all of them is as good as many
(one-step M-estimates: Bickel 1975).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pipeline.curves.noise import (
    MEDIAN_ABSOLUTE_NORMAL,
    MIN_NOISE_SHARE_OF_HOURS,
    NoiseScale,
    refine_noise,
)
from pipeline.curves.prior import Prior, compute_posterior, estimate_prior, make_monotone
from pipeline.curves.segments import (
    LocatedRows,
    NormalEquations,
    Positions,
    evaluate,
    locate,
    normal_equations,
    sum_by_segment,
)
from pipeline.curves.weights import bisquare_weights, huber_weights
from pipeline.model.arrays import Floats
from pipeline.orders.splits import systematic_sample

MAX_IRLS_STEPS = 20
HUBER_TOLERANCE, BISQUARE_TOLERANCE = 0.03, 1e-3
"""IRLS has converged when the estimates move less than this on average, in units of the noise."""
MAX_IRLS_ROWS = 500_000
MAX_CHUNK_ROWS = 250_000
"""So many rows stay in the processor's cache while they are summed."""
MIN_LEVEL_HOURS = 1e-9
MIN_RESIDUAL_FREEDOM = 0.05
"""Smallest residual degrees of freedom by row: a curve that follows its rows nearly all the way
has residuals that say nothing."""


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

    def sample(self, where: slice) -> "LabelledRows":
        """Return some of the rows."""
        return LabelledRows(self.product[where], self.orders[where], self.hours[where])

    def chunks(self) -> Iterator["LabelledRows"]:
        """Yield all rows, a few at a time."""
        for start in range(0, len(self.hours), MAX_CHUNK_ROWS):
            yield self.sample(slice(start, start + MAX_CHUNK_ROWS))


class _Rows(NamedTuple):
    """Rows, and where they lie on the curves."""

    product: Positions
    hours: Floats
    located: LocatedRows


class _WeightedFit(NamedTuple):
    """One step of IRLS.

    Attributes:
        coefficients: of the curves in hours, shape (n_products, D).
        equations: of the rows that they were fitted on.
        prior: of the coefficients.
        estimates: for the rows in hours, shape (n_rows,).
        residuals: label minus estimate in hours, shape (n_rows,), made larger where a curve
            follows its own few rows, so that they are as large as the noise.
    """

    coefficients: Floats
    equations: NormalEquations
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
    sample = rows.sample(systematic_sample(len(rows.hours), MAX_IRLS_ROWS))
    located = locate(knots, sample.product, sample.orders, n_products)
    fit, noise = _fit_bisquare(_Rows(sample.product, sample.hours, located), len(knots))
    equations, prior, coefficients = fit.equations, fit.prior, fit.coefficients
    if len(sample.hours) < len(rows.hours):
        equations = _bisquare_equations(rows, knots, coefficients, noise)
        prior = estimate_prior(equations, prior)
        coefficients = compute_posterior(equations, prior).means
    return make_monotone(coefficients, equations, prior)


def _fit_bisquare(rows: _Rows, n_coefficients: int) -> tuple[_WeightedFit, NoiseScale]:
    """Fit with bisquare weights, from Huber's fit on, until convergence."""
    fit = _fit_huber(rows, n_coefficients)
    noise = NoiseScale.unit(rows.located.n_products)
    for _ in range(MAX_IRLS_STEPS):
        noise = refine_noise(rows.product, fit.estimates, fit.residuals, noise)
        noise_hours = noise.of(rows.product, fit.estimates)
        weights = bisquare_weights(rows.hours - fit.estimates, noise_hours)
        previous = fit.estimates
        fit = _fit_weighted(rows, weights, fit.prior)
        if np.mean(np.abs(fit.estimates - previous) / noise_hours) < BISQUARE_TOLERANCE:
            break
    return fit, noise


def _fit_huber(rows: _Rows, n_coefficients: int) -> _WeightedFit:
    """Fit with Huber's weights, from level curves and a flat prior on, until convergence."""
    level = np.sqrt(np.mean(rows.hours**2)) + MIN_LEVEL_HOURS
    flat = Prior(np.zeros(n_coefficients), level**2 * np.eye(n_coefficients))
    estimates = np.full(len(rows.hours), np.median(rows.hours))
    residuals = rows.hours - estimates
    for _ in range(MAX_IRLS_STEPS):
        # σ = median |r| / median |Z|, the normalised median absolute deviation
        noise = np.median(np.abs(residuals)) / MEDIAN_ABSOLUTE_NORMAL
        noise += MIN_NOISE_SHARE_OF_HOURS * level
        weights = huber_weights(rows.hours - estimates, noise)
        fit = _fit_weighted(rows, weights, flat)
        change = np.mean(np.abs(fit.estimates - estimates)) / noise
        estimates, residuals = fit.estimates, fit.residuals
        if change < HUBER_TOLERANCE:
            break
    return fit


def _fit_weighted(rows: _Rows, weights: Floats, start: Prior) -> _WeightedFit:
    """Fit the curves to weighted rows, and see where the rows lie around them.

    Args:
        rows: to fit.
        weights: of the rows in 1/hours², shape (n_rows,); one over the variance of the noise
            where nothing is wrong.
        start: where the estimation of the prior begins.
    """
    by_segment = sum_by_segment(rows.located, rows.hours, weights)
    equations = normal_equations(by_segment, rows.located.rows_of_product, len(start.mean))
    prior = estimate_prior(equations, start)
    posterior = compute_posterior(equations, prior)
    estimates = np.maximum(evaluate(posterior.means, rows.located), 0.0)
    # E r² = σ² · (1 - df / n), where df are the effective degrees of freedom of n rows
    residual_freedom = 1 - posterior.degrees_of_freedom / np.maximum(equations.rows, 1)
    reduction = np.sqrt(np.maximum(residual_freedom, MIN_RESIDUAL_FREEDOM))
    residuals = (rows.hours - estimates) / reduction[rows.product]
    return _WeightedFit(posterior.means, equations, prior, estimates, residuals)


def _bisquare_equations(
    rows: LabelledRows, knots: Floats, coefficients: Floats, noise: NoiseScale
) -> NormalEquations:
    """Return the equations of all rows, with weights from the curves that a sample gave."""
    n_products, n_coefficients = coefficients.shape
    by_segment = np.zeros((5, n_products, max(n_coefficients - 1, 1)))
    for chunk in rows.chunks():
        located = locate(knots, chunk.product, chunk.orders, n_products)
        estimates = np.maximum(evaluate(coefficients, located), 0.0)
        noise_hours = noise.of(chunk.product, estimates)
        weights = bisquare_weights(chunk.hours - estimates, noise_hours)
        by_segment += sum_by_segment(located, chunk.hours, weights)
    rows_of_product = np.bincount(rows.product, minlength=n_products)
    return normal_equations(by_segment, rows_of_product, n_coefficients)
