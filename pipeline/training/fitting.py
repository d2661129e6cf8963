"""A week's orders -> a model, and everything that is known of how good it is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.curves.estimator import DispatchCurve
from pipeline.curves.kinds import Ties, examine_ties
from pipeline.curves.noise import OUTLIER_DISTANCE, NoiseScale, estimate_noise
from pipeline.curves.segments import Positions
from pipeline.curves.steps import steps_of_products, with_steps
from pipeline.curves.weighted_fit import LabelledRows
from pipeline.model.arrays import Floats
from pipeline.model.metadata import (
    CandidateScore,
    Estimate,
    Metrics,
    MixedProduct,
    PredictionInterval,
    RepeatedRows,
    SeveralWeeks,
    Skill,
)
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.orders.features import features_of
from pipeline.orders.past_weeks import PastWeeks
from pipeline.orders.splits import Split, split_orders, systematic_sample
from pipeline.orders.week_rows import WeekRows
from pipeline.stages.workers import HERE, Workers
from pipeline.training.candidate_rules import behaviour_failures, skill_failures
from pipeline.training.evaluation import GridEstimates, compute_metrics, estimate_on_grid
from pipeline.training.intervals import ProductNoise, calibrate_interval, calibrate_products
from pipeline.training.kinds import find_mixed
from pipeline.training.partitions import FittedWeek, fit_week
from pipeline.training.selection import (
    CANDIDATES,
    GUESSES,
    Candidate,
    Choice,
    CrossValidated,
    OutOfSample,
    choose_candidate,
)
from pipeline.training.several_weeks import WeighedWeeks, is_worse, weigh_weeks
from pipeline.training.skill import measure_skill

MAX_NOISE_ROWS = 500_000
"""As many are enough to look at the labels of thousands of products."""
MAX_AGREEMENT_ROWS = 100_000
"""As many test rows are enough to see whether the artifact agrees with the regressor."""


class ModelNoise(NamedTuple):
    """How noisy the labels of a week are around a model.

    Attributes:
        scale: of the noise, estimated from out-of-sample predictions.
        for_intervals: of products, below and above the estimates.
        hours: noise of each row of the week's sample, shape (n_rows,).
        distances: of these rows from their estimates, in units of the noise, negative below,
            shape (n_rows,).
    """

    scale: NoiseScale
    for_intervals: ProductNoise
    hours: Floats
    distances: Floats

    @property
    def is_outlier(self) -> npt.NDArray[np.bool_]:
        """Which rows are too far from their estimates to measure a model by, shape (n_rows,)."""
        return np.abs(self.distances) > OUTLIER_DISTANCE


class LabelFacts(NamedTuple):
    """What the labels of a week are like, before any model.

    Attributes:
        products: sorted product codes, shape (n_products,).
        product: position of the product of each row of the week's sample, shape (n_rows,).
        steps: in which the labels of each product come, in hours; zero for none, shape
            (n_products,).
        sample: the rows that ties were looked for among.
        ties: labels that many rows of a product have.
    """

    products: pd.Index
    product: Positions
    steps: Floats
    sample: LabelledRows
    ties: Ties

    @classmethod
    def of(cls, week: WeekRows) -> Self:
        """Look at the labels of a week."""
        orders, products = week.sample, week.products.index
        product = week.positions(orders)
        hours = orders[HOURS].to_numpy()
        some = systematic_sample(len(hours), MAX_NOISE_ROWS)
        placed = orders[ORDERS].iloc[some].to_numpy(dtype=float)
        sample = LabelledRows(product[some], placed, hours[some])
        steps = steps_of_products(product, hours, len(products))
        ends = np.unique([placed.min(), placed.max()])
        ties = examine_ties(sample, steps, ends)
        return cls(products, product, steps, sample, ties)


@dataclass(frozen=True)
class TrainedModel:
    """A model fitted on all rows of a week, and how a fit on some of them does on the others.

    Attributes:
        regressor: fitted on all rows; what is published.
        name: of its candidate.
        candidates: how each candidate did.
        noise: of the labels around the regressor's estimates.
        interval: calibrated on out-of-sample predictions.
        grid: the regressor's estimates over the orders seen with each product.
        test: test rows without outliers, predicted by a regressor fitted on the training rows.
        metrics: of that regressor on these rows.
        repeated: rows that are in the week several times.
        skill: of that regressor, beside guesses.
        unseen: rows of the week, at most some hundred thousand, each estimated by a fit that had
            not seen it.
        guessed: what each guess says of them, in hours, shape (n_rows,).
        steps: in which the labels of each product come, in hours, as in `LabelFacts`.
        mixed: products with orders of two kinds.
        estimate: whether typical or mean hours are estimated.
        weighed: what earlier weeks are worth; None if only this one was asked for.
    """

    regressor: DispatchCurve
    name: str
    candidates: tuple[CandidateScore, ...]
    noise: ModelNoise
    interval: PredictionInterval
    grid: GridEstimates
    test: OutOfSample
    metrics: Metrics
    repeated: RepeatedRows
    skill: Skill
    unseen: OutOfSample
    guessed: Mapping[str, Floats]
    steps: Floats
    mixed: tuple[MixedProduct, ...]
    estimate: Estimate = "typical"
    weighed: WeighedWeeks | None = None

    def largest_label(self, orders: pd.DataFrame) -> float:
        """Return the largest label of its week's rows that are no outliers, in hours."""
        labels = orders[HOURS].to_numpy()
        inliers = labels[~self.noise.is_outlier]
        return float(inliers.max() if len(inliers) else labels.max())

    def several_weeks(self, interval: PredictionInterval) -> SeveralWeeks | None:
        """Return what it learnt from earlier weeks; None if only this one was asked for.

        Args:
            interval: for its estimates.
        """
        if self.weighed is None:
            return None
        products = [str(code) for code in self.grid.products]
        return self.weighed.facts(interval, products, self.noise.for_intervals.relative)

    def points(self) -> pd.DataFrame:
        """Return products and order counts of some test rows and of points of the grid."""
        sample = self.test.where(systematic_sample(len(self.test.rows), MAX_AGREEMENT_ROWS))
        test = features_of(sample.rows)
        return pd.concat([test.astype({PRODUCT: object}), self.grid.some_points()])


def train_on(
    orders: WeekRows | pd.DataFrame,
    interval_level: float,
    candidates: tuple[Candidate, ...] = CANDIDATES,
    estimate: Estimate = "typical",
    past: PastWeeks | None = None,
    workers: Workers = HERE,
) -> TrainedModel:
    """Choose a candidate, test it on rows that it has not seen, and fit it on all rows.

    If the one that cross-validation chose breaks a rule of behaviour, or is no better than a guess,
    the next one that does not is taken. Earlier weeks only add rows to the fits: all that is
    measured is measured on this week's rows.

    Args:
        orders: the valid rows of a week; a frame is one that is in memory.
        interval_level: share of orders that the prediction intervals should hold.
        candidates: the kinds of model to choose from, from the simplest to the most flexible.
        estimate: whether typical or mean hours are estimated.
        past: earlier weeks that may help; None to learn from this one alone.
        workers: fit the rows of all products, bucket by bucket.

    Raises:
        DatasetError: no product has enough rows to test on.
        WorkersError: the workers are lost.
    """
    week = orders if isinstance(orders, WeekRows) else WeekRows.of(orders)
    split = split_orders(week.whole_products())
    candidates = tuple(candidate.estimating(estimate) for candidate in candidates)
    choice = choose_candidate(split.train, candidates)
    weighed = None
    if past is not None:
        weighed = weigh_weeks(choice.ranked[0].candidate, split.orders, past)
        choice, weighed = _choose_with_past(choice, weighed, split, candidates)
    past_rows = weighed.rows() if weighed else None
    passed_over: dict[str, tuple[str, ...]] = {}
    labels = LabelFacts.of(week)
    chosen: TrainedModel | None = None
    for contender in choice.ranked:
        fitted = fit_week((contender.candidate, *GUESSES), week, split, past_rows, workers)
        model = _measure(fitted, contender, choice, week, labels, interval_level, estimate)
        chosen = chosen or model
        broken = _broken_rules(model, week.sample)
        if not broken:
            break
        passed_over[model.name] = broken
    else:  # none keeps all rules; the gate says so of the one that was chosen
        assert chosen is not None  # noqa: S101 - for mypy: some contender was measured
        model, passed_over = chosen, {}
    scores = tuple(
        score.model_copy(
            update={
                "chosen": score.name == model.name,
                "passed_over_for": passed_over.get(score.name, ()),
            }
        )
        for score in choice.scores
    )
    return replace(model, candidates=scores, weighed=weighed)


def _choose_with_past(
    alone: Choice, weighed: WeighedWeeks, split: Split, candidates: tuple[Candidate, ...]
) -> tuple[Choice, WeighedWeeks]:
    """Choose a candidate again, with earlier weeks if they are worth it.

    What held so far may have ended with this week: if its own held-out rows are known less well
    with the earlier weeks than without, those are left out.
    """
    past_rows = weighed.rows()
    if past_rows is None:
        return alone, weighed
    together = choose_candidate(split.train, candidates, past_rows)
    if is_worse(together.ranked[0].out_of_fold, beside=alone.ranked[0].out_of_fold):
        return alone, weighed.without_past()
    return together, weighed


def _measure(
    fitted: FittedWeek,
    contender: CrossValidated,
    choice: Choice,
    week: WeekRows,
    labels: LabelFacts,
    interval_level: float,
    estimate: Estimate,
) -> TrainedModel:
    """Measure a fitted candidate on the rows that fits of its kind had not seen."""
    regressor, test = fitted.regressor, fitted.test
    unseen = [contender.out_of_fold, test]
    guesses = {
        guess.candidate.name: (guess.out_of_fold, fitted.guesses[guess.candidate.name])
        for guess in choice.guesses
    }
    noise, interval = _measure_noise(regressor, week.sample, labels, unseen, interval_level)
    test_noise, distances = _distances(regressor, noise.scale, week.positions(test.rows), test.rows)
    is_inlier = np.abs(distances) <= OUTLIER_DISTANCE
    if not is_inlier.any():  # the share of outliers refuses the model, and the report needs rows
        is_inlier = np.ones_like(is_inlier)
    return TrainedModel(
        regressor=regressor,
        name=contender.candidate.name,
        candidates=(),
        noise=noise,
        interval=interval,
        grid=estimate_on_grid(regressor, week.products["most_orders"]),
        test=test.where(is_inlier),
        metrics=compute_metrics(test, is_inlier, test_noise, fitted.train_rows),
        skill=measure_skill(unseen, guesses, estimate),
        steps=labels.steps,
        mixed=_find_mixed(noise, labels),
        repeated=fitted.repeats,
        unseen=OutOfSample(
            pd.concat([part.rows for part in unseen]),
            np.concatenate([part.estimates for part in unseen]),
        ),
        guessed={
            name: np.concatenate([part.estimates for part in parts])
            for name, parts in guesses.items()
        },
        estimate=estimate,
    )


def _broken_rules(model: TrainedModel, orders: pd.DataFrame) -> tuple[str, ...]:
    """Return the rules for which another candidate should be taken."""
    failures = [
        *behaviour_failures(model.grid, model.largest_label(orders)),
        *skill_failures(model.skill, model.grid),
    ]
    return tuple(failure.rule for failure in failures)


def _measure_noise(
    regressor: DispatchCurve,
    orders: pd.DataFrame,
    labels: LabelFacts,
    parts: list[OutOfSample],
    level: float,
) -> tuple[ModelNoise, PredictionInterval]:
    """Estimate the noise and calibrate the interval on rows that the fits had not seen.

    Rows of another kind than most of their product have no part in the noise, but in the interval.
    """
    codes = pd.concat([part.rows[PRODUCT] for part in parts])
    product = labels.products.get_indexer(pd.Index(codes))
    estimates = np.concatenate([part.estimates for part in parts])
    residuals = np.concatenate([part.residuals for part in parts])
    hours = np.concatenate([part.rows[HOURS].to_numpy() for part in parts])
    sizes = with_steps(residuals, labels.steps[product])
    kept = ~labels.ties.of_another_kind().is_minority(product, hours)
    scale = estimate_noise(product[kept], estimates[kept], sizes[kept], len(labels.products))
    rows = (product, estimates, residuals, scale)
    interval = calibrate_interval(*rows, level)
    for_intervals = calibrate_products(*rows, interval)
    noise_hours, distances = _distances(regressor, scale, labels.product, orders)
    return ModelNoise(scale, for_intervals, noise_hours, distances), interval


def _distances(
    regressor: DispatchCurve, scale: NoiseScale, product: Positions, orders: pd.DataFrame
) -> tuple[Floats, Floats]:
    """Return the noise of rows in hours, and their distances from their estimates in units of it.

    Args:
        regressor: gives the estimates.
        scale: of the noise.
        product: position of each row's product, shape (n_rows,).
        orders: the rows.
    """
    estimates = regressor.predict(features_of(orders))
    noise_hours = scale.of(product, estimates)
    return noise_hours, (orders[HOURS].to_numpy() - estimates) / noise_hours


def _find_mixed(noise: ModelNoise, labels: LabelFacts) -> tuple[MixedProduct, ...]:
    """Return the products with orders of two kinds, by the sample that ties were looked for in."""
    some = systematic_sample(len(noise.distances), MAX_NOISE_ROWS)
    distances = noise.distances[some]
    return find_mixed(
        labels.sample.product,
        labels.ties,
        distances,
        distances * noise.hours[some],
        [str(code) for code in labels.products],
    )
