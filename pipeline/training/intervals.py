"""How wide the prediction intervals must be: conformal calibration on rows that no fit had seen."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from pipeline.curves.noise import NoiseScale
from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats
from pipeline.model.metadata import PredictionInterval
from pipeline.stages.command_line import option_of
from pipeline.stages.errors import DatasetError

MAX_ROUNDING_ERROR = 1e-9
MIN_MULTIPLE = 0.01
"""An interval reaches so far to each side, in units of the noise, even if nothing is there: the
estimate is inside, and what a product needs can be told in units of it."""
MAX_TAIL_SHORTFALL = 0.05
"""So many more orders of a product than of all may be below the interval, or above it, and at most
twice as many: the noise of a product is never known exactly."""
FALSE_ALARM_RATE = 0.01


class ProductNoise(NamedTuple):
    """The noise of products, for their intervals.

    Attributes:
        relative: to that of all products, below and above the estimates, shape (2, n_products).
        falls_short: whether too few orders are inside the interval of all, shape (n_products,).
    """

    relative: Floats
    falls_short: npt.NDArray[np.bool_]


def calibrate_interval(
    product: Positions, estimates: Floats, residuals: Floats, noise: NoiseScale, level: float
) -> PredictionInterval:
    """Return the interval inside which a share `level` of orders will be, as many below as above.

    The scores are the signed distances of the rows from their estimates in units of the noise. Of
    n scores, the one of rank (n + 1) · (1 + level) / 2, rounded up, is what a new row stays below
    with a probability of (1 + level) / 2, and the one of that rank from the top is what it stays
    above (split conformal prediction with scaled scores: Lei and others 2018, pooled over folds as
    in Vovk 2015, with a quantile for each tail: Linusson and others 2014). Outliers count: they
    happen to customers too.

    Args:
        product: position of each row's product, shape (n_rows,).
        estimates: for the rows, by fits that had not seen them, shape (n_rows,).
        residuals: label minus estimate in hours, shape (n_rows,).
        noise: the scale of the scores.
        level: share of orders, between 0 and 1.

    Returns:
        The interval, whose multiples are in units of the noise.

    Raises:
        DatasetError: there are too few rows for this level.
    """
    scores = residuals / noise.of(product, estimates)  # (y - ŷ) / σ
    n = len(scores)
    if _rank_of_tail(n, level) > n:
        raise _too_few_rows(n, level)
    lower, upper = _multiples(scores, level).tolist()
    return PredictionInterval(
        level=level,
        multiple=max(lower, upper),
        lower_multiple=lower,
        upper_multiple=upper,
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
) -> ProductNoise:
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
    scores = residuals / noise.of(product, estimates)
    falls_short = _falls_short(product, scores, interval, len(noise.relative))
    of_all = np.array([interval.lower_multiple, interval.upper_multiple])
    needed = np.ones((2, len(noise.relative)))
    for position in np.flatnonzero(falls_short):
        own = _multiples(scores[product == position], interval.level)
        needed[:, position] = np.maximum(own / of_all, 1.0)
    return ProductNoise(needed * noise.relative, falls_short)


def _falls_short(
    product: Positions, scores: Floats, interval: PredictionInterval, n_products: int
) -> npt.NDArray[np.bool_]:
    """Return of which products too many orders are below or above the interval, by position."""
    promised = (1 - interval.level) / 2
    tolerated = promised + min(MAX_TAIL_SHORTFALL, promised)
    rows = np.bincount(product, minlength=n_products)
    beyond = (scores < -interval.lower_multiple, scores > interval.upper_multiple)
    outside = np.array([np.bincount(product[tail], minlength=n_products) for tail in beyond])
    # P(X >= outside), X ~ Binomial(rows, tolerated); the share of false alarms is bounded over all
    # products and tails (Benjamini and Hochberg 1995).
    chance = stats.binom.sf(outside - 1, rows, tolerated)
    alarms = stats.false_discovery_control(chance, axis=None) < FALSE_ALARM_RATE
    found: npt.NDArray[np.bool_] = alarms.reshape(2, n_products).any(axis=0)
    return found


def _multiples(scores: Floats, level: float) -> Floats:
    """Return how far below and above an interval must reach: at most to the farthest score."""
    n = len(scores)
    rank = min(_rank_of_tail(n, level), n)
    ordered = np.partition(scores, [n - rank, rank - 1])
    return np.maximum([-ordered[n - rank], ordered[rank - 1]], MIN_MULTIPLE)


def _rank_of_tail(n: int, level: float) -> int:
    """Return the rank of the score that half of a share 1 - `level` of new rows are beyond."""
    # ⌈(n + 1) · (1 + level) / 2⌉
    return math.ceil((n + 1) * (1 + level) / 2 - MAX_ROUNDING_ERROR)


def _too_few_rows(rows: int, level: float) -> DatasetError:
    """Return that no interval of these rows can hold such a share of the orders."""
    # n >= (n + 1) · (1 + level) / 2
    needed = math.ceil((1 + level) / (1 - level) - MAX_ROUNDING_ERROR)
    possible = math.floor(1000 * (rows - 1) / (rows + 1)) / 1000
    return DatasetError(
        f"Cannot give intervals of level {level:g}: that takes {needed:,} rows to calibrate on, "
        f"and there are {rows:,}.",
        f"Deliver a week with more rows, or set {option_of('interval_level')} to {possible:g} or "
        "less.",
    )
