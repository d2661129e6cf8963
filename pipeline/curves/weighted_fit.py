"""One step of reweighted least squares, and Huber's fit, with which it begins.

Huber's weights and one noise for all rows find the bulk of the rows even when a third of the labels
is wrong (Huber 1964).
"""

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from pipeline.curves.noise import MEDIAN_ABSOLUTE_NORMAL, MIN_NOISE_SHARE_OF_HOURS
from pipeline.curves.prior import Prior, compute_posterior, estimate_prior
from pipeline.curves.segments import (
    LocatedRows,
    NormalEquations,
    Positions,
    evaluate,
    locate,
    normal_equations,
    sum_by_segment,
)
from pipeline.curves.steps import smallest_noise
from pipeline.curves.weights import huber_weights
from pipeline.model.arrays import Floats

MAX_IRLS_STEPS = 20
HUBER_TOLERANCE = 0.03
"""Huber's fit has converged when the estimates move less than this on average, in units of the
noise."""
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
        sample_weight: how much each row counts; None if all count alike.
    """

    product: Positions
    orders: Floats
    hours: Floats
    sample_weight: Floats | None = None

    def sample(self, where: slice | npt.NDArray[np.bool_]) -> "LabelledRows":
        """Return some of the rows."""
        weights = None if self.sample_weight is None else self.sample_weight[where]
        return LabelledRows(self.product[where], self.orders[where], self.hours[where], weights)

    def chunks(self) -> Iterator["LabelledRows"]:
        """Yield all rows, a few at a time."""
        for start in range(0, len(self.hours), MAX_CHUNK_ROWS):
            yield self.sample(slice(start, start + MAX_CHUNK_ROWS))


class PlacedRows(NamedTuple):
    """Rows, and where they lie on the curves.

    Attributes:
        product: position of each row's product, shape (n_rows,).
        hours: labels, shape (n_rows,).
        steps: in which these labels come, in hours; zero for none, shape (n_rows,).
        located: on the curves.
    """

    product: Positions
    hours: Floats
    steps: Floats
    located: LocatedRows

    @classmethod
    def of(cls, rows: LabelledRows, knots: Floats, steps: Floats) -> Self:
        """Place rows on the curves with these knots, of products with these steps."""
        located = locate(knots, rows.product, rows.orders, len(steps), rows.sample_weight)
        return cls(rows.product, rows.hours, steps[rows.product], located)


class WeightedFit(NamedTuple):
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


def fit_huber(rows: PlacedRows, n_coefficients: int) -> WeightedFit:
    """Fit with Huber's weights, from level curves and a flat prior on, until convergence.

    The noise is that of all rows, and at least what the steps of a row's label allow: curves would
    follow the steps otherwise, and there would be no noise left to weigh other rows with.
    """
    level = np.sqrt(np.mean(rows.hours**2)) + MIN_LEVEL_HOURS
    flat = Prior(np.zeros(n_coefficients), level**2 * np.eye(n_coefficients))
    estimates = np.full(len(rows.hours), np.median(rows.hours))
    residuals = rows.hours - estimates
    some = rows.located.representatives
    for _ in range(MAX_IRLS_STEPS):
        # σ = median |r| / median |Z|, the normalised median absolute deviation
        noise = np.median(np.abs(residuals[some])) / MEDIAN_ABSOLUTE_NORMAL
        noise += MIN_NOISE_SHARE_OF_HOURS * level
        noise_hours = np.maximum(noise, smallest_noise(rows.steps))
        weights = huber_weights(rows.hours - estimates, noise_hours)
        fit = fit_weighted(rows, weights, flat)
        change = np.mean(np.abs(fit.estimates - estimates)) / noise
        estimates, residuals = fit.estimates, fit.residuals
        if change < HUBER_TOLERANCE:
            break
    return fit


def fit_weighted(rows: PlacedRows, weights: Floats, start: Prior) -> WeightedFit:
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
    return WeightedFit(posterior.means, equations, prior, estimates, residuals)
