"""From typical to expected hours: how far the mean of each product is from its robust curve.

The robust fit finds the centre of the bulk of the rows, and late orders hardly move it. Where a few
orders take very long, the mean is above it, by so many units of the noise:

    expected hours = typical hours + bias of the product · noise
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.curves.noise import OUTLIER_DISTANCE, NoiseScale
from pipeline.curves.weighted_fit import PlacedRows
from pipeline.model.arrays import Floats

MIS_KEYED_FACTOR = 5.0
"""Outliers that are more times as high as the estimate are taken for mis-keyed: half of the ten
that one digit too many makes. Other outliers are late orders, and count in full."""


class Biases(NamedTuple):
    """How far means are from robust curves in units of the noise.

    Attributes:
        of_all: of all products.
        of_row: variance of a row's residual, in squared units of its noise.
        between: variance of the bias between products.
    """

    of_all: float
    of_row: float
    between: float


class _Sums(NamedTuple):
    """Sums over the rows of each product that count; all of shape (n_products,).

    Attributes:
        residuals: label minus estimate in hours.
        noise: of the rows in hours.
        squared_noise: the sum of its squares.
        rows: number of rows.
    """

    residuals: Floats
    noise: Floats
    squared_noise: Floats
    rows: Floats

    @property
    def biases(self) -> Floats:
        """Own bias of each product, and zero of those without rows, in units of the noise."""
        # b = Σ r / Σ σ, so that the shifted curve has no bias in hours
        return self._divided(self.residuals, self.noise)

    def variances(self, of_row: float) -> Floats:
        """Return the sampling variances of these biases."""
        # v = Var r · Σ σ² / (Σ σ)²
        return of_row * self._divided(self.squared_noise, self.noise**2)

    @staticmethod
    def _divided(numerator: Floats, denominator: Floats) -> Floats:
        return np.divide(
            numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0
        )


def plan_biases(rows: PlacedRows, estimates: Floats, noise: NoiseScale) -> Biases:
    """Learn from the rows of some products how biases are distributed among all.

    Args:
        rows: of these products.
        estimates: of their robust curves, not negative, shape (n_rows,).
        noise: of the rows.
    """
    noise_hours = noise.of(rows.product, estimates)
    counted = _weights(rows, estimates, noise_hours)
    sums = _sums(rows, estimates, noise_hours, counted)
    spread = (rows.hours - estimates - sums.biases[rows.product] * noise_hours) ** 2
    of_row = float((counted * spread).sum() / sums.squared_noise.sum())
    of_all = float(sums.residuals.sum() / sums.noise.sum())
    # τ² = Σ n · ((b - μ)² - v) / Σ n (DerSimonian and Laird 1986)
    excess = (sums.biases - of_all) ** 2 - sums.variances(of_row)
    between = max(float(np.average(excess, weights=sums.rows)), 0.0)
    return Biases(of_all, of_row, between)


def expected_coefficients(
    coefficients: Floats,
    rows: PlacedRows,
    estimates: Floats,
    noise: NoiseScale,
    biases: Biases,
) -> Floats:
    """Return the coefficients of curves of expected hours, no rise negative.

    Products with few rows are shrunk to the bias of all, and those without any have it.

    Args:
        coefficients: level and rises of the robust curves in hours, shape (n_products, D).
        rows: of the products.
        estimates: of the robust curves for them, not negative, shape (n_rows,).
        noise: of the rows.
        biases: how they are distributed.
    """
    noise_hours = noise.of(rows.product, estimates)
    sums = _sums(rows, estimates, noise_hours, _weights(rows, estimates, noise_hours))
    variances = sums.variances(biases.of_row)
    trust = np.divide(
        biases.between,
        biases.between + variances,
        out=np.zeros_like(variances),
        where=(sums.rows > 0) & (biases.between > 0),
    )
    shift = (biases.of_all + trust * (sums.biases - biases.of_all)) * noise.relative
    # f + s · (base + growth · f) = (1 + s · growth) · f + s · base, for the curve f
    expected = np.maximum(1 + shift * noise.growth, 0.0)[:, np.newaxis] * coefficients
    expected[:, 0] += shift * noise.base_hours
    return expected


def is_mis_keyed(hours: Floats, estimates: Floats) -> npt.NDArray[np.bool_]:
    """Tell which labels are so high that there may be a digit too many, shape (n_rows,).

    Args:
        hours: labels, shape (n_rows,).
        estimates: that they are compared with, shape (n_rows,).
    """
    too_high: npt.NDArray[np.bool_] = hours > MIS_KEYED_FACTOR * estimates
    return too_high


def _weights(rows: PlacedRows, estimates: Floats, noise_hours: Floats) -> Floats:
    """Return how much rows count, shape (n_rows,): mis-keyed ones do not."""
    is_far = rows.hours - estimates > OUTLIER_DISTANCE * noise_hours
    counts = (~(is_far & is_mis_keyed(rows.hours, estimates))).astype(float)
    weights = rows.located.sample_weight
    return counts if weights is None else counts * weights


def _sums(rows: PlacedRows, estimates: Floats, noise_hours: Floats, weights: Floats) -> _Sums:
    def of_products(values: Floats) -> Floats:
        totals = np.bincount(rows.product, weights * values, rows.located.n_products)
        return totals.astype(float, copy=False)

    return _Sums(
        of_products(rows.hours - estimates),
        of_products(noise_hours),
        of_products(noise_hours**2),
        of_products(np.ones_like(noise_hours)),
    )
