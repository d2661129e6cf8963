"""How far the scores of each product reach beside those of all, steadied by those of all."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats

SAME_SCORE = 1e-9
"""Scores that differ by a smaller share are those of equal labels."""
DENSITY_WINDOW = 0.4
"""The density at a quantile is measured so far to both sides of it, in units of its tail."""
MAX_FACTOR = 3.0
"""A product that reaches farther than so many times the others, or less than that part, counts as
if it did not: it may have no tail at all, and one of its kind must not make others unsteady."""

Counts = npt.NDArray[np.intp]


def product_factors(
    product: Positions,
    scores: Floats,
    reach_of_all: Floats,
    tail: float,
    least_rows: int,
    n_products: int,
) -> Floats:
    """Return how far the products reach below and above, relative to the reach of all.

    The logarithm of a product's own quantile is shrunk to the mean of all, the more the fewer rows
    it has, and the less the more the products differ (empirical Bayes as in Fay and Herriot 1979,
    Estimates of income for small places). Its sampling variance is that of a quantile, with the
    density of all scores; the variance between products is found by the method of moments.

    Args:
        product: position of each row's product, shape (n_rows,).
        scores: signed distances of the rows, shape (n_rows,).
        reach_of_all: how far the interval of all products reaches below and above, shape (2,).
        tail: share of the scores to be beyond the reach, to either side.
        least_rows: products with fewer rows have no quantile of their own.
        n_products: number of products; some may be without rows.

    Returns:
        Factors above zero, shape (2, n_products).
    """
    rows = np.bincount(product, minlength=n_products)
    has_own = rows >= least_rows
    by_product = _distributions(product, scores, rows)
    of_all = _distributions(np.zeros_like(product), scores, np.array([len(scores)]))
    window = np.array([1 - DENSITY_WINDOW, 1 + DENSITY_WINDOW]) * tail
    factors = np.ones((2, len(rows)))
    for side, sign in enumerate((-1, 1)):
        # The score of rank (n + 1) · (1 - tail), counted in halves of rows.
        share = np.clip(((rows + 1) * tail - 0.5) / np.maximum(rows, 1), 0.0, 1.0)
        own = sign * by_product.quantiles(share if sign < 0 else 1 - share)
        logs = np.log(np.clip(own / reach_of_all[side], 1 / MAX_FACTOR, MAX_FACTOR))
        far, near = (
            float(sign * of_all.quantiles(np.array([part if sign < 0 else 1 - part]))[0])
            for part in window
        )
        # Var log q = t (1 - t) / (n · (f(q) · q)²), and 1 / f(q) is the slope of the quantiles
        slope = max(far - near, 0.0) / (2 * DENSITY_WINDOW * tail) / reach_of_all[side]
        variance = max(tail * (1 - tail) * slope**2, SAME_SCORE) / np.maximum(rows, 1)
        factors[side] = np.exp(_shrink(logs, variance, has_own))
    return factors


def _shrink(values: Floats, variance: Floats, has_own: npt.NDArray[np.bool_]) -> Floats:
    """Return the values of products, shrunk to their mean; those without a value have the mean."""
    if not has_own.any():
        return np.zeros_like(values)
    weights = 1 / variance[has_own]
    own = values[has_own]
    mean = float(np.average(own, weights=weights))
    # τ² = (Σ w · (x - mean)² - (k - 1)) / (Σ w - Σ w² / Σ w)  (DerSimonian and Laird 1986)
    freedom = weights.sum() - (weights**2).sum() / weights.sum()
    excess = (weights * (own - mean) ** 2).sum() - (len(own) - 1)
    between = max(float(excess / freedom), 0.0) if len(own) > 1 else 0.0
    trust = np.where(has_own, between / (between + variance), 0.0)
    shrunk: Floats = mean + trust * (values - mean)
    return shrunk


class _Distributions(NamedTuple):
    """The distinct scores of products, by product and size.

    Attributes:
        scores: shape (n_distinct,).
        shares: of the product's scores, those below each and half of those equal to it.
        ends: where the scores of each product end, shape (n_products,).
        keys: position of the product plus share, to search in.
    """

    scores: Floats
    shares: Floats
    ends: Counts
    keys: Floats

    def quantiles(self, shares: Floats) -> Floats:
        """Return a quantile of each product, shape (n_products,); zero for those without rows.

        It is a quantile of the mid-distribution (Ma, Genton and Parzen 2011, Asymptotic properties
        of sample quantiles of discrete distributions): where many scores are equal, it is beyond
        them if that is nearer to the share than short of them. Otherwise it is the usual one,
        between two scores.
        """
        starts = np.concatenate([[0], self.ends[:-1]])
        has_rows = self.ends > starts
        first, last = starts[has_rows], self.ends[has_rows] - 1
        wanted = np.flatnonzero(has_rows) + shares[has_rows]
        upper = np.clip(np.searchsorted(self.keys, wanted), first, last)
        lower = np.clip(upper - 1, first, last)
        span = self.shares[upper] - self.shares[lower]
        part = (shares[has_rows] - self.shares[lower]) / np.where(span > 0, span, 1.0)
        part = np.where(span > 0, np.clip(part, 0.0, 1.0), 0.0)
        found = np.zeros(len(self.ends))
        found[has_rows] = self.scores[lower] + part * (self.scores[upper] - self.scores[lower])
        return found


def _distributions(product: Positions, scores: Floats, rows: Counts) -> _Distributions:
    """Return the distributions of the scores of products that have so many rows."""
    order = np.lexsort((scores, product))
    product, scores = product[order], scores[order]
    grows = np.diff(scores) > SAME_SCORE * (1 + np.abs(scores[1:]))
    begins = np.flatnonzero(np.concatenate([[True], grows | (np.diff(product) > 0)]))
    counts = np.diff(np.append(begins, len(scores)))
    distinct = product[begins]
    before = begins - (np.cumsum(rows) - rows)[distinct]
    shares = (before + counts / 2) / rows[distinct]
    ends = np.cumsum(np.bincount(distinct, minlength=len(rows)))
    return _Distributions(scores[begins], shares, ends, distinct + shares)
