"""How wide the prediction intervals must be: conformal calibration on rows that no fit had seen."""

import math
from collections.abc import Iterator
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
from pipeline.training.product_quantiles import product_factors

MAX_ROUNDING_ERROR = 1e-9
MIN_MULTIPLE = 0.01
"""An interval reaches so far to each side, in units of the noise, even if nothing is there: the
estimate is inside, and what a product needs can be told in units of it."""
MAX_TAIL_SHORTFALL = 0.05
"""So many more orders of a product than of all may be below the interval, or above it, and at most
twice as many: the noise of a product is never known exactly."""
FALSE_ALARM_RATE = 0.01

Counts = npt.NDArray[np.intp]


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
    if n < _rows_needed(level):
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


def calibrate_products(
    product: Positions,
    estimates: Floats,
    residuals: Floats,
    noise: NoiseScale,
    interval: PredictionInterval,
) -> ProductNoise:
    """Return the noise that gives products intervals which hold for each of them.

    The reach of each product is its own as far as its rows can tell, and that of all otherwise
    (see `product_quantiles`). All are then stretched alike, so that a share `level` of all rows is
    inside again, half of the others below and half above: the quantile of that stretch is the
    conformal one of `calibrate_interval`, with scores in units of the reach of the row's product.

    A product gets a wider interval if that of all holds far too few of its orders: half of its
    orders may leave from stock, and then its typical noise is small, and most of the other half is
    outside.

    Args:
        product: position of each row's product, shape (n_rows,).
        estimates: for the rows, by fits that had not seen them, shape (n_rows,).
        residuals: label minus estimate in hours, shape (n_rows,).
        noise: the scale of the scores.
        interval: calibrated on these rows.
    """
    scores = residuals / noise.of(product, estimates)
    of_all = np.array([interval.lower_multiple, interval.upper_multiple])
    rows, outside = _count_outside(product, scores, interval, len(noise.relative))
    falls_short = _falls_short(rows, outside, interval.level)
    tail, least_rows = (1 - interval.level) / 2, _rows_needed(interval.level)
    needed = np.zeros((2, len(rows)))
    for position, own in _by_product(product, scores, falls_short):
        needed[:, position] = _multiples(own, interval.level) / of_all
    own_reach = product_factors(product, scores, of_all, tail, least_rows, len(rows))
    reach = np.maximum(own_reach, needed)
    stretched = scores / np.where(scores < 0, *reach[:, product])
    reach *= (_multiples(stretched, interval.level) / of_all)[:, np.newaxis]
    reach = np.maximum(reach, needed)
    return ProductNoise(reach * noise.relative, falls_short)


def _by_product(
    product: Positions, scores: Floats, wanted: npt.NDArray[np.bool_]
) -> Iterator[tuple[int, Floats]]:
    """Yield the position and the scores of each wanted product."""
    ordered = scores[np.argsort(product, kind="stable")]
    ends = np.cumsum(np.bincount(product, minlength=len(wanted)))
    for position in np.flatnonzero(wanted):
        yield int(position), ordered[ends[position - 1] if position else 0 : ends[position]]


def _count_outside(
    product: Positions, scores: Floats, interval: PredictionInterval, n_products: int
) -> tuple[Counts, Counts]:
    """Return the rows of each product, and how many of them are below and above the interval."""
    beyond = (scores < -interval.lower_multiple, scores > interval.upper_multiple)
    outside = np.array([np.bincount(product[tail], minlength=n_products) for tail in beyond])
    return np.bincount(product, minlength=n_products), outside


def _falls_short(rows: Counts, outside: Counts, level: float) -> npt.NDArray[np.bool_]:
    """Return of which products far too many orders are below or above the interval."""
    promised = (1 - level) / 2
    tolerated = promised + min(MAX_TAIL_SHORTFALL, promised)
    # P(X >= outside), X ~ Binomial(rows, tolerated)
    return _in_either_tail(stats.binom.sf(outside - 1, rows, tolerated), FALSE_ALARM_RATE)


def _in_either_tail(chances: Floats, false_share: float) -> npt.NDArray[np.bool_]:
    """Return which products have a finding below or above, by chances of shape (2, n_products).

    The share of false findings is bounded over products and tails (Benjamini and Hochberg 1995).
    """
    found = stats.false_discovery_control(chances, axis=None) < false_share
    either: npt.NDArray[np.bool_] = found.reshape(chances.shape).any(axis=0)
    return either


def _multiples(scores: Floats, level: float) -> Floats:
    """Return how far below and above an interval must reach: at most to the farthest score."""
    n = len(scores)
    rank = min(_rank_of_tail(n, level), n)
    ordered = np.partition(scores, [n - rank, rank - 1])
    # Many labels may be at the very end, and stay inside.
    reach = np.array([-ordered[n - rank], ordered[rank - 1]]) * (1 + MAX_ROUNDING_ERROR)
    return np.maximum(reach, MIN_MULTIPLE)


def _rank_of_tail(n: int, level: float) -> int:
    """Return the rank of the score that half of a share 1 - `level` of new rows are beyond."""
    # ⌈(n + 1) · (1 + level) / 2⌉
    return math.ceil((n + 1) * (1 + level) / 2 - MAX_ROUNDING_ERROR)


def _rows_needed(level: float) -> int:
    """Return how many scores have one of that rank."""
    # n >= (n + 1) · (1 + level) / 2
    return math.ceil((1 + level) / (1 - level) - MAX_ROUNDING_ERROR)


def _too_few_rows(rows: int, level: float) -> DatasetError:
    """Return that no interval of these rows can hold such a share of the orders."""
    needed = _rows_needed(level)
    possible = math.floor(1000 * (rows - 1) / (rows + 1)) / 1000
    return DatasetError(
        f"Cannot give intervals of level {level:g}: that takes {needed:,} rows to calibrate on, "
        f"and there are {rows:,}.",
        f"Deliver a week with more rows, or set {option_of('interval_level')} to {possible:g} or "
        "less.",
    )
