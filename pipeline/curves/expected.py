"""From typical to expected hours: how far the mean of each product is from its robust curve.

The robust fit finds the centre of the bulk of the rows, and late orders hardly move it. Where a few
orders take very long, the mean is above it, by so many units of the noise:

    expected hours = typical hours + bias of the product · noise
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.curves.noise import OUTLIER_DISTANCE, estimate_noise
from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats

MIS_KEYED_FACTOR = 5.0
"""Outliers that are more times as high as the estimate are taken for mis-keyed: half of the ten
that one digit too many makes. Other outliers are late orders, and count in full."""


class _Scores(NamedTuple):
    """Rows that count; all of shape (n_rows,).

    Attributes:
        product: position of each row's product.
        residuals: label minus estimate in hours.
        noise: in hours.
    """

    product: Positions
    residuals: Floats
    noise: Floats


def expected_coefficients(
    coefficients: Floats, product: Positions, hours: Floats, estimates: Floats
) -> Floats:
    """Return the coefficients of curves of expected hours, no rise negative.

    Args:
        coefficients: level and rises of the robust curves in hours, shape (n_products, D).
        product: position of each row's product, shape (n_rows,).
        hours: labels, shape (n_rows,).
        estimates: of the robust curves, not negative, shape (n_rows,).
    """
    n_products = len(coefficients)
    residuals = hours - estimates
    scale = estimate_noise(product, estimates, residuals, n_products)
    noise = scale.of(product, estimates)
    counts = ~((residuals > OUTLIER_DISTANCE * noise) & is_mis_keyed(hours, estimates))
    rows = _Scores(product[counts], residuals[counts], noise[counts])
    shift = _shrunk_biases(rows, n_products) * scale.relative
    # f + s · (base + growth · f) = (1 + s · growth) · f + s · base, for the curve f
    expected = np.maximum(1 + shift * scale.growth, 0.0)[:, np.newaxis] * coefficients
    expected[:, 0] += shift * scale.base_hours
    return expected


def is_mis_keyed(hours: Floats, estimates: Floats) -> npt.NDArray[np.bool_]:
    """Tell which labels are so high that there may be a digit too many, shape (n_rows,).

    Args:
        hours: labels, shape (n_rows,).
        estimates: that they are compared with, shape (n_rows,).
    """
    too_high: npt.NDArray[np.bool_] = hours > MIS_KEYED_FACTOR * estimates
    return too_high


def _shrunk_biases(rows: _Scores, n_products: int) -> Floats:
    """Return the bias of each product in units of its noise, shape (n_products,).

    Products with few rows are shrunk to the bias of all, and those without any have it, by the
    method of moments as in `noise`.
    """

    def sums(values: Floats) -> Floats:
        totals = np.bincount(rows.product, values, minlength=n_products)
        return totals.astype(float, copy=False)

    n = sums(np.ones_like(rows.noise))
    counts = n > 0
    total_noise = np.where(counts, sums(rows.noise), 1.0)
    of_all = rows.residuals.sum() / rows.noise.sum()
    # b = Σ r / Σ σ, so that the shifted curve has no bias in hours
    own = np.where(counts, sums(rows.residuals) / total_noise, of_all)
    spread = (rows.residuals - own[rows.product] * rows.noise) ** 2
    variance_of_row = spread.sum() / (rows.noise**2).sum()
    # v = Var r · Σ σ² / (Σ σ)²
    sampling_variance = variance_of_row * sums(rows.noise**2) / total_noise**2
    # τ² = Σ n · ((b - μ)² - v) / Σ n (DerSimonian and Laird 1986)
    excess = (own - of_all) ** 2 - sampling_variance
    true_variance = max(float(np.average(excess, weights=n)), 0.0)
    if true_variance == 0:
        return np.full(n_products, of_all)
    shrunk: Floats = of_all + (own - of_all) * true_variance / (true_variance + sampling_variance)
    return shrunk
