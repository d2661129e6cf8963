"""Empirical Bayes: what all products together say about the coefficients of each one's curve.

The coefficients of the products are taken as draws from one normal distribution, the prior. Its
mean and covariance are estimated from the products themselves by the EM algorithm for random
coefficients (Dempster, Laird and Rubin 1977; Laird and Ware 1982), the mean by generalised least
squares. A product with many rows keeps what its rows say, one with few is drawn to the mean.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from pipeline.curve_segments import Floats, LeastSquaresSums

MOST_PRODUCTS = 500
"""The products with most rows are enough to estimate the prior."""
MOST_STEPS = 50
CHANGE = 0.01
"""The EM algorithm stops when no standard deviation changes by a larger share of itself."""


class Prior(NamedTuple):
    """How the coefficients vary among products.

    Attributes:
        mean: in hours, shape (D,).
        covariance: in hours², shape (D, D).
    """

    mean: Floats
    covariance: Floats


class Posterior(NamedTuple):
    """The coefficients of the products, given their rows and the prior.

    Attributes:
        means: most likely coefficients in hours, shape (n_products, D).
        freedom: how many coefficients the rows of a product have determined, 0 to D, the rest
            being the prior's; shape (n_products,).
    """

    means: Floats
    freedom: Floats


def estimate_prior(sums: LeastSquaresSums, start: Prior) -> Prior:
    """Return the prior that makes the rows of all products most likely.

    Args:
        sums: of the rows of each product, weighted by one over the variance of their noise.
        start: where the search begins; its covariance should rather be too large.
    """
    largest = np.argsort(-sums.rows, kind="stable")[:MOST_PRODUCTS]
    some = sums.of(largest)
    prior = start
    for _ in range(MOST_STEPS):
        improved = _improved(some, prior)
        change = np.diag(improved.covariance) / np.diag(prior.covariance) - 1
        prior = improved
        if (np.abs(change) < 2 * CHANGE).all():
            break
    return prior


def update(sums: LeastSquaresSums, prior: Prior) -> Posterior:
    """Return what the rows of each product make of the prior."""
    root = _root(prior.covariance)
    inverses = _inverses(sums.matrices, root)
    deviations = _deviations(sums, prior.mean, root, inverses)
    freedom = len(root) - np.trace(inverses, axis1=1, axis2=2)
    return Posterior(prior.mean + deviations, freedom)


def without_falls(coefficients: Floats, sums: LeastSquaresSums, prior: Prior) -> Floats:
    """Return the most likely coefficients among those whose rises are not negative.

    Args:
        coefficients: the most likely ones without this condition, shape (n_products, D).
        sums: of the rows of each product.
        prior: of the coefficients.
    """
    rising = coefficients.copy()
    prior_precision = np.linalg.pinv(prior.covariance, hermitian=True)
    for product in np.flatnonzero((coefficients[:, 1:] < 0).any(axis=1)):
        precision = sums.matrices[product] + prior_precision
        rising[product] = _nearest_rising(coefficients[product], precision)
    return rising


def _nearest_rising(coefficients: Floats, precision: Floats) -> Floats:
    """Minimise the squared distance in this metric; the level is free and follows the rises."""
    cross = precision[0, 1:] / precision[0, 0]
    of_rises = precision[1:, 1:] - np.outer(cross, precision[0, 1:])
    root = _root(of_rises).T
    rises, _ = nnls(root, root @ coefficients[1:])
    level = coefficients[0] - cross @ (rises - coefficients[1:])
    return np.concatenate([[level], rises])


def _improved(sums: LeastSquaresSums, prior: Prior) -> Prior:
    """Make one step of the EM algorithm."""
    root = _root(prior.covariance)
    inverses = _inverses(sums.matrices, root)
    mean = _pooled_mean(sums, root, inverses)
    deviations = _deviations(sums, mean, root, inverses)
    spread = deviations.T @ deviations / len(deviations)
    return Prior(mean, spread + root @ inverses.mean(axis=0) @ root.T)


def _pooled_mean(sums: LeastSquaresSums, root: Floats, inverses: Floats) -> Floats:
    """Return the mean of the prior by generalised least squares over the products."""
    gains = sums.matrices @ root @ inverses @ root.T
    normal = (sums.matrices - gains @ sums.matrices).sum(axis=0)
    right = (sums.moments - (gains @ sums.moments[:, :, None])[:, :, 0]).sum(axis=0)
    mean: Floats = np.linalg.lstsq(normal, right)[0]
    return mean


def _deviations(sums: LeastSquaresSums, mean: Floats, root: Floats, inverses: Floats) -> Floats:
    """Return how far each product's coefficients are from a mean, shape (n_products, D)."""
    surprise = sums.moments - sums.matrices @ mean
    deviations: Floats = (inverses @ (surprise @ root)[:, :, None])[:, :, 0] @ root.T
    return deviations


def _inverses(matrices: Floats, root: Floats) -> Floats:
    """Return (1 + rootᵀ · matrix · root)⁻¹ for each product.

    With the root of the prior's covariance on both sides this is the posterior covariance,
    (matrix + covariance⁻¹)⁻¹, also where matrix or covariance are singular.
    """
    return np.linalg.inv(np.eye(len(root)) + root.T @ matrices @ root).astype(float, copy=False)


def _root(matrix: Floats) -> Floats:
    """Return R with R · Rᵀ equal to a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root
