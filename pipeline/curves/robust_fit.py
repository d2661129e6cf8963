"""Curves through rows of which a few are wrong: iteratively reweighted least squares (IRLS).

It starts with Huber's weights and one noise for all rows, which finds the bulk of the rows even
when a third of the labels is wrong. It goes on with Tukey's bisquare weights, which leave outliers
without any influence, and with noise that may grow with the estimate and differ by product, so
that noisy rows count less (Holland and Welsch 1977 compare the weights). Where there are many
rows, all this happens on a sample of them, and one more step on all of them is as good as many
(one-step M-estimates: Bickel 1975).
"""

import numpy as np

from pipeline.curves.kinds import examine_ties
from pipeline.curves.noise import NoiseScale, refine_noise
from pipeline.curves.prior import compute_posterior, estimate_prior, make_monotone
from pipeline.curves.segments import (
    NormalEquations,
    evaluate,
    locate,
    normal_equations,
    sum_by_segment,
)
from pipeline.curves.steps import steps_of_products, with_steps
from pipeline.curves.weighted_fit import (
    MAX_IRLS_STEPS,
    LabelledRows,
    PlacedRows,
    WeightedFit,
    fit_huber,
    fit_weighted,
)
from pipeline.curves.weights import bisquare_weights
from pipeline.model.arrays import Floats
from pipeline.orders.splits import systematic_sample

BISQUARE_TOLERANCE = 1e-3
"""IRLS has converged when the estimates move less than this on average, in units of the noise."""
MAX_IRLS_ROWS = 500_000


def fit_robustly(rows: LabelledRows, knots: Floats, n_products: int) -> Floats:
    """Return the coefficients of each product's curve, no rise negative, shape (n_products, D).

    Args:
        rows: to fit.
        knots: of the curves, shape (D,).
        n_products: number of products.
    """
    sample = rows.sample(systematic_sample(len(rows.hours), MAX_IRLS_ROWS))
    steps = steps_of_products(sample.product, sample.hours, n_products)
    ties = examine_ties(sample, steps).of_another_kind()
    rows, sample = ties.majority_of(rows), ties.majority_of(sample)
    fit, noise = _fit_bisquare(PlacedRows.of(sample, knots, steps), len(knots))
    equations, prior, coefficients = fit.equations, fit.prior, fit.coefficients
    if len(sample.hours) < len(rows.hours):
        equations = _bisquare_equations(rows, knots, coefficients, noise)
        prior = estimate_prior(equations, prior)
        coefficients = compute_posterior(equations, prior).means
    return make_monotone(coefficients, equations, prior)


def _fit_bisquare(rows: PlacedRows, n_coefficients: int) -> tuple[WeightedFit, NoiseScale]:
    """Fit with bisquare weights, from Huber's fit on, until convergence."""
    fit = fit_huber(rows, n_coefficients)
    noise = NoiseScale.unit(rows.located.n_products)
    some = rows.located.representatives
    for _ in range(MAX_IRLS_STEPS):
        sizes = with_steps(fit.residuals, rows.steps)
        noise = refine_noise(rows.product[some], fit.estimates[some], sizes[some], noise)
        noise_hours = noise.of(rows.product, fit.estimates)
        weights = bisquare_weights(rows.hours - fit.estimates, noise_hours)
        previous = fit.estimates
        fit = fit_weighted(rows, weights, fit.prior)
        if np.mean(np.abs(fit.estimates - previous) / noise_hours) < BISQUARE_TOLERANCE:
            break
    return fit, noise


def _bisquare_equations(
    rows: LabelledRows, knots: Floats, coefficients: Floats, noise: NoiseScale
) -> NormalEquations:
    """Return the equations of all rows, with weights from the curves that a sample gave."""
    n_products, n_coefficients = coefficients.shape
    by_segment = np.zeros((5, n_products, max(n_coefficients - 1, 1)))
    for chunk in rows.chunks():
        located = locate(knots, chunk.product, chunk.orders, n_products, chunk.sample_weight)
        estimates = np.maximum(evaluate(coefficients, located), 0.0)
        noise_hours = noise.of(chunk.product, estimates)
        weights = bisquare_weights(chunk.hours - estimates, noise_hours)
        by_segment += sum_by_segment(located, chunk.hours, weights)
    rows_of_product = np.bincount(rows.product, rows.sample_weight, minlength=n_products)
    return normal_equations(by_segment, rows_of_product, n_coefficients)
