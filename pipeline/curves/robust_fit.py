"""The curve of each product through its rows, of which a few may be wrong, with a plan in hand.

Each product is fitted alone, by iteratively reweighted least squares, first with Huber's weights
and then with Tukey's (see `plan`). Where a product has many rows, this happens on a sample of them,
and one more step on all of them is as good as many (one-step M-estimates: Bickel 1975).
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pipeline.curves.alone import huber_with_noise, iterate, start_at
from pipeline.curves.expected import expected_coefficients
from pipeline.curves.kinds import examine_ties
from pipeline.curves.noise import refine_relative_noise
from pipeline.curves.plan import BISQUARE_TOLERANCE, CurvePlan
from pipeline.curves.prior import make_monotone
from pipeline.curves.segments import Positions, normal_equations, sum_by_segment
from pipeline.curves.steps import steps_of_each, with_steps
from pipeline.curves.weighted_fit import (
    LabelledRows,
    PlacedRows,
    WeightedFit,
    solve,
    weighted_equations,
)
from pipeline.curves.weights import bisquare_weights
from pipeline.model.arrays import Floats

MAX_IRLS_ROWS = 200
"""Of a product; rows beyond these take part in one step."""
MAX_BLOCK_ROWS, MAX_BLOCK_PRODUCTS = 250_000, 8_000
"""What is fitted at once stays in the processor's cache, more or less."""


def fit_products(
    rows: LabelledRows, plan: CurvePlan, n_products: int, estimate: str = "typical"
) -> Floats:
    """Return the coefficients of each product's curve, no rise negative, shape (n_products, D).

    Args:
        rows: to fit; those of a product in the same sequence give the same curve to the last bit,
            whatever rows there are of others.
        plan: what all curves have in common.
        n_products: number of products; those without rows get the curve that is typical of all.
        estimate: whether typical or mean hours are estimated.
    """
    if (np.diff(rows.product) < 0).any():
        rows = rows.sample(np.argsort(rows.product, kind="stable"))
    coefficients = np.empty((n_products, len(plan.knots)))
    for products, own in _blocks(np.bincount(rows.product, minlength=n_products)):
        block = rows.sample(own)
        block = block._replace(product=block.product - products.start)
        n_block = products.stop - products.start
        coefficients[products] = _fit_block(block, plan, n_block, estimate)
    return coefficients


def _blocks(rows: Positions) -> Iterator[tuple[slice, slice]]:
    """Yield the products that are fitted at once, and their rows.

    Args:
        rows: of each product, shape (n_products,).
    """
    ends = np.cumsum(rows)
    first = start = 0
    while first < len(rows):
        within = int(np.searchsorted(ends, start + MAX_BLOCK_ROWS, side="right"))
        end = min(max(within, first + 1), first + MAX_BLOCK_PRODUCTS)
        yield slice(first, end), slice(start, int(ends[end - 1]))
        first, start = end, int(ends[end - 1])


def _fit_block(rows: LabelledRows, plan: CurvePlan, n_products: int, estimate: str) -> Floats:
    """Fit products whose rows are in sequence; see `fit_products`."""
    some = rows.sample(_thinned(rows.product, n_products))
    steps = steps_of_each(some.product, some.hours, n_products, plan.step_hours)
    ties = examine_ties(some, steps, plan.ends).of_another_kind()
    rows, some = ties.majority_of(rows), ties.majority_of(some)
    placed = PlacedRows.of(some, plan.knots, steps)
    start = start_at(plan.prior, placed)
    fit = huber_with_noise(placed, start, plan.prior, plan.start_noise_hours)
    fit = _fit_bisquare(placed, fit, plan)
    n_rows, n_some = (np.bincount(each.product, minlength=n_products) for each in (rows, some))
    larger = n_rows > n_some
    if larger.any():
        fit.put(larger, _one_step(_of_products(rows, larger), steps[larger], fit.of(larger), plan))
    fit = fit._replace(coefficients=make_monotone(fit.coefficients, fit.equations, plan.prior))
    if estimate == "typical":
        return fit.coefficients
    placed = PlacedRows.of(rows, plan.knots, steps)
    noise = plan.noise._replace(relative=fit.relative_noise)
    return expected_coefficients(
        fit.coefficients, placed, fit.estimates(placed), noise, plan.biases
    )


def _thinned(product: Positions, n_products: int) -> npt.NDArray[np.bool_] | slice:
    """Return at most so many rows of each product, evenly spread; they are in sequence."""
    rows = np.bincount(product, minlength=n_products)
    every = -(-rows // MAX_IRLS_ROWS)
    if every.max() <= 1:
        return slice(None)
    place = np.arange(len(product)) - (np.cumsum(rows) - rows)[product]
    thinned: npt.NDArray[np.bool_] = place % every[product] == 0
    return thinned


def _of_products(rows: LabelledRows, kept: npt.NDArray[np.bool_]) -> LabelledRows:
    """Return the rows of some of the products, which are numbered anew."""
    if kept.all():
        return rows
    some = rows.sample(kept[rows.product])
    return some._replace(product=(np.cumsum(kept) - 1)[some.product])


def _fit_bisquare(rows: PlacedRows, start: WeightedFit, plan: CurvePlan) -> WeightedFit:
    """Go on with bisquare weights, and the noise of each product, until convergence."""

    def step(rows: PlacedRows, fit: WeightedFit) -> tuple[WeightedFit, Floats]:
        estimates = fit.estimates(rows)
        residuals = rows.hours - estimates
        sizes = with_steps(residuals / fit.reduction[rows.product], rows.steps)
        noise = refine_relative_noise(
            plan.noise._replace(relative=fit.relative_noise),
            rows.product,
            estimates,
            sizes,
            rows.located.sample_weight,
        )
        weights = bisquare_weights(residuals, noise.of(rows.product, estimates))
        equations = weighted_equations(rows, weights, len(plan.knots))
        middle = np.maximum(np.cumsum(fit.coefficients, axis=1).mean(axis=1), 0.0)
        noise_hours = noise.of(np.arange(len(middle)), middle)
        return solve(equations, plan.prior, noise.relative), noise_hours

    return iterate(rows, start, step, BISQUARE_TOLERANCE)


def _one_step(rows: LabelledRows, steps: Floats, fit: WeightedFit, plan: CurvePlan) -> WeightedFit:
    """Fit all rows once, with weights from the curves that some of them gave."""
    n_products, n_coefficients = fit.coefficients.shape
    noise = plan.noise._replace(relative=fit.relative_noise)
    by_segment = np.zeros((5, n_products, max(n_coefficients - 1, 1)))
    for start in range(0, len(rows.hours), MAX_BLOCK_ROWS):
        some = rows.sample(slice(start, start + MAX_BLOCK_ROWS))
        placed = PlacedRows.of(some, plan.knots, steps)
        estimates = fit.estimates(placed)
        noise_hours = noise.of(placed.product, estimates)
        weights = bisquare_weights(placed.hours - estimates, noise_hours)
        by_segment += sum_by_segment(placed.located, placed.hours, weights)
    rows_of_product = np.bincount(rows.product, rows.sample_weight, minlength=n_products)
    equations = normal_equations(by_segment, rows_of_product, n_coefficients)
    return solve(equations, plan.prior, fit.relative_noise)
