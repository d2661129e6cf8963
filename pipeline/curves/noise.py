"""How noisy the hours are around their estimates: growing with the estimate, and by product.

The noise of a row is its standard deviation in hours if the noise is normal; it is estimated so
that a few mis-keyed labels do not change it:

    σ(row) = (base + growth · estimate) · relative noise of the product
"""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.stats import theilslopes

from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats
from pipeline.orders.splits import systematic_sample

OUTLIER_DISTANCE = 6.0
"""Rows farther than this from the estimate, in units of the noise, are outliers."""
MIN_OUTLIER_HOURS = 0.01
"""Outliers nearer than this harm nobody: labels without noise make rounding errors outliers."""

MEDIAN_ABSOLUTE_NORMAL = 0.67449
"""Median of |Z|, Z standard normal."""
MEAN_ABSOLUTE_NORMAL = np.sqrt(2 / np.pi)
"""E |Z|."""
SQUARED_VARIATION_OF_NORMAL = np.pi / 2 - 1
"""Squared coefficient of variation of |Z|: Var |Z| / (E |Z|)²."""

NOISE_STEPS = 4
"""So many refinements are enough for convergence."""
MAX_TREND_ROWS, MAX_TREND_BINS, MIN_ROWS_OF_BIN = 100_000, 20, 10
MIN_BASE_NOISE_SHARE = 0.05
"""The noise where the estimate is zero is at least this share of the typical noise."""
MIN_NOISE_CORRECTION = 0.5
"""The mean distance may correct the medians, and not make them vanish where labels are exact."""
MIN_RELATIVE_NOISE, MAX_RELATIVE_NOISE = 0.05, 20.0
"""Limits to the noise of a product relative to that of all: its rows may all be exact, or a curve
may follow a single row ever more closely, which makes the noise of the others seem large."""
MIN_NOISE_SHARE_OF_HOURS = 1e-5
"""Rows that lie on their curves to the last digit still get noise: this share of the hours."""
MIN_ESTIMATE_HOURS, MIN_SPREAD_OF_ESTIMATES = 1e-5, 1e-5
"""Smaller estimates, or a smaller spread as a share of the largest one, have no slope."""

Counts = npt.NDArray[np.intp]


class NoiseSpread(NamedTuple):
    """How the noise differs among products, and how well the rows of one tell its own.

    Attributes:
        within: squared coefficient of variation of the distances of a product's rows.
        between: variance of the relative noise among products.
    """

    within: float = SQUARED_VARIATION_OF_NORMAL
    between: float = 0.0

    def shrink(self, measured: Floats, rows: Counts | Floats) -> Floats:
        """Return relative noise measured on so many rows, shrunk to one where they are few."""
        variance = self.within / np.maximum(rows, 1)
        # 1 + (m - 1) · τ² / (τ² + v)
        shrunk = 1 + (measured - 1) * self.between / (self.between + variance)
        return np.clip(shrunk, MIN_RELATIVE_NOISE, MAX_RELATIVE_NOISE)


class NoiseScale(NamedTuple):
    """The noise around the estimates of a model.

    Attributes:
        base_hours: where the estimate is zero, for a product of relative noise one.
        growth: hours of noise for each hour of the estimate.
        relative: noise of each product relative to that of all, shape (n_products,).
        spread: of the relative noise.
    """

    base_hours: float
    growth: float
    relative: Floats
    spread: NoiseSpread = NoiseSpread()

    def of(self, product: Positions, estimates: Floats) -> Floats:
        """Return the noise of rows in hours, shape (n_rows,)."""
        noise: Floats = (self.base_hours + self.growth * estimates) * self.relative[product]
        return noise

    @classmethod
    def unit(cls, n_products: int) -> Self:
        """Return the noise to start from: one hour for all."""
        return cls(1.0, 0.0, np.ones(n_products))


def estimate_noise(
    product: Positions, estimates: Floats, residuals: Floats, n_products: int
) -> NoiseScale:
    """Estimate the noise of rows around their estimates.

    Args:
        product: position of each row's product, shape (n_rows,).
        estimates: hours to dispatch, not negative, shape (n_rows,).
        residuals: label minus estimate in hours, shape (n_rows,).
        n_products: number of products; those without rows get the noise of all.
    """
    noise = NoiseScale.unit(n_products)
    for _ in range(NOISE_STEPS):
        noise = refine_noise(product, estimates, residuals, noise)
    return noise


def refine_noise(
    product: Positions, estimates: Floats, residuals: Floats, start: NoiseScale
) -> NoiseScale:
    """Make one step of the estimation of the noise.

    Args:
        product: position of each row's product, shape (n_rows,).
        estimates: hours to dispatch, not negative, shape (n_rows,).
        residuals: label minus estimate in hours, shape (n_rows,).
        start: an earlier estimate of the noise, of which the relative noise is used.
    """
    sample = systematic_sample(len(product), MAX_TREND_ROWS)
    in_sample = np.abs(residuals[sample]) / start.relative[product[sample]]
    smallest = MIN_NOISE_SHARE_OF_HOURS * (1 + estimates[sample].max())
    base_hours, growth = _fit_trend(estimates[sample], in_sample)
    trend = NoiseScale(max(base_hours, smallest), growth, start.relative)
    distances = np.abs(residuals) / trend.of(product, estimates)
    inliers = distances <= OUTLIER_DISTANCE
    # σ = E |r| / E |Z| is more efficient than medians, once outliers are left out.
    correction = max(float(distances[inliers].mean()) / MEAN_ABSOLUTE_NORMAL, MIN_NOISE_CORRECTION)
    sizes = distances[inliers] / correction
    rows, means = _means(product[inliers], sizes, len(start.relative))
    measured = _measured(start.relative, rows, means)
    within = _squared_variation(rows, means, sizes)
    # τ² = Σ n · ((m - 1)² - v) / Σ n, by the method of moments (DerSimonian and Laird 1986)
    excess = (measured - 1) ** 2 - within / np.maximum(rows, 1)
    spread = NoiseSpread(within, max(float(np.average(excess, weights=rows)), 0.0))
    return NoiseScale(
        trend.base_hours * correction, growth * correction, spread.shrink(measured, rows), spread
    )


def refine_relative_noise(
    noise: NoiseScale,
    product: Positions,
    estimates: Floats,
    residuals: Floats,
    sample_weight: Floats | None = None,
) -> NoiseScale:
    """Make one step of the estimation of the noise of each product alone.

    Args:
        noise: of all products, which is known, and an earlier estimate of the relative noise of
            these ones.
        product: position of each row's product, shape (n_rows,).
        estimates: hours to dispatch, not negative, shape (n_rows,).
        residuals: label minus estimate in hours, shape (n_rows,).
        sample_weight: how much each row counts, shape (n_rows,); None if all count alike.
    """
    distances = np.abs(residuals) / noise.of(product, estimates)
    weights = (distances <= OUTLIER_DISTANCE).astype(float)
    if sample_weight is not None:
        weights *= sample_weight
    rows, means = _means(product, distances, len(noise.relative), weights)
    measured = _measured(noise.relative, rows, means)
    return noise._replace(relative=noise.spread.shrink(measured, rows))


def _fit_trend(estimates: Floats, distances: Floats) -> tuple[float, float]:
    """Fit σ = base + growth · estimate to the median distances in bins of the estimate.

    Returns:
        Base in hours, and growth.
    """
    n_bins = int(np.clip(len(estimates) // MIN_ROWS_OF_BIN, 1, MAX_TREND_BINS))
    bins = np.array_split(np.argsort(estimates, kind="stable"), n_bins)
    centres = np.array([estimates[rows].mean() for rows in bins])
    # σ = median |r| / median |Z|
    noise = np.array([np.median(distances[rows]) for rows in bins]) / MEDIAN_ABSOLUTE_NORMAL
    typical = np.median(noise)
    # Through the origin; steeper lines come from estimates that hardly differ.
    max_growth = typical / max(np.median(centres), MIN_ESTIMATE_HOURS)
    growth = float(np.clip(_theil_sen_slope(centres, noise), 0.0, max_growth))
    base_hours = max(np.median(noise - growth * centres), MIN_BASE_NOISE_SHARE * typical)
    return float(base_hours), growth


def _theil_sen_slope(x: Floats, y: Floats) -> float:
    """Return the median slope of the lines through all pairs of points (Theil 1950, Sen 1968)."""
    if np.ptp(x) <= MIN_SPREAD_OF_ESTIMATES * x.max():
        return 0.0
    with np.errstate(invalid="ignore"):  # of the confidence limits, where values are tied
        return float(theilslopes(y, x).slope)


def _squared_variation(rows: Counts | Floats, means: Floats, distances: Floats) -> float:
    """Return the squared coefficient of variation of distances within products.

    Where tails are long it is larger than that of normal noise, and the noise of a product is known
    less well from the same number of rows. It is at least that of normal noise.

    Args:
        rows: of each product, shape (n_products,).
        means: of the distances of each product, shape (n_products,).
        distances: shape (n_rows,).
    """
    between = float((rows * means**2).sum())
    freedom = len(distances) - np.count_nonzero(rows)
    if between == 0 or freedom == 0:
        return SQUARED_VARIATION_OF_NORMAL
    within = (float((distances**2).sum()) - between) / freedom
    return max(within / (between / len(distances)), SQUARED_VARIATION_OF_NORMAL)


def _means(
    product: Positions, distances: Floats, n_products: int, weights: Floats | None = None
) -> tuple[Counts | Floats, Floats]:
    """Return how many rows products have, and the mean of their distances, (n_products,) each."""
    rows = np.bincount(product, weights, minlength=n_products)
    weighted = distances if weights is None else weights * distances
    totals = np.bincount(product, weighted, minlength=n_products)
    return rows, np.divide(totals, rows, out=np.zeros(n_products), where=rows > 0)


def _measured(relative: Floats, rows: Counts | Floats, means: Floats) -> Floats:
    """Return the relative noise that rows show, and one for products without rows.

    Args:
        relative: an earlier estimate, shape (n_products,).
        rows: of each product, shape (n_products,).
        means: of their distances from their estimates, in units of that noise.
    """
    return np.where(rows > 0, relative * means / MEAN_ABSOLUTE_NORMAL, 1.0)
