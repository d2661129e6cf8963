"""The steps in which hours come: whole days, shifts, or the last digit of a clock.

A label that was rounded to a step says nothing about what is smaller. The rounding alone, uniform
over a step, has a standard deviation of step / √12 (Sheppard 1898).
"""

import numpy as np

from pipeline.curves.noise import MEAN_ABSOLUTE_NORMAL
from pipeline.model.arrays import Floats
from pipeline.orders.splits import systematic_sample

RESOLUTION = 1e-6
"""Gaps between labels are told apart in units of so many hours."""
MIN_SHARE_ON_STEPS = 0.95
"""A few labels may be beside the steps that all others keep to."""
MAX_DISTINCT_SHARE = 0.5
"""Labels that hardly ever agree are not told to come in steps."""
MAX_STEP_ROWS = 100_000


def step_of(hours: Floats) -> float:
    """Return the largest step that nearly all labels are whole numbers of apart, or zero.

    Args:
        hours: labels, shape (n_rows,).
    """
    sample = hours[systematic_sample(len(hours), MAX_STEP_ROWS)]
    units = np.rint(sample / RESOLUTION).astype(np.int64)
    values, rows = np.unique(units, return_counts=True)
    if len(values) < 2 or len(values) > MAX_DISTINCT_SHARE * len(units):
        return 0.0
    gaps, times = np.unique(np.diff(values), return_counts=True)
    from_most_frequent = units - values[np.argmax(rows)]
    steps = (int(gaps[np.argmax(times)]), int(np.gcd.reduce(gaps)))
    kept_to = (step for step in steps if _share_on(from_most_frequent, step) >= MIN_SHARE_ON_STEPS)
    return max(kept_to) * RESOLUTION


def smallest_noise(step: float) -> float:
    """Return the standard deviation that rounding to a step makes, in hours."""
    return float(step / np.sqrt(12))


def with_steps(residuals: Floats, step: float) -> Floats:
    """Return the sizes of residuals, and where they are less than a step lets one see, that size.

    The noise of such distances is not smaller than that of the step.
    """
    least = MEAN_ABSOLUTE_NORMAL * smallest_noise(step)
    distances: Floats = np.maximum(np.abs(residuals), least)
    return distances


def _share_on(distances: "np.ndarray[tuple[int], np.dtype[np.int64]]", step: int) -> float:
    """Return which share of distances is a whole number of steps, to a unit or two."""
    beside = np.abs(distances - step * np.rint(distances / step))
    return float((beside <= 1).mean())
