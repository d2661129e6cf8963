"""Iteratively reweighted least squares (IRLS) of each product alone, of many products at once.

A product whose curve has converged is left as it is. So its curve does not depend, to the last bit,
on which other products are fitted beside it.
"""

from collections.abc import Callable

import numpy as np

from pipeline.curves.labels import medians_of
from pipeline.curves.noise import MEDIAN_ABSOLUTE_NORMAL, MIN_NOISE_SHARE_OF_HOURS
from pipeline.curves.prior import Prior
from pipeline.curves.steps import smallest_noise
from pipeline.curves.weighted_fit import PlacedRows, WeightedFit, solve, weighted_equations
from pipeline.curves.weights import huber_weights
from pipeline.model.arrays import Floats

MAX_IRLS_STEPS = 20
HUBER_TOLERANCE = 0.1
"""Huber's fit has converged when a curve moves less than this at its knots on average, in units of
the noise."""
MIN_NOISE_HOURS = 1e-9
FLAT_HOURS = 1e6
"""Standard deviation of a prior that says next to nothing."""

NoiseOf = Callable[[PlacedRows, WeightedFit], Floats]
"""Takes rows and the curves so far; returns the noise of the rows in hours, shape (n_rows,)."""


def start_at(prior: Prior, rows: PlacedRows) -> WeightedFit:
    """Return the curve that is typical of all products, for each of them."""
    n_products, n_coefficients = rows.located.n_products, len(prior.mean)
    equations = weighted_equations(rows, np.zeros(len(rows.hours)), n_coefficients)
    coefficients = np.tile(prior.mean, (n_products, 1))
    return WeightedFit(coefficients, equations, np.ones(n_products), np.ones(n_products))


def iterate(
    rows: PlacedRows,
    start: WeightedFit,
    step: Callable[[PlacedRows, WeightedFit], tuple[WeightedFit, Floats]],
    tolerance: float,
) -> WeightedFit:
    """Take steps until the curves of all products have converged.

    Args:
        rows: of all products.
        start: the curves to start from.
        step: returns the next curves, and the noise of each product in hours, shape (n_products,).
        tolerance: a curve that moves less than this, in units of the noise, has converged.
    """
    moving = np.arange(len(start.coefficients))
    fit, found = start, start.of(moving)
    for _ in range(MAX_IRLS_STEPS):
        before = fit.coefficients
        fit, noise_hours = step(rows, fit)
        found.put(moving, fit)
        moved = np.abs(np.cumsum(fit.coefficients - before, axis=1)).mean(axis=1)
        is_moving = moved >= tolerance * noise_hours
        if not is_moving.any():
            break
        if not is_moving.all():
            moving, rows, fit = moving[is_moving], rows.of_products(is_moving), fit.of(is_moving)
    return found


def huber_with_noise(
    rows: PlacedRows, start: WeightedFit, prior: Prior, noise_hours: float
) -> WeightedFit:
    """Fit with Huber's weights, and the same noise for all rows, until convergence.

    The noise is at least what the steps of a row's label allow: curves would follow the steps
    otherwise, and there would be no noise left to weigh other rows with.
    """

    def step(rows: PlacedRows, fit: WeightedFit) -> tuple[WeightedFit, Floats]:
        noise = np.maximum(noise_hours, smallest_noise(rows.steps))
        weights = huber_weights(rows.hours - fit.estimates(rows), noise)
        equations = weighted_equations(rows, weights, len(prior.mean))
        return solve(equations, prior), np.full(rows.located.n_products, noise_hours)

    return iterate(rows, start, step, HUBER_TOLERANCE)


def huber_lines(rows: PlacedRows, n_coefficients: int) -> WeightedFit:
    """Fit each product with Huber's weights and its own noise, without any prior knowledge."""
    flat = Prior(np.zeros(n_coefficients), FLAT_HOURS**2 * np.eye(n_coefficients))
    start = start_at(flat, rows)
    start.coefficients[:, 0] = medians_of(rows.product, rows.hours, rows.located.n_products)

    def step(rows: PlacedRows, fit: WeightedFit) -> tuple[WeightedFit, Floats]:
        residuals = rows.hours - fit.estimates(rows)
        # σ = median |r| / median |Z|, the normalised median absolute deviation
        sizes = np.abs(residuals) / fit.reduction[rows.product]
        noise = medians_of(rows.product, sizes, rows.located.n_products) / MEDIAN_ABSOLUTE_NORMAL
        noise += MIN_NOISE_SHARE_OF_HOURS * np.abs(fit.coefficients).max(axis=1) + MIN_NOISE_HOURS
        noise_hours = np.maximum(noise[rows.product], smallest_noise(rows.steps))
        equations = weighted_equations(rows, huber_weights(residuals, noise_hours), len(flat.mean))
        return solve(equations, flat), noise

    return iterate(rows, start, step, HUBER_TOLERANCE)
