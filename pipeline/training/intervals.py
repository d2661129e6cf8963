"""How wide the prediction intervals must be: conformal calibration on rows that no fit had seen."""

import math

import numpy as np
from scipy import stats

from pipeline.curves.noise import NoiseScale
from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats
from pipeline.model.metadata import PredictionInterval
from pipeline.stages.command_line import option_of
from pipeline.stages.errors import DatasetError

MAX_ROUNDING_ERROR = 1e-9
MAX_COVERAGE_SHORTFALL = 0.1
"""So many more orders of a product than of all may be outside the interval, and at most twice as
many: the noise of a product is never known exactly."""
FALSE_ALARM_RATE = 0.01


def calibrate_interval(
    product: Positions, estimates: Floats, residuals: Floats, noise: NoiseScale, level: float
) -> PredictionInterval:
    """Return the interval inside which a share `level` of orders will be.

    The scores are the distances of the rows from their estimates in units of the noise. Of n
    scores, the one of rank (n + 1) · level, rounded up, is what a new row stays within with that
    probability (split conformal prediction with scaled scores: Lei and others 2018, pooled over
    folds as in Vovk 2015). Outliers count: they happen to customers too.

    Args:
        product: position of each row's product, shape (n_rows,).
        estimates: for the rows, by fits that had not seen them, shape (n_rows,).
        residuals: label minus estimate in hours, shape (n_rows,).
        noise: the scale of the scores.
        level: share of orders, between 0 and 1.

    Returns:
        The interval, whose `multiple` is in units of the noise.

    Raises:
        DatasetError: there are too few rows for this level.
    """
    # |y - ŷ| / σ
    scores = np.abs(residuals) / noise.of(product, estimates)
    n = len(scores)
    rank = _rank(n, level)
    if rank > n:
        raise _too_few_rows(n, level)
    multiple = np.partition(scores, rank - 1)[rank - 1]
    return PredictionInterval(
        level=level,
        multiple=float(multiple),
        noise_base_hours=noise.base_hours,
        noise_growth=noise.growth,
        calibration_rows=n,
    )


def widen_for_products(
    product: Positions,
    estimates: Floats,
    residuals: Floats,
    noise: NoiseScale,
    interval: PredictionInterval,
) -> NoiseScale:
    """Return noise that is larger for products of which the interval holds too few orders.

    Half of a product's orders may leave from stock: then its typical noise is small, and most of
    the other half is outside. Such a product gets the interval that its own rows need.

    Args:
        product: position of each row's product, shape (n_rows,).
        estimates: for the rows, by fits that had not seen them, shape (n_rows,).
        residuals: label minus estimate in hours, shape (n_rows,).
        noise: the scale of the scores.
        interval: calibrated on these rows.
    """
    scores = np.abs(residuals) / noise.of(product, estimates)
    rows = np.bincount(product, minlength=len(noise.relative))
    outside = np.bincount(product[scores > interval.multiple], minlength=len(rows))
    tolerated = 1 - interval.level + min(MAX_COVERAGE_SHORTFALL, 1 - interval.level)
    # P(X >= outside), X ~ Binomial(rows, tolerated); the share of false alarms is bounded over all
    # products (Benjamini and Hochberg 1995).
    chance = stats.binom.sf(outside - 1, rows, tolerated)
    relative = noise.relative.copy()
    for position in np.flatnonzero(stats.false_discovery_control(chance) < FALSE_ALARM_RATE):
        own = scores[product == position]
        rank = min(_rank(len(own), interval.level), len(own))
        relative[position] *= np.partition(own, rank - 1)[rank - 1] / interval.multiple
    return noise._replace(relative=relative)


def _rank(n: int, level: float) -> int:
    """Return the rank of the score that a new row stays within with probability `level`."""
    return math.ceil((n + 1) * level - MAX_ROUNDING_ERROR)  # ⌈(n + 1) · level⌉


def _too_few_rows(rows: int, level: float) -> DatasetError:
    """Return that no interval of these rows can hold such a share of the orders."""
    needed = math.ceil(level / (1 - level) - MAX_ROUNDING_ERROR)  # n >= (n + 1) · level
    possible = math.floor(1000 * rows / (rows + 1)) / 1000
    return DatasetError(
        f"Cannot give intervals of level {level:g}: that takes {needed:,} rows to calibrate on, "
        f"and there are {rows:,}.",
        f"Deliver a week with more rows, or set {option_of('interval_level')} to {possible:g} or "
        "less.",
    )
