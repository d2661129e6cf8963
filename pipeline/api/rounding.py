"""How hours are rounded in answers: to two decimals, alike for one order and for many."""

import numpy as np

from pipeline.model.arrays import Floats

DECIMALS = 2
SCALE = 10.0**DECIMALS


def rounded(hours: Floats) -> list[float]:
    """Return hours as they are answered; rounding keeps an estimate within its bounds."""
    decimals: list[float] = np.round(hours, DECIMALS).tolist()
    return decimals


def rounded_one(hours: float) -> float:
    """Return the same for one number: NumPy multiplies, rounds half to even, and divides."""
    return round(hours * SCALE) / SCALE
