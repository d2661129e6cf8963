"""The population stability index: how differently two weeks are spread over the same groups."""

import numpy as np
import numpy.typing as npt
from scipy import stats

from pipeline.model.arrays import Floats
from pipeline.model.metadata import Histogram

GROUPS = 10
PSEUDO_COUNT = 0.5
"""Added to every count, so that an empty group has a logarithm (Jeffreys' prior)."""


def stability_index(reference: Floats, current: Floats) -> float:
    """Return the population stability index of two samples that were counted in the same groups.

    It is zero for equal shares of the groups, and has no upper limit (Siddiqi, 2006).

    Args:
        reference: counts of the one sample, shape (n_groups,).
        current: counts of the other, of the same shape.
    """
    before, now = ((counts + PSEUDO_COUNT) for counts in (reference, current))
    p, q = before / before.sum(), now / now.sum()
    # PSI = Σ (q − p) · ln(q / p) over the groups
    return float(((q - p) * np.log(q / p)).sum())


def stability_by_chance(reference: Floats, current: Floats, rate: float) -> float:
    """Return the index that two samples from the same distribution exceed at this rate."""
    # For two samples of n and m rows from the same distribution, PSI / (1/n + 1/m) follows χ² with
    # n_groups − 1 degrees of freedom (Yurdakul, Statistical Properties of Population Stability
    # Index, 2018).
    scale = float(1 / reference.sum() + 1 / current.sum())
    return scale * float(stats.chi2.isf(rate, len(reference) - 1))


def grouped_by_orders(reference: Histogram, orders_placed: Floats) -> tuple[Floats, Floats]:
    """Count the champion's orders and this week's in about ten groups of equal shares of the first.

    A bin belongs to the tenth that the middle of its orders falls into when all are lined up.
    Order counts beyond the outermost edges are counted in the outermost bins.
    """
    edges = np.array(reference.edges)
    before = np.array(reference.counts, dtype=float)
    within = np.clip(orders_placed, edges[0], edges[-1])
    now = np.histogram(within, bins=edges)[0].astype(float)
    middle = (np.cumsum(before) - before / 2) / before.sum()
    tenth = (middle * GROUPS).astype(int)
    _, group = np.unique(tenth, return_inverse=True)
    return _sums(group, before), _sums(group, now)


def _sums(group: npt.NDArray[np.intp], counts: Floats) -> Floats:
    return np.bincount(group, weights=counts).astype(float)
