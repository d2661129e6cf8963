"""What of a difference between two models is more than chance."""

import numpy as np
from scipy import stats

from pipeline.model.arrays import Floats

CONFIDENCE = 0.99
"""There is a comparison each week, and hardly any should fail by chance."""
BOOTSTRAP_RESAMPLES = 999
MAX_RESAMPLES_AT_ONCE = 50
"""Keeps the bootstrap within a few megabytes."""
MAX_BOOTSTRAP_ROWS = 10_000
BOOTSTRAP_SEED = 20210705


def least_mean(differences: Floats) -> float | None:
    """Return the lower end of a one-sided bootstrap interval of a mean, or None without values.

    Pairs of errors that are resampled together matter only by their difference, so those are
    resampled.
    """
    if not len(differences):
        return None
    taken = min(len(differences), MAX_BOOTSTRAP_ROWS)
    sample = differences[np.arange(taken) * len(differences) // taken]
    if np.ptp(sample) == 0:
        return float(sample[0])  # every resample is the same, and SciPy refuses a single row
    # Percentile bootstrap: the 1 % quantile of the means of 999 resamples (Efron and Tibshirani,
    # An Introduction to the Bootstrap, 1993, section 13.3).
    bootstrap = stats.bootstrap(
        (sample,),
        np.mean,
        n_resamples=BOOTSTRAP_RESAMPLES,
        batch=MAX_RESAMPLES_AT_ONCE,
        vectorized=True,
        confidence_level=CONFIDENCE,
        alternative="greater",
        method="percentile",
        rng=BOOTSTRAP_SEED,
    )
    return float(bootstrap.confidence_interval.low)
