"""Empirical Bayes: what all products together say about the coefficients of each one's curve.

The coefficients β of a product are taken as a draw from one normal distribution, the prior
N(μ, Σ). The mean μ and the covariance Σ are estimated from the products themselves by the EM
algorithm for random coefficients (Dempster, Laird and Rubin 1977; Laird and Ware 1982), μ by
generalised least squares. A product with many rows keeps what its rows say, one with few is
shrunk to the mean.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from pipeline.curves.segments import NormalEquations
from pipeline.model.arrays import Floats

MAX_PRIOR_PRODUCTS = 300
"""The products with most rows are enough to estimate the prior."""
MAX_EM_STEPS = 30
EM_TOLERANCE = 0.01
"""EM has converged when no standard deviation changes by a larger share of itself."""
MIN_RIDGE_SHARE, MIN_RIDGE = 1e-12, 1e-300
"""What is added to normal matrices to make them regular: a share of their trace, and a trace."""
MIN_SINGULAR_SHARE = 1e-12
"""Singular values below this share of the largest count as zero."""


class Prior(NamedTuple):
    """How the coefficients vary among products.

    Attributes:
        mean: μ in hours, shape (D,).
        covariance: Σ in hours², shape (D, D).
    """

    mean: Floats
    covariance: Floats


class Posterior(NamedTuple):
    """The coefficients of the products, given their rows and the prior.

    Attributes:
        means: of the coefficients in hours, shape (n_products, D).
        degrees_of_freedom: effective ones, 0 to D: how many coefficients the rows of a product
            have determined, the rest being the prior's; shape (n_products,).
    """

    means: Floats
    degrees_of_freedom: Floats


class _WhitenedRows(NamedTuple):
    """The rows of each product as D rows with noise of one: t = Lᵀβ + ε, ε from N(0, I).

    Attributes:
        factors: L, the Cholesky factor of XᵀWX, in 1/hours, shape (n_products, D, D).
        labels: t = L⁻¹XᵀWy, without unit, shape (n_products, D).
    """

    factors: Floats
    labels: Floats


def estimate_prior(equations: NormalEquations, start: Prior) -> Prior:
    """Return the prior that makes the rows of all products most likely.

    Args:
        equations: of each product, its rows weighted by one over the variance of their noise.
        start: where EM begins; its covariance should rather be too large.
    """
    largest = np.argsort(-equations.rows, kind="stable")[:MAX_PRIOR_PRODUCTS]
    whitened = _whiten(equations.of(largest))
    prior = start
    for _ in range(MAX_EM_STEPS):
        variances = np.diag(prior.covariance)
        prior = _em_step(whitened, prior)
        change = np.abs(np.diag(prior.covariance) - variances)
        # A variance changes by twice the share that its standard deviation does.
        if (change <= 2 * EM_TOLERANCE * variances).all():
            break
    return prior


def compute_posterior(equations: NormalEquations, prior: Prior) -> Posterior:
    """Return what the rows of each product make of the prior.

    Each product is computed alone, matrix by matrix: the last bits of its coefficients do not
    depend on how many others there are.
    """
    # β = μ + Rγ with Σ = RRᵀ, so that γ is from N(0, I) and its precision is I + Rᵀ · XᵀWX · R
    values, vectors = np.linalg.eigh(prior.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    scaled = root.T @ equations.matrices @ root
    variances = np.linalg.inv(np.eye(len(root)) + scaled).astype(float, copy=False)
    beyond_mean = equations.right_sides[:, :, None] - equations.matrices @ prior.mean[:, None]
    deviations = root @ (variances @ (root.T @ beyond_mean))
    # tr((XᵀWX + Σ⁻¹)⁻¹XᵀWX) = D - tr((I + Rᵀ · XᵀWX · R)⁻¹) (Hastie and Tibshirani 1990)
    degrees_of_freedom = len(root) - np.trace(variances, axis1=1, axis2=2)
    return Posterior(prior.mean + deviations[:, :, 0], degrees_of_freedom)


def make_monotone(means: Floats, equations: NormalEquations, prior: Prior) -> Floats:
    """Return the most likely coefficients among those whose rises are not negative.

    Args:
        means: of the posterior without this condition in hours, shape (n_products, D).
        equations: of each product.
        prior: of the coefficients.
    """
    monotone = means.copy()
    falling = np.flatnonzero((means[:, 1:] < 0).any(axis=1))
    if len(falling):
        prior_precision = np.linalg.pinv(prior.covariance, hermitian=True)
        precisions = equations.matrices[falling] + prior_precision  # XᵀWX + Σ⁻¹
        monotone[falling] = _project_rises(means[falling], precisions)
    return monotone


def _project_rises(means: Floats, precisions: Floats) -> Floats:
    """Minimise (β - mean)ᵀ · precision · (β - mean) over β whose rises are not negative."""
    # The level is free: what is left of P for the rises is P₁₁ - P₁₀P₀₁ / P₀₀ (Schur).
    cross = precisions[:, 0, 1:] / precisions[:, 0, :1]
    of_rises = precisions[:, 1:, 1:] - cross[:, :, None] * precisions[:, :1, 1:]
    values, vectors = np.linalg.eigh(of_rises)
    roots = (vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]).transpose(0, 2, 1)
    targets = (roots @ means[:, 1:, None])[:, :, 0]
    # Non-negative least squares (Lawson and Hanson 1974).
    rises = np.array([nnls(root, target)[0] for root, target in zip(roots, targets)])
    levels = means[:, 0] - (cross * (rises - means[:, 1:])).sum(axis=1)
    return np.append(levels[:, None], rises, axis=1)


def _whiten(equations: NormalEquations) -> _WhitenedRows:
    """Take the Cholesky factors; a small ridge makes the matrices of few rows regular."""
    trace = np.trace(equations.matrices, axis1=1, axis2=2)
    identity = np.eye(equations.right_sides.shape[1])
    ridge = (MIN_RIDGE_SHARE * trace + MIN_RIDGE)[:, None, None] * identity
    # XᵀWX = LLᵀ, t = L⁻¹XᵀWy
    factors = np.linalg.cholesky(equations.matrices + ridge).astype(float, copy=False)
    labels = np.linalg.solve(factors, equations.right_sides[:, :, None])[:, :, 0]
    return _WhitenedRows(factors, labels)


def _em_step(whitened: _WhitenedRows, prior: Prior) -> Prior:
    """Return the prior after one step of the EM algorithm (Laird and Ware 1982)."""
    precisions = _marginal_precisions(whitened, prior)
    gains = whitened.factors @ precisions  # LV
    information = gains @ whitened.factors.transpose(0, 2, 1)  # LVLᵀ
    # Generalised least squares: (Σₚ LVLᵀ) μ = Σₚ LVt, summed over the products p.
    right_side = np.einsum("pij,pj->i", gains, whitened.labels)
    mean = np.linalg.lstsq(information.sum(axis=0), right_side, rcond=MIN_SINGULAR_SHARE)[0]
    deviations = _posterior_deviations(whitened, Prior(mean, prior.covariance), precisions)
    # Σ ← mean over the products of (β̂ - μ)(β̂ - μ)ᵀ + Σ - Σ · LVLᵀ · Σ
    spread = deviations.T @ deviations / len(deviations)
    known = prior.covariance @ information.mean(axis=0) @ prior.covariance
    return Prior(mean, _nearest_covariance(spread + prior.covariance - known))


def _marginal_precisions(whitened: _WhitenedRows, prior: Prior) -> Floats:
    """Return V = (I + LᵀΣL)⁻¹, the precision of t, shape (n_products, D, D)."""
    signal = whitened.factors.transpose(0, 2, 1) @ prior.covariance @ whitened.factors
    return np.linalg.inv(np.eye(len(prior.mean)) + signal).astype(float, copy=False)


def _posterior_deviations(whitened: _WhitenedRows, prior: Prior, precisions: Floats) -> Floats:
    """Return β̂ - μ = ΣLV(t - Lᵀμ) in hours, shape (n_products, D)."""
    innovations = whitened.labels - prior.mean @ whitened.factors
    explained = whitened.factors @ (precisions @ innovations[:, :, None])
    deviations: Floats = explained[:, :, 0] @ prior.covariance
    return deviations


def _nearest_covariance(matrix: Floats) -> Floats:
    """Return the nearest covariance matrix (Higham 1988): rounding may make variances negative."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    nearest: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return nearest
