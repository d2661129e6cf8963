"""A week's orders -> a model, and everything that is known of how good it is."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.curves.estimator import DispatchCurve
from pipeline.curves.noise import OUTLIER_DISTANCE, NoiseScale, settled_noise
from pipeline.model.arrays import Floats
from pipeline.model.metadata import CandidateScore, Metrics, PredictionInterval
from pipeline.model.order import PRODUCT
from pipeline.orders.features import features_of
from pipeline.orders.splits import every_nth, split_orders
from pipeline.training.evaluation import GridEstimates, compute_metrics, estimate_on_grid
from pipeline.training.intervals import calibrate_interval
from pipeline.training.selection import CANDIDATES, Candidate, OutOfSample, choose_candidate

MAX_NOISE_ROWS = 500_000
"""As many are enough to measure the noise of thousands of products, and to calibrate on."""
MAX_AGREEMENT_ROWS = 100_000


class ModelNoise(NamedTuple):
    """How noisy the labels of a week are around a model.

    Attributes:
        scale: of the noise, measured on rows that the fit had not seen.
        hours: noise of each row of the week, shape (n_rows,).
        distances: of these rows from their estimates, in units of the noise, negative below,
            shape (n_rows,).
    """

    scale: NoiseScale
    hours: Floats
    distances: Floats

    @property
    def is_outlier(self) -> npt.NDArray[np.bool_]:
        """Which rows are too far from their estimates to judge a model by, shape (n_rows,)."""
        return np.abs(self.distances) > OUTLIER_DISTANCE


@dataclass(frozen=True)
class TrainedModel:
    """A model fitted on all rows of a week, and how a fit on some of them does on the others.

    Attributes:
        regressor: fitted on all rows; what is published.
        name: of its candidate.
        candidates: how each candidate did.
        noise: of the labels around the regressor's estimates.
        interval: calibrated on rows that no fit had seen.
        grid: the regressor's estimates over the orders seen with each product.
        test: the test rows without outliers, judged by a regressor fitted on the training rows.
        metrics: of that regressor on these rows.
    """

    regressor: DispatchCurve
    name: str
    candidates: tuple[CandidateScore, ...]
    noise: ModelNoise
    interval: PredictionInterval
    grid: GridEstimates
    test: OutOfSample
    metrics: Metrics

    def points(self) -> pd.DataFrame:
        """Return products and order counts of test rows (at most 100,000) and of the grid."""
        some = self.test.where(every_nth(len(self.test.rows), MAX_AGREEMENT_ROWS))
        test = features_of(some.rows)
        return pd.concat([test.astype({PRODUCT: object}), self.grid.points()])


def train_on(
    orders: pd.DataFrame, interval_level: float, candidates: tuple[Candidate, ...] = CANDIDATES
) -> TrainedModel:
    """Choose a candidate, judge it on rows that it has not seen, and fit it on all rows.

    Args:
        orders: the valid rows of a week.
        interval_level: share of orders that the prediction intervals should hold.
        candidates: the kinds of model to choose from, from the simplest to the most flexible.

    Raises:
        DatasetError: no product has enough rows to be judged on.
    """
    split = split_orders(orders)
    choice = choose_candidate(split.train, candidates)
    judged = choice.candidate.fit(split.train)
    test = OutOfSample(split.test, judged.predict(features_of(split.test)))
    regressor = choice.candidate.fit(orders)
    some_of_test = test.where(every_nth(len(test.rows), MAX_NOISE_ROWS))
    unseen = [choice.judged, some_of_test]
    noise, interval = _measure_noise(regressor, orders, unseen, interval_level)
    sound = ~noise.is_outlier[split.is_test]
    if not sound.any():  # the share of outliers refuses the model, and the report needs rows
        sound = np.ones_like(sound)
    sound_test = test.where(sound)
    return TrainedModel(
        regressor=regressor,
        name=choice.candidate.name,
        candidates=choice.scores,
        noise=noise,
        interval=interval,
        grid=estimate_on_grid(regressor, orders),
        test=sound_test,
        metrics=compute_metrics(sound_test, noise.hours[split.is_test][sound], len(split.train)),
    )


def _measure_noise(
    regressor: DispatchCurve, orders: pd.DataFrame, unseen: list[OutOfSample], level: float
) -> tuple[ModelNoise, PredictionInterval]:
    """Measure the noise and calibrate the interval on rows that the fits had not seen."""
    product, products = pd.factorize(orders[PRODUCT], sort=True)
    rows = pd.concat([judged.rows[PRODUCT] for judged in unseen])
    unseen_product = pd.Index(products).get_indexer(pd.Index(rows))
    estimates = np.concatenate([judged.estimates for judged in unseen])
    residuals = np.concatenate([judged.residuals for judged in unseen])
    scale = settled_noise(unseen_product, estimates, residuals, len(products))
    interval = calibrate_interval(unseen_product, estimates, residuals, scale, level)
    of_week = OutOfSample(orders, regressor.predict(features_of(orders)))
    hours = scale.of(product, of_week.estimates)
    return ModelNoise(scale, hours, of_week.residuals / hours), interval
