"""Intervals for the week in which they are used: the one after the week that they are learnt from.

Estimates move from week to week, since curves do. An interval that holds in its own week is too
narrow in the next. How much too narrow is known from the weeks before: each was new to the model
in production at that time. So each model records how far that one's estimates were off in the
model's own week, beyond the interval which the noise alone asks for.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from pipeline.model.arrays import Floats
from pipeline.model.metadata import ChampionComparison, PredictionInterval, WeekAfter
from pipeline.model.order import HOURS, PRODUCT
from pipeline.model.reader import DispatchModel
from pipeline.orders.splits import systematic_sample
from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.release.champion_rules import is_too_exact

MAX_ROWS = 100_000
"""As many rows are enough for the quantiles of a week."""
QUANTILES = 200
"""So many are kept of each week, each for the same share of its rows."""
MAX_MOVEMENT = 1.0
"""Estimates that are small may be off by many times themselves; more than once is not allowed for,
so that one odd week does not make intervals without end."""
WEIGHT_OF_THE_WEEK_BEFORE = 0.95
"""Relative to the week after it: how much curves move may change in the course of a year."""
DECIMALS = 4


def observe_week_after(
    champion: DispatchModel, dataset: WeeklyDataset, comparison: ChampionComparison
) -> WeekAfter | None:
    """Return what a week says of the intervals of the model in production, which is new to it.

    Args:
        champion: the model in production.
        dataset: the week.
        comparison: of the new model with the champion.

    Returns:
        None if the week is the champion's own, if it has no rows of products and order counts that
        the champion's own week had, or if the champion's labels were computed, so that its
        intervals hold nothing.
    """
    if comparison.same_dataset or is_too_exact(comparison):
        return None
    orders = dataset.orders
    known = orders[orders[PRODUCT].isin(list(champion.metadata.own_rows))]
    known = known[systematic_sample(len(known), MAX_ROWS)]
    if known.empty:
        return None
    codes = known[PRODUCT].astype(str).tolist()
    predicted = champion.predict(known.assign(**{PRODUCT: codes}))
    is_seen = ~predicted.extrapolated
    if not is_seen.any():
        return None
    hours = predicted.hours[is_seen]
    residuals = known[HOURS].to_numpy()[is_seen] - hours
    below, above = champion.reach_of_noise(codes, predicted.hours)[:, is_seen]
    needed = _needed_movement(np.abs(residuals), np.where(residuals < 0, below, above), hours)
    rows = known[PRODUCT][is_seen].value_counts().to_numpy(dtype=float)
    middles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return WeekAfter(
        level=champion.metadata.interval.level,
        rows=len(hours),
        products=rows.sum() ** 2 / (rows**2).sum(),
        movements=tuple(np.quantile(needed, middles).round(DECIMALS).tolist()),
    )


def weeks_after(
    history: Sequence[DispatchModel], champion: DispatchModel, this_week: WeekAfter | None
) -> tuple[WeekAfter, ...]:
    """Return what the last weeks said of the models before them, the newest last.

    Models that people went back from say nothing.

    Args:
        history: the last models, the newest last.
        champion: the model in production.
        this_week: what this week says of it, if anything.
    """
    found = [
        model.metadata.week_after
        for model in history
        if model.metadata.trained_at <= champion.metadata.trained_at
    ]
    return tuple(week for week in (*found, this_week) if week is not None)


def allow_for_movement(
    interval: PredictionInterval, weeks: Sequence[WeekAfter]
) -> PredictionInterval:
    """Return an interval that will hold in the next week, if that moves as the last ones did.

    The reach to each side becomes √(r² + (m · ŷ)²), where r is the reach that the noise asks for.
    The movement m is the quantile at the level of what the rows of the last weeks needed, newer
    weeks weighing more (weighted conformal prediction: Barber, Candès, Ramdas and Tibshirani 2023,
    Conformal prediction beyond exchangeability). The rows of a product move together, so that not
    they are many, but the products and weeks: few of them tell a quantile as badly as Student's t
    differs from the normal distribution, and m is larger by that.

    Args:
        interval: calibrated on its own week.
        weeks: what the last ones said, the newest last; those of other levels do not count.
    """
    of_level = [week for week in weeks if week.level == interval.level]
    if not of_level:
        return interval
    ages = np.arange(len(of_level), dtype=float)[::-1]
    weights: Floats = np.power(WEIGHT_OF_THE_WEEK_BEFORE, ages)
    quantile = _weighted_quantile(
        np.array([week.movements for week in of_level]), weights, interval.level
    )
    # n = products · (Σ w)² / Σ w², as unequal weights count (Kish, Survey Sampling, 1965)
    products = np.average([week.products for week in of_level], weights=weights)
    units = products * weights.sum() ** 2 / (weights**2).sum()
    tail = (1 + interval.level) / 2
    for_few = float(stats.t.ppf(tail, units) / stats.norm.ppf(tail))
    movement = min(for_few * quantile, MAX_MOVEMENT)
    return interval.model_copy(update={"movement": movement, "weeks_after": len(of_level)})


def _needed_movement(distances: Floats, reach: Floats, estimates: Floats) -> Floats:
    """Return by which shares of their estimates rows are beyond what the noise explains.

    Args:
        distances: of the labels from the estimates in hours.
        reach: of the interval to their side in hours, as the noise asks for.
        estimates: in hours; all of shape (n_rows,).
    """
    # √(r² + (m · ŷ)²) = d
    beyond = np.sqrt(np.maximum(distances, reach) ** 2 - reach**2)
    at_most = MAX_MOVEMENT * estimates
    return np.divide(
        np.minimum(beyond, at_most), estimates, out=np.zeros_like(beyond), where=estimates > 0
    )


def _weighted_quantile(values: Floats, weights: Floats, share: float) -> float:
    """Return the quantile of weeks whose values weigh the same, shape (n_weeks, n_values)."""
    of_values = np.repeat(weights, values.shape[1])
    order = np.argsort(values, axis=None)
    cumulated = np.cumsum(of_values[order])
    return float(values.ravel()[order][np.searchsorted(cumulated, share * cumulated[-1])])
