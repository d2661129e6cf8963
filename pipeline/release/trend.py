"""Slow movement: estimates that move a little each week, and far over many weeks."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from pipeline.model.arrays import Floats
from pipeline.model.metadata import Failure, Trend
from pipeline.model.reader import DispatchModel
from pipeline.release.champion import Challenger, estimate_ratios
from pipeline.stages.command_line import option_of

FALSE_ALARM_RATE = 0.003
"""Slopes that wander by themselves go far in thirteen weeks. What chance exceeds this often is
allowed for each reference; of 1,000 sound weeks, all references together then stop two or three."""
VARIANCE_OF_MEDIAN = math.pi / 2
"""Variance of the median of normal values relative to that of their mean."""
MAX_RATIO = 1e3
"""Estimates of zero have no logarithm; they count as so many times smaller."""


def measure_trend(
    references: Sequence[DispatchModel], challenger: Challenger, max_trend: float
) -> Trend | None:
    """Measure how far the estimates moved since earlier models, and return the worst.

    Each product counts with its rows of this week, so that those with few do not decide.

    Args:
        references: earlier models, the newest last.
        challenger: the new model and its week.
        max_trend: factor by which the estimates may move; by half of it (in logarithms) they may
            move without a warning. Both are wider where chance explains more.

    Returns:
        The movement since one of the models; None if there is none to compare with.
    """
    if not references:
        return None
    ratios = np.array([estimate_ratios(model, challenger.grid) for model in references])
    trends = _trends(references, np.clip(ratios, 1 / MAX_RATIO, MAX_RATIO), challenger, max_trend)
    return max(
        trends,
        key=lambda trend: (trend.is_too_far, trend.breached, abs(math.log(trend.ratio))),
        default=None,
    )


def trend_failures(trend: Trend | None) -> list[Failure]:
    """Return that the estimates moved too far over some weeks, or nothing.

    The caller asks only where such weeks are not accepted.
    """
    if trend is None or not trend.is_too_far:
        return []
    return [
        Failure(
            rule="trend",
            summary=f"the estimates are {trend.ratio:.3g} times those of the model of "
            f"{trend.since:%Y-%m-%d} in the median over products (limit {trend.limit:.3g})",
            value=trend.ratio,
            limit=trend.limit,
            details=(
                f"That model is {trend.since_version}. No week since then need have been unlike "
                "the one before it: labels that grow or shrink a little each week move estimates "
                "like this.",
            ),
            remedy=f"If the hours really changed, {option_of('accept_shift')} publishes the new "
            "model, and later ones are compared with that; a larger "
            f"{option_of('max_trend')} accepts every such trend.",
        )
    ]


def trend_warnings(trend: Trend | None) -> list[str]:
    """Return one sentence about estimates that move farther than is usual, or nothing."""
    if trend is None or not trend.breached:
        return []
    return [
        f"The estimates are {trend.ratio:.3g} times those of the model of {trend.since:%Y-%m-%d} "
        f"in the median over products, farther than by a factor of {trend.warning_limit:.3g}; a "
        f"factor of {trend.limit:.3g} is refused. That model is {trend.since_version}. Make sure "
        "that the hours really change. If they do, "
        f"{option_of('accept_shift')} starts the comparison anew."
    ]


def _trends(
    references: Sequence[DispatchModel], ratios: Floats, challenger: Challenger, max_trend: float
) -> Iterator[Trend]:
    moved = np.log(ratios)
    spread = _weekly_spread(moved, challenger.rows.astype(float))
    for position, (model, movement) in enumerate(zip(references, moved)):
        known = np.isfinite(movement)
        if not known.any():
            continue
        models = len(references) - position
        rows = challenger.rows[known].astype(float)
        # The median of k steps of n products that wander by σ has the variance π/2 · σ² · k / n,
        # with n = (Σ w)² / Σ w² (Kish, Survey Sampling, 1965).
        products = rows.sum() ** 2 / (rows**2).sum()
        error = spread * math.sqrt(VARIANCE_OF_MEDIAN * models / products)
        by_chance = math.exp(float(stats.norm.isf(FALSE_ALARM_RATE / 2)) * error)
        yield Trend(
            since_version=model.version,
            since=model.metadata.dataset.delivered_at,
            models=models,
            ratio=math.exp(_weighted_median(movement[known], rows)),
            warning_limit=max(math.sqrt(max_trend), by_chance),
            limit=max(max_trend, by_chance),
        )


def _weekly_spread(moved: Floats, rows: Floats) -> float:
    """Return the standard deviation of a week's steps among products, all weeks pooled.

    What all products have in common does not count: it is what a trend is made of.

    Args:
        moved: logarithm of the challenger's to each model's estimates, the newest model last,
            shape (n_models, n_products); NaN where unknown.
        rows: of the products, shape (n_products,).
    """
    steps = -np.diff(moved, axis=0, append=0.0)
    weights = np.where(np.isfinite(steps), rows, 0.0)
    totals = np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    steps = np.nan_to_num(steps)
    deviations = steps - (weights * steps).sum(axis=1, keepdims=True) / totals
    squares = float((weights * deviations**2).sum())
    # Σ w (s − s̄)² has the expectation σ² · (Σ w − Σ w² / Σ w).
    freedom = float((totals - (weights**2).sum(axis=1, keepdims=True) / totals).sum())
    # Of one product there is none, and the squares are what rounding leaves.
    return math.sqrt(squares / freedom) if freedom > 0 else 0.0


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulated, cumulated[-1] / 2)])
