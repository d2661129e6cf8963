"""How noisy the hours are around their estimates: growing with the estimate, and by product.

The noise of a row is its standard deviation in hours if the noise is normal; it is measured so
that a few mis-keyed labels do not change it.
"""

from typing import NamedTuple, Self

import numpy as np
from scipy.stats import theilslopes

from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats
from pipeline.orders.splits import every_nth

OUTLIER_DISTANCE = 6.0
"""Rows farther than this from the estimate, in units of the noise, are outliers."""

MEDIAN_OF_NORMAL = 0.67449
"""Median of the absolute value of a standard normal variable."""
MEAN_OF_NORMAL = np.sqrt(2 / np.pi)
"""Mean of the same."""
SPREAD_OF_NORMAL = np.pi / 2 - 1
"""Squared coefficient of variation of the same."""

SETTLING_STEPS = 4
BINS = 20
MIN_ROWS_PER_BIN = 10
MAX_TREND_ROWS = 100_000
MIN_BASE_SHARE = 0.05
"""The noise where the estimate is zero is at least this share of the typical noise."""
MIN_LEVEL = 0.5
"""The mean distance may correct the medians, and not make them vanish where labels are exact."""
MIN_RELATIVE_NOISE, MAX_RELATIVE_NOISE = 0.05, 20.0
"""Limits to the noise of a product relative to that of all: its rows may all be exact, or a curve
may follow a single row ever more closely, which makes the noise of the others seem large."""
MIN_NOISE_SHARE = 1e-5
"""Rows that lie on their curves to the last digit still get noise: this share of the hours."""


class NoiseScale(NamedTuple):
    """The noise around the estimates of a model.

    Attributes:
        base_hours: where the estimate is zero, for a product of ordinary noise.
        growth: hours of noise for each hour of the estimate.
        relative: noise of each product relative to ordinary noise, shape (n_products,).
    """

    base_hours: float
    growth: float
    relative: Floats

    def of(self, product: Positions, estimates: Floats) -> Floats:
        """Return the noise of rows in hours, shape (n_rows,)."""
        noise: Floats = (self.base_hours + self.growth * estimates) * self.relative[product]
        return noise

    @classmethod
    def ordinary(cls, n_products: int) -> Self:
        """Return the noise to start from: one hour for all."""
        return cls(1.0, 0.0, np.ones(n_products))


def measure_noise(
    product: Positions, estimates: Floats, residuals: Floats, start: NoiseScale
) -> NoiseScale:
    """Measure the noise of rows around their estimates.

    Args:
        product: position of each row's product, shape (n_rows,).
        estimates: hours to dispatch, not negative, shape (n_rows,).
        residuals: label minus estimate in hours, shape (n_rows,).
        start: an earlier measurement; the relative noise of products is taken from there, and
            improved by what these rows say.
    """
    sample = every_nth(len(product), MAX_TREND_ROWS)
    in_sample = np.abs(residuals[sample]) / start.relative[product[sample]]
    smallest = MIN_NOISE_SHARE * (1 + estimates[sample].max())
    base_hours, growth = _trend(estimates[sample], in_sample)
    trend = NoiseScale(max(base_hours, smallest), growth, start.relative)
    distances = np.abs(residuals) / trend.of(product, estimates)
    sound = distances <= OUTLIER_DISTANCE
    level = max(float(distances[sound].mean()) / MEAN_OF_NORMAL, MIN_LEVEL)
    relative = _shrunk(start.relative, product[sound], distances[sound] / level)
    return NoiseScale(trend.base_hours * level, growth * level, relative)


def settled_noise(
    product: Positions, estimates: Floats, residuals: Floats, n_products: int
) -> NoiseScale:
    """Measure the noise of rows around estimates that do not change any more.

    Args:
        product: position of each row's product, shape (n_rows,).
        estimates: hours to dispatch, not negative, shape (n_rows,).
        residuals: label minus estimate in hours, shape (n_rows,).
        n_products: number of products; those without rows get ordinary noise.
    """
    noise = NoiseScale.ordinary(n_products)
    for _ in range(SETTLING_STEPS):
        noise = measure_noise(product, estimates, residuals, noise)
    return noise


def _trend(estimates: Floats, distances: Floats) -> tuple[float, float]:
    """Fit noise = base + growth · estimate to the median distances in bins of the estimate."""
    bins = int(np.clip(len(estimates) // MIN_ROWS_PER_BIN, 1, BINS))
    by_estimate = np.array_split(np.argsort(estimates, kind="stable"), bins)
    centres = np.array([estimates[rows].mean() for rows in by_estimate])
    noise = np.array([np.median(distances[rows]) for rows in by_estimate]) / MEDIAN_OF_NORMAL
    typical = np.median(noise)
    # Through the origin; steeper lines come from estimates that hardly differ.
    steepest = typical / max(np.median(centres), MIN_NOISE_SHARE)
    growth = float(np.clip(_median_slope(centres, noise), 0.0, steepest))
    base_hours = max(np.median(noise - growth * centres), MIN_BASE_SHARE * typical)
    return float(base_hours), growth


def _median_slope(x: Floats, y: Floats) -> float:
    """Return the median slope of the lines through all pairs of points (Theil and Sen)."""
    if np.ptp(x) <= MIN_NOISE_SHARE * x.max():
        return 0.0
    with np.errstate(invalid="ignore"):  # of the confidence limits, where values are tied
        return float(theilslopes(y, x).slope)


def _shrunk(relative: Floats, product: Positions, distances: Floats) -> Floats:
    """Return the relative noise of products, drawn to that of all where they have few rows.

    The shrinkage compares how much the products' mean distances vary with how much they would
    vary by chance (method of moments).
    """
    rows = np.bincount(product, minlength=len(relative))
    totals = np.bincount(product, distances, minlength=len(relative))
    mean_distances = totals / np.maximum(rows, 1) / MEAN_OF_NORMAL
    measured = np.where(rows > 0, relative * mean_distances, 1.0)
    chance = SPREAD_OF_NORMAL / np.maximum(rows, 1)
    signal = max(float(np.average((measured - 1) ** 2 - chance, weights=rows)), 0.0)
    shrunk = 1 + (measured - 1) * signal / (signal + chance)
    return np.clip(shrunk, MIN_RELATIVE_NOISE, MAX_RELATIVE_NOISE)
