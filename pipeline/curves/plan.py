"""What a sample of the products says of all: the knots, the prior, the noise, the step.

A product with few rows leans on what all products have in common. That takes some thousand of them
to know, and not all: but these with all their rows, since a product of which rows are left out is
no product of the week. With this plan in hand, each product is fitted on its own rows alone (see
`robust_fit`), and its curve does not depend on which others are fitted beside it.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.curves.alone import HUBER_TOLERANCE, MAX_IRLS_STEPS
from pipeline.curves.expected import Biases, plan_biases
from pipeline.curves.kinds import examine_ties
from pipeline.curves.noise import (
    MEDIAN_ABSOLUTE_NORMAL,
    MIN_NOISE_SHARE_OF_HOURS,
    NoiseScale,
    refine_noise,
)
from pipeline.curves.prior import Prior, estimate_prior
from pipeline.curves.segments import Positions, place_knots
from pipeline.curves.steps import smallest_noise, step_of, steps_of_products, with_steps
from pipeline.curves.weighted_fit import (
    LabelledRows,
    PlacedRows,
    WeightedFit,
    solve,
    weighted_equations,
)
from pipeline.curves.weights import bisquare_weights, huber_weights
from pipeline.model.arrays import Floats
from pipeline.orders.hashes import hash_codes

MIN_LEVEL_HOURS = 1e-9
BISQUARE_TOLERANCE = 5e-3
"""IRLS has converged when the estimates move less than this on average, in units of the noise."""
MAX_PLANNED_ROWS = 200_000


class CurvePlan(NamedTuple):
    """What the curves of all products have in common.

    Attributes:
        ends: the least and the most orders placed, or one count if there is one only.
        knots: order counts between which the curves are straight, shape (D,).
        prior: of their coefficients.
        start_noise_hours: of all rows alike, with which a robust fit begins.
        noise: of rows around their curves; the products in it are those of the sample.
        step_hours: in which most labels come; zero for none.
        biases: of mean hours beside the curves.
    """

    ends: Floats
    knots: Floats
    prior: Prior
    start_noise_hours: float
    noise: NoiseScale
    step_hours: float
    biases: Biases


def plan_curves(rows: LabelledRows, segments: int) -> CurvePlan:
    """Learn from the rows of some products what the curves of all have in common.

    It is iteratively reweighted least squares (IRLS). It starts with Huber's weights and one noise
    for all rows, which finds the bulk of the rows even when a third of the labels is wrong. It goes
    on with Tukey's bisquare weights, which leave outliers without any influence, and with noise
    that may grow with the estimate and differ by product, so that noisy rows count less (Holland
    and Welsch 1977 compare the weights).

    Args:
        rows: all rows of these products.
        segments: most segments of the curves.
    """
    numbers, product = np.unique(rows.product, return_inverse=True)
    rows, n_products = rows._replace(product=product), len(numbers)
    steps = steps_of_products(rows.product, rows.hours, n_products)
    step_hours = step_of(rows.hours)
    ends = np.unique([rows.orders.min(), rows.orders.max()])
    knots = place_knots(rows.product, rows.orders, rows.hours, segments)
    rows = examine_ties(rows, steps, ends).of_another_kind().majority_of(rows)
    placed = PlacedRows.of(rows, knots, steps)
    fit, prior, start_noise_hours = _fit_huber(placed, len(knots))
    fit, prior, noise = _fit_bisquare(placed, fit, prior)
    biases = plan_biases(placed, fit.estimates(placed), noise)
    return CurvePlan(ends, knots, prior, start_noise_hours, noise, step_hours, biases)


def whole_products(
    product: Positions, codes: "pd.Index[str]", max_rows: int = MAX_PLANNED_ROWS
) -> npt.NDArray[np.bool_] | slice:
    """Return which rows are a sample of at most so many, with all rows of each of its products.

    The products are drawn by hashes of their codes, so that the same ones are in it however the
    rows are dealt out. Only if the first of them has more rows than that, it loses some.

    Args:
        product: position of each row's product among the codes, shape (n_rows,).
        codes: of the products.
        max_rows: of the sample.
    """
    if len(product) <= max_rows:
        return slice(None)
    rows = np.bincount(product, minlength=len(codes))
    drawn = np.argsort(hash_codes(codes), kind="stable")
    is_in = np.zeros(len(codes), dtype=bool)
    is_in[drawn[: max(1, int((np.cumsum(rows[drawn]) <= max_rows).sum()))]] = True
    chosen: npt.NDArray[np.bool_] = is_in[product]
    surplus = -(-int(chosen.sum()) // max_rows)
    if surplus > 1:
        chosen[np.flatnonzero(chosen)[np.arange(int(chosen.sum())) % surplus != 0]] = False
    return chosen


def _fit_huber(rows: PlacedRows, n_coefficients: int) -> tuple[WeightedFit, Prior, float]:
    """Fit with Huber's weights, from level curves and a flat prior on, until convergence.

    Returns:
        The curves, the prior, and the noise of all rows in hours.
    """
    level = np.sqrt(np.mean(rows.hours**2)) + MIN_LEVEL_HOURS
    flat = Prior(np.zeros(n_coefficients), level**2 * np.eye(n_coefficients))
    some = rows.located.representatives
    estimates = np.full(len(rows.hours), np.median(rows.hours))
    sizes = np.abs(rows.hours - estimates)
    for _ in range(MAX_IRLS_STEPS):
        # σ = median |r| / median |Z|, the normalised median absolute deviation
        noise = float(np.median(sizes[some])) / MEDIAN_ABSOLUTE_NORMAL
        noise += MIN_NOISE_SHARE_OF_HOURS * level
        noise_hours = np.maximum(noise, smallest_noise(rows.steps))
        weights = huber_weights(rows.hours - estimates, noise_hours)
        fit, prior = _fit_with_prior(rows, weights, flat)
        previous, estimates = estimates, fit.estimates(rows)
        sizes = np.abs(rows.hours - estimates) / fit.reduction[rows.product]
        if np.mean(np.abs(estimates - previous)) < HUBER_TOLERANCE * noise:
            break
    return fit, prior, noise


def _fit_bisquare(
    rows: PlacedRows, fit: WeightedFit, prior: Prior
) -> tuple[WeightedFit, Prior, NoiseScale]:
    """Go on with bisquare weights, from Huber's fit, until convergence."""
    noise = NoiseScale.unit(rows.located.n_products)
    some = rows.located.representatives
    estimates = fit.estimates(rows)
    for _ in range(MAX_IRLS_STEPS):
        residuals = rows.hours - estimates
        sizes = with_steps(residuals / fit.reduction[rows.product], rows.steps)
        noise = refine_noise(rows.product[some], estimates[some], sizes[some], noise)
        noise_hours = noise.of(rows.product, estimates)
        fit, prior = _fit_with_prior(rows, bisquare_weights(residuals, noise_hours), prior)
        previous, estimates = estimates, fit.estimates(rows)
        if np.mean(np.abs(estimates - previous) / noise_hours) < BISQUARE_TOLERANCE:
            break
    return fit, prior, noise


def _fit_with_prior(rows: PlacedRows, weights: Floats, start: Prior) -> tuple[WeightedFit, Prior]:
    """Fit the curves to weighted rows, and the prior to the curves.

    Args:
        rows: to fit.
        weights: of the rows in 1/hours², shape (n_rows,); one over the variance of the noise
            where nothing is wrong.
        start: where the estimation of the prior begins.
    """
    equations = weighted_equations(rows, weights, len(start.mean))
    prior = estimate_prior(equations, start)
    return solve(equations, prior), prior
