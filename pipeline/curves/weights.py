"""How much rows count in a fit, by how far their labels are from the estimates."""

import numpy as np

from pipeline.curves.noise import OUTLIER_DISTANCE
from pipeline.model.arrays import Floats

HUBER_THRESHOLD = 0.5
"""Distance, in units of the noise, from which Huber's weights fall: nearly least absolute error."""


def huber_weights(residuals: Floats, noise_hours: Floats) -> Floats:
    """Return Huber's weights (1964) divided by the variance of the noise.

    Args:
        residuals: label minus estimate in hours, shape (n_rows,).
        noise_hours: standard deviation of the noise of each row, shape (n_rows,).

    Returns:
        Weights in 1/hours², shape (n_rows,).
    """
    distances = np.abs(residuals) / noise_hours
    # min(1, k / |u|) / σ², u = r / σ
    weights: Floats = 1 / np.maximum(distances / HUBER_THRESHOLD, 1) / noise_hours**2
    return weights


def bisquare_weights(residuals: Floats, noise_hours: Floats) -> Floats:
    """Return Tukey's bisquare weights divided by the variance of the noise; outliers get none.

    Args:
        residuals: label minus estimate in hours, shape (n_rows,).
        noise_hours: standard deviation of the noise of each row, shape (n_rows,).

    Returns:
        Weights in 1/hours², shape (n_rows,).
    """
    distances = residuals / noise_hours
    # max(1 - (u / c)², 0)² / σ², u = r / σ (Beaton and Tukey 1974)
    bisquares = np.maximum(1 - (distances / OUTLIER_DISTANCE) ** 2, 0.0) ** 2
    weights: Floats = bisquares / noise_hours**2
    return weights
