"""Empirical Bayes: what all products together say about the coefficients of each one's curve.

The coefficients of the products are taken as draws from one normal distribution, the prior. Its
mean and covariance are estimated from the products themselves by the EM algorithm for random
coefficients (Dempster, Laird and Rubin 1977; Laird and Ware 1982), the mean by generalised least
squares. A product with many rows keeps what its rows say, one with few is drawn to the mean.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from pipeline.curves.segments import LeastSquaresSums
from pipeline.model.arrays import Floats

MAX_PRODUCTS_FOR_PRIOR = 300
"""The products with most rows are enough to estimate the prior."""
MAX_PRIOR_STEPS = 30
CHANGE = 0.01
"""The EM algorithm stops when no standard deviation changes by a larger share of itself."""
TRACE, TINY = 1e-12, 1e-300


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


class _Evidence(NamedTuple):
    """The rows of each product as D rows with noise of one: target = rootᵀ · coefficients + noise.

    Attributes:
        roots: shape (n_products, D, D).
        targets: shape (n_products, D).
    """

    roots: Floats
    targets: Floats


def estimate_prior(sums: LeastSquaresSums, start: Prior) -> Prior:
    """Return the prior that makes the rows of all products most likely.

    Args:
        sums: of the rows of each product, weighted by one over the variance of their noise.
        start: where the search begins; its covariance should rather be too large.
    """
    largest = np.argsort(-sums.rows, kind="stable")[:MAX_PRODUCTS_FOR_PRIOR]
    evidence = _evidence(sums.of(largest))
    prior = start
    for _ in range(MAX_PRIOR_STEPS):
        improved = _improved(evidence, prior)
        before, after = np.diag(prior.covariance), np.diag(improved.covariance)
        prior = improved
        if (np.abs(after - before) <= 2 * CHANGE * before).all():
            break
    return prior


def update(sums: LeastSquaresSums, prior: Prior) -> Posterior:
    """Return what the rows of each product make of the prior."""
    evidence = _evidence(sums)
    shares = _prior_shares(evidence, prior)
    deviations = _deviations(evidence, prior, shares)
    freedom = len(prior.mean) - np.trace(shares, axis1=1, axis2=2)
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
    values, vectors = np.linalg.eigh(of_rises)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))).T
    rises, _ = nnls(root, root @ coefficients[1:])
    level = coefficients[0] - cross @ (rises - coefficients[1:])
    return np.concatenate([[level], rises])


def _evidence(sums: LeastSquaresSums) -> _Evidence:
    """Take the roots of the matrices; a trace of evidence makes those of few rows regular."""
    trace = np.trace(sums.matrices, axis1=1, axis2=2)
    regular = (TRACE * trace + TINY)[:, None, None] * np.eye(sums.moments.shape[1])
    roots = np.linalg.cholesky(sums.matrices + regular).astype(float, copy=False)
    targets = np.linalg.solve(roots, sums.moments[:, :, None])[:, :, 0]
    return _Evidence(roots, targets)


def _improved(evidence: _Evidence, prior: Prior) -> Prior:
    """Make one step of the EM algorithm."""
    shares = _prior_shares(evidence, prior)
    gains = evidence.roots @ shares
    information = gains @ evidence.roots.transpose(0, 2, 1)
    right = np.einsum("pij,pj->i", gains, evidence.targets)
    mean = np.linalg.lstsq(information.sum(axis=0), right, rcond=TRACE)[0]
    deviations = _deviations(evidence, Prior(mean, prior.covariance), shares)
    spread = deviations.T @ deviations / len(deviations)
    known = prior.covariance @ information.mean(axis=0) @ prior.covariance
    return Prior(mean, _without_negative_variance(spread + prior.covariance - known))


def _prior_shares(evidence: _Evidence, prior: Prior) -> Floats:
    """Return (1 + rootᵀ · covariance · root)⁻¹ for each product.

    What the targets differ from the prior's mean is noise to this share, and the rest is the
    product's own; shape (n_products, D, D).
    """
    signal = evidence.roots.transpose(0, 2, 1) @ prior.covariance @ evidence.roots
    return np.linalg.inv(np.eye(len(prior.mean)) + signal).astype(float, copy=False)


def _deviations(evidence: _Evidence, prior: Prior, shares: Floats) -> Floats:
    """Return how far each product's coefficients are from the mean, shape (n_products, D)."""
    surprise = evidence.targets - prior.mean @ evidence.roots
    explained = evidence.roots @ (shares @ surprise[:, :, None])
    deviations: Floats = explained[:, :, 0] @ prior.covariance
    return deviations


def _without_negative_variance(covariance: Floats) -> Floats:
    """Return the nearest covariance matrix, since rounding may have made it something else."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    nearest: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return nearest
