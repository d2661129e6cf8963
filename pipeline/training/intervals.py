"""How wide the prediction intervals must be: conformal calibration on rows that no fit had seen."""

import math

import numpy as np

from pipeline.curves.noise import NoiseScale
from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats
from pipeline.model.metadata import PredictionInterval
from pipeline.stages.command_line import option_of
from pipeline.stages.errors import DatasetError

MAX_ROUNDING_ERROR = 1e-9


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
    rank = math.ceil((n + 1) * level - MAX_ROUNDING_ERROR)  # ⌈(n + 1) · level⌉
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
