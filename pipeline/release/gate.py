"""Whether a new model may be released: every rule is asked, and every reason is kept."""

from collections.abc import Sequence, Set
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from pipeline.model.arrays import Floats
from pipeline.model.metadata import (
    CatalogueChange,
    ChampionComparison,
    DriftMeasure,
    Failure,
    Trend,
)
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.model.reader import DispatchModel
from pipeline.orders.splits import systematic_sample
from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.release.catalogue import catalogue_failures, compare_catalogues
from pipeline.release.champion import Challenger, champion_on_grid, compare_with_champion
from pipeline.release.champion_rules import comparison_failures, shift_failures
from pipeline.release.drift import Week, measure_drift
from pipeline.release.drift_rules import drift_failures
from pipeline.release.history import references
from pipeline.release.labels import share_above_largest
from pipeline.release.product_rules import (
    Doubt,
    doubt_as_before,
    doubt_biased,
    doubt_mixed,
    doubt_surprising,
    doubt_swapped,
    doubt_unfit,
    doubt_unskilled,
    untrusted_failures,
)
from pipeline.release.rules import (
    constant_failures,
    far_outliers,
    flat_failures,
    outlier_failures,
    r_squared_failures,
)
from pipeline.release.seen_before import seen_failures
from pipeline.release.surprises import find_surprises
from pipeline.release.swaps import find_swaps
from pipeline.release.trend import measure_trend, trend_failures
from pipeline.training.candidate_rules import behaviour_failures, skill_failures
from pipeline.training.fitting import TrainedModel

MAX_COMPARED_ROWS = 100_000
"""So many rows tell the two models apart as well as all of them."""


class Limits(NamedTuple):
    """What a model must keep to be published.

    Each is called like the setting that it comes from.

    Attributes:
        r2_error_threshold: smallest R² on the test rows; None for any.
        max_outlier_share: largest share of the week's rows that may be outliers.
        max_unfit_share: largest share of the week's rows of products that cannot be trusted.
        champion_tolerance: share of the champion's error by which the challenger's may exceed it.
        max_shift: factor by which the estimates of a product may grow or shrink.
        max_trend: factor by which the estimates may grow or shrink over the last weeks.
        max_vanished_share: largest share of the champion's rows whose products may be missing.
        max_new_share: largest share of this week's rows whose products may be new.
        on_drift: whether drift that is not far outside what is normal refuses a week too.
        accept_shift: whether a week may be unlike the champion's.
    """

    r2_error_threshold: float | None
    max_outlier_share: float
    max_unfit_share: float
    champion_tolerance: float
    max_shift: float
    max_trend: float
    max_vanished_share: float
    max_new_share: float
    on_drift: Literal["fail", "warn"]
    accept_shift: bool


class Verdict(NamedTuple):
    """Whether a model may be released, and what that rests on.

    Attributes:
        failures: the rules that the model broke; a model without any may be released.
        doubts: reasons not to trust the estimates of some products.
        comparison: with the champion; None without champion.
        catalogue_change: of the products since the champion's week; None without champion.
        drift: how the week differs from the champion's; empty without champion.
        trend: how far the estimates moved over the last weeks; None without earlier models.
        share_above_largest: share of rows that should have a label above the largest one.
    """

    failures: tuple[Failure, ...]
    share_above_largest: float
    doubts: tuple[Doubt, ...] = ()
    comparison: ChampionComparison | None = None
    catalogue_change: CatalogueChange | None = None
    drift: tuple[DriftMeasure, ...] = ()
    trend: Trend | None = None


def judge(
    model: TrainedModel,
    dataset: WeeklyDataset,
    champion: DispatchModel | None,
    limits: Limits,
    retired: Set[str] = frozenset(),
    history: Sequence[DispatchModel] = (),
    alike: TrainedModel | None = None,
) -> Verdict:
    """Ask every rule whether a model may be released.

    Args:
        model: the new model, which is the challenger.
        dataset: what it was trained on.
        champion: the model in production, or None if there is none to compare with.
        limits: of the rules.
        retired: normalised codes of products that people retired.
        history: the last models, the champion among them, the newest last.
        alike: of the same week, but of typical or mean hours as the champion is: what is compared
            with it, if the new model is not of the same kind.
    """
    rows = dataset.week.products["rows"]
    own_rows = dict(zip(rows.index, rows.tolist()))
    doubts = [
        doubt_unfit(dataset.orders[PRODUCT], model.noise, limits.max_outlier_share),
        doubt_mixed(model.mixed),
        doubt_unskilled(model.unseen, model.guessed, _steps(model)),
        doubt_biased(model.unseen, _noise_of_unseen(model)),
    ]
    failures = [
        *constant_failures(model.metrics),
        *skill_failures(model.skill, model.grid),
        *behaviour_failures(model.grid, model.largest_label(dataset.orders)),
        *outlier_failures(far_outliers(model.noise), limits.max_outlier_share),
    ]
    if limits.r2_error_threshold is not None:
        failures += r_squared_failures(
            model.metrics, limits.r2_error_threshold, "r2_error_threshold"
        )
    above_largest = share_above_largest(dataset.orders[HOURS], model.noise)
    if champion is None:
        failures += untrusted_failures(doubts, own_rows, limits.max_unfit_share)
        return Verdict(tuple(failures), above_largest, tuple(doubts))
    challenger = _challenger(alike or model, rows)
    comparison = compare_with_champion(champion, challenger, dataset.sha256, limits.max_shift)
    earlier = references(history, champion)
    trend = measure_trend(earlier, challenger, limits.max_trend)
    change = compare_catalogues(champion, rows, retired)
    sample = systematic_sample(len(dataset.orders), MAX_COMPARED_ROWS)
    some = dataset.orders[sample]
    week = Week(rows, dataset.orders[ORDERS].to_numpy(dtype=float), some, above_largest)
    drift = measure_drift(champion, week, comparison, change)
    failures += comparison_failures(comparison, limits.champion_tolerance)
    if not limits.accept_shift:
        if comparison.same_dataset:  # the champion was fitted on these rows
            doubts += doubt_as_before(champion.metadata.remarks, own_rows)
        else:
            surprises = find_surprises(champion, some, model.noise.hours[sample])
            doubts.append(doubt_surprising(surprises))
            doubts.append(doubt_swapped(find_swaps(champion, challenger, earlier)))
        failures += flat_failures(model.grid, champion_on_grid(champion, model.grid))
        failures += shift_failures(comparison, limits.max_shift)
        failures += seen_failures(history, champion, dataset)
        failures += trend_failures(trend)
        failures += catalogue_failures(change, limits.max_vanished_share, limits.max_new_share)
        failures += drift_failures(drift, limits.on_drift)
    failures += untrusted_failures(doubts, own_rows, limits.max_unfit_share)
    return Verdict(tuple(failures), above_largest, tuple(doubts), comparison, change, drift, trend)


def _noise_of_unseen(model: TrainedModel) -> Floats:
    products = pd.Index(model.grid.products)
    positions = products.get_indexer(pd.Index(model.unseen.rows[PRODUCT].astype(object)))
    return model.noise.scale.of(positions, model.unseen.estimates)


def _steps(model: TrainedModel) -> "pd.Series[float]":
    """Return the steps in which the hours of each product come, by code."""
    return pd.Series(model.steps, index=model.grid.products.astype(str))


def _challenger(model: TrainedModel, rows: "pd.Series[int]") -> Challenger:
    return Challenger(
        test=model.test.where(systematic_sample(len(model.test.rows), MAX_COMPARED_ROWS)),
        grid=model.grid,
        rows=rows.to_numpy().astype(np.int64),
        noise=model.noise.scale.of(
            np.arange(len(model.grid.products)), model.grid.hours.mean(axis=1)
        ),
        unseen=model.unseen,
    )
