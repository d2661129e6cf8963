"""How much earlier weeks count beside this one: what made the following week known best.

Each week counts as much beside the next as a number between 0 and 1, the decay, says; so old weeks
fade as in exponential smoothing, which is best where the truth wanders at random (Muth 1960). The
decay is chosen by validation forward in time (Bergmeir and Benítez 2012): models of the weeks up to
one are judged on the week after it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.model.arrays import Floats
from pipeline.model.metadata import (
    DecayScore,
    ForwardWeek,
    PastDataset,
    PredictionInterval,
    SeveralWeeks,
)
from pipeline.model.order import HOURS, PRODUCT
from pipeline.orders.features import features_of
from pipeline.orders.past_weeks import PastWeeks
from pipeline.orders.splits import plan_thinning
from pipeline.training.selection import (
    MAX_NEGLIGIBLE_EXCESS_HOURS,
    MAX_SELECTION_ROWS,
    MAX_SELECTION_ROWS_OF_PRODUCT,
    WEIGHT,
    Candidate,
    OutOfSample,
)

DECAYS = (0.0, 0.3, 0.6, 1.0)
"""0 is one week alone, which is taken unless another one is better by more than chance."""


class Forecast(NamedTuple):
    """The orders of a week, estimated from the weeks before it.

    Attributes:
        delivered_at: the time in the name of the week's dataset.
        rows: n_rows orders of products that the week before had.
        estimates: with each decay, in hours, shape (n_decays, n_rows).
        is_telling: whether there was more than one week to learn from, so that decays differ.
    """

    delivered_at: datetime
    rows: pd.DataFrame
    estimates: Floats
    is_telling: bool

    @property
    def errors(self) -> Floats:
        """Absolute errors in hours, shape (n_decays, n_rows)."""
        errors: Floats = np.abs(self.rows[HOURS].to_numpy() - self.estimates)
        return errors


class WeighedWeeks(NamedTuple):
    """What earlier weeks are worth.

    Attributes:
        past: the earlier weeks.
        forecasts: of each week that has another before it, the oldest first.
        scores: of the decays; empty if no forecast tells them apart.
        decay: the chosen one.
        hurts_this_week: whether it was chosen, and then left for this week's rows.
    """

    past: PastWeeks
    forecasts: tuple[Forecast, ...]
    scores: tuple[DecayScore, ...]
    decay: float
    hurts_this_week: bool = False

    def without_past(self) -> Self:
        """Return that earlier weeks are left out, since they make this one known less well."""
        return self._replace(decay=0.0, hurts_this_week=True)

    def rows(self) -> pd.DataFrame | None:
        """Return the rows of the weeks to learn from, with their weights; None without any."""
        weeks = [_Week(week.age, week.dataset.orders) for week in self.past.weeks]
        return _weighted([week for week in weeks if week.age < self.past.asked], self.decay)

    def facts(
        self, interval: PredictionInterval, products: Sequence[str], relative_noise: Floats
    ) -> SeveralWeeks:
        """Return all this as it is written down.

        Args:
            interval: of the model.
            products: that the model knows, n_products codes.
            relative_noise: of these products, below and above, shape (2, n_products).
        """
        by_week = [
            _by_week(forecast, DECAYS.index(self.decay), interval, products, relative_noise)
            for forecast in self.forecasts
        ]
        datasets = [
            PastDataset(
                key=week.dataset.key,
                sha256=week.dataset.sha256,
                delivered_at=week.dataset.delivered_at,
                rows=len(week.dataset.orders),
                age=week.age,
                weight=self.decay**week.age if week.age < self.past.asked else 0.0,
            )
            for week in self.past.weeks
        ]
        return SeveralWeeks(
            asked=self.past.asked,
            decay=self.decay,
            datasets=tuple(datasets),
            scores=self.scores,
            hurts_this_week=self.hurts_this_week,
            by_week=tuple(by_week),
        )


class _Week(NamedTuple):
    """The rows of a week, and how many datasets ago it was delivered."""

    age: int
    rows: pd.DataFrame


def weigh_weeks(candidate: Candidate, orders: pd.DataFrame, past: PastWeeks) -> WeighedWeeks:
    """Choose the decay with the smallest error in the following week.

    One week alone is chosen if its error is within one standard error of the smallest, as where
    candidates are chosen.

    Args:
        candidate: the kind of model to validate with.
        orders: the valid rows of this week.
        past: the earlier weeks.
    """
    forecasts = _forecast(candidate, orders, past)
    telling = [forecast for forecast in forecasts if forecast.is_telling]
    scores = _compare(telling) if telling else ()
    decay = next((score.decay for score in scores if score.chosen), 0.0)
    return WeighedWeeks(past, forecasts, scores, decay)


def is_worse(rows: OutOfSample, beside: OutOfSample) -> bool:
    """Tell whether estimates are worse than others for the same rows by more than chance.

    Args:
        rows: n_rows orders of a week, and estimates.
        beside: the same orders, and other estimates.
    """
    excess = np.abs(rows.residuals) - np.abs(beside.residuals)
    product, _ = pd.factorize(rows.rows[PRODUCT])
    return float(excess.mean()) > _standard_error(excess, product)


def _forecast(candidate: Candidate, orders: pd.DataFrame, past: PastWeeks) -> tuple[Forecast, ...]:
    """Estimate each week's orders from the weeks before it; where there are many rows, some."""
    thinning = plan_thinning(orders, MAX_SELECTION_ROWS, MAX_SELECTION_ROWS_OF_PRODUCT)
    sample = thinning.of(orders).astype({PRODUCT: object})
    codes = sample[PRODUCT].unique()
    weeks = [_Week(0, sample)]
    for week in past.weeks:
        known = week.dataset.orders[week.dataset.orders[PRODUCT].isin(codes)]
        weeks.append(_Week(week.age, thinning.of(known).astype({PRODUCT: object})))
    times = [past.delivered_at, *(week.dataset.delivered_at for week in past.weeks)]
    forecasts = []
    for i in range(len(weeks) - 1, 0, -1):
        newest, judged = weeks[i], weeks[i - 1]
        rows = judged.rows[judged.rows[PRODUCT].isin(newest.rows[PRODUCT].unique())]
        before = [
            _Week(week.age - newest.age, week.rows)
            for week in weeks[i + 1 :]
            if week.age - newest.age < past.asked
        ]
        if len(rows):
            estimates = _estimates(candidate, newest.rows, before, rows)
            forecasts.append(Forecast(times[i - 1], rows, estimates, bool(before)))
    return tuple(forecasts)


def _estimates(
    candidate: Candidate, newest: pd.DataFrame, before: Sequence[_Week], rows: pd.DataFrame
) -> Floats:
    """Return estimates from a week and those before it with each decay, in hours."""
    estimates: list[Floats] = []
    for decay in DECAYS:
        weighted = _weighted(before, decay)
        if weighted is None and estimates:
            estimates.append(estimates[0])
        else:
            estimates.append(candidate.fit(newest, weighted).predict(features_of(rows)))
    return np.array(estimates)


def _weighted(weeks: Sequence[_Week], decay: float) -> pd.DataFrame | None:
    """Return the rows of weeks with what they count for, decay to the power of their age."""
    if not weeks or decay == 0:
        return None
    return pd.concat([week.rows.assign(**{WEIGHT: decay**week.age}) for week in weeks])


def _compare(forecasts: Sequence[Forecast]) -> tuple[DecayScore, ...]:
    """Compare the errors of all forecasts: the best decay, or one week if that is as good."""
    errors = np.concatenate([forecast.errors for forecast in forecasts], axis=1)
    keys = pd.MultiIndex.from_arrays(
        [
            np.repeat(np.arange(len(forecasts)), [len(forecast.rows) for forecast in forecasts]),
            np.concatenate([forecast.rows[PRODUCT].to_numpy() for forecast in forecasts]),
        ]
    )
    group, _ = pd.factorize(keys)
    means = errors.mean(axis=1)
    best = int(np.argmin(means))
    excess = means - means[best]
    standard_errors = np.array([_standard_error(own - errors[best], group) for own in errors])
    is_one_week = excess[0] <= max(standard_errors[0], MAX_NEGLIGIBLE_EXCESS_HOURS)
    chosen = 0 if is_one_week else best
    return tuple(
        DecayScore(
            decay=decay,
            mean_absolute_error_hours=float(means[i]),
            excess_hours=float(excess[i]),
            standard_error_hours=float(standard_errors[i]),
            chosen=i == chosen,
        )
        for i, decay in enumerate(DECAYS)
    )


def _standard_error(differences: Floats, group: npt.NDArray[np.intp]) -> float:
    """Return the standard error of a mean over rows that are alike within their groups.

    The rows of a product in a week lie on the same side of a curve that wandered, so they count
    together (Liang and Zeger 1986).
    """
    # √(Σ over groups of (Σ (dᵢ − d̄))²) / n
    sums = np.bincount(group, differences - differences.mean())
    return float(np.sqrt((sums**2).sum()) / len(differences))


def _by_week(
    forecast: Forecast,
    decay: int,
    interval: PredictionInterval,
    products: Sequence[str],
    relative_noise: Floats,
) -> ForwardWeek:
    """Return how well a week was known with one of the decays, and with the week before alone."""
    position = pd.Index(products).get_indexer(pd.Index(forecast.rows[PRODUCT]))
    estimates = forecast.estimates[decay]
    below, above = interval.reach(estimates, relative_noise[:, position])
    residuals = forecast.rows[HOURS].to_numpy() - estimates
    inside = (residuals >= -below) & (residuals <= above)
    return ForwardWeek(
        delivered_at=forecast.delivered_at,
        rows=len(residuals),
        error_hours=float(np.abs(residuals).mean()),
        one_week_error_hours=float(forecast.errors[0].mean()),
        coverage=float(inside.mean()),
    )
