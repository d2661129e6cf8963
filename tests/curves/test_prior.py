"""What all products say about each one: against textbook formulas and a simulated truth."""

import numpy as np
import pytest
from scipy.optimize import minimize

from pipeline.curves.prior import Prior, compute_posterior, estimate_prior, make_monotone
from pipeline.curves.segments import NormalEquations
from pipeline.model.arrays import Floats

pytestmark = pytest.mark.slow

NOISE_HOURS = 0.8
TRUE = Prior(np.array([2.0, 18.0]), np.array([[0.64, 0.5], [0.5, 9.0]]))
"""Level at no orders, and rise up to the busiest day."""
FLAT = Prior(np.zeros(2), 400 * np.eye(2))


def draw(products: int, seed: int) -> Floats:
    """Return coefficients of products."""
    random = np.random.default_rng(seed)
    return random.multivariate_normal(TRUE.mean, TRUE.covariance, products)


def equations_of(coefficients: Floats, rows: int, seed: int) -> NormalEquations:
    """Return the equations of so many rows of each product, at random places on its line."""
    random = np.random.default_rng(seed)
    place = random.uniform(size=(len(coefficients), rows))
    columns = np.stack([np.ones_like(place), place], axis=2)
    hours = np.einsum("prd,pd->pr", columns, coefficients)
    hours += random.normal(scale=NOISE_HOURS, size=hours.shape)
    return NormalEquations(
        np.full(len(coefficients), rows),
        np.einsum("prd,pre->pde", columns, columns) / NOISE_HOURS**2,
        np.einsum("prd,pr->pd", columns, hours) / NOISE_HOURS**2,
    )


# The prior


@pytest.mark.parametrize(("rows", "tolerance"), [(3, 0.4), (10, 0.25)])
def test_the_prior_of_three_hundred_products_is_near_the_simulated_one(
    rows: int, tolerance: float
) -> None:
    found = estimate_prior(equations_of(draw(300, seed=1), rows, seed=2), FLAT)

    np.testing.assert_allclose(found.mean, TRUE.mean, atol=tolerance)
    np.testing.assert_allclose(np.diag(found.covariance), np.diag(TRUE.covariance), rtol=tolerance)
    assert found.covariance[0, 1] == pytest.approx(TRUE.covariance[0, 1], abs=3 * tolerance)


def test_products_that_are_all_alike_leave_no_spread() -> None:
    alike = np.tile(TRUE.mean, (300, 1))

    found = estimate_prior(equations_of(alike, rows=20, seed=3), FLAT)

    np.testing.assert_allclose(found.mean, TRUE.mean, atol=0.1)
    assert (np.sqrt(np.diag(found.covariance)) < 0.3).all()


def test_one_product_alone_is_its_own_mean() -> None:
    alone = equations_of(TRUE.mean[None], rows=200, seed=4)

    by_least_squares = np.linalg.solve(alone.matrices[0], alone.right_sides[0])
    np.testing.assert_allclose(estimate_prior(alone, FLAT).mean, by_least_squares)


# The products


@pytest.mark.parametrize("rows", [0, 1, 4, 5000])
def test_the_coefficients_are_the_posterior_means_of_the_textbook(rows: int) -> None:
    equations = equations_of(draw(20, seed=7), rows, seed=8)

    found = compute_posterior(equations, TRUE)

    precision = np.linalg.inv(TRUE.covariance)
    for i in range(20):
        posterior_precision = equations.matrices[i] + precision
        right_side = equations.right_sides[i] + precision @ TRUE.mean
        np.testing.assert_allclose(found.means[i], np.linalg.solve(posterior_precision, right_side))
        hat = np.linalg.solve(posterior_precision, equations.matrices[i])
        assert found.degrees_of_freedom[i] == pytest.approx(np.trace(hat), abs=1e-9)


def test_a_prior_without_spread_decides_alone() -> None:
    equations = equations_of(draw(5, seed=11), rows=50, seed=12)

    found = compute_posterior(equations, TRUE._replace(covariance=np.zeros((2, 2))))

    np.testing.assert_allclose(found.means, np.tile(TRUE.mean, (5, 1)))


def test_shrunk_coefficients_of_small_products_beat_least_squares() -> None:
    truth = draw(300, seed=13)
    equations = equations_of(truth, rows=4, seed=14)

    shrunk = compute_posterior(equations, estimate_prior(equations, FLAT)).means

    by_least_squares = np.linalg.solve(equations.matrices, equations.right_sides[:, :, None])
    assert np.abs(shrunk - truth).mean() < 0.7 * np.abs(by_least_squares[:, :, 0] - truth).mean()


# No falls


@pytest.mark.parametrize("seed", range(4))
def test_no_rise_stays_negative_and_the_rest_is_the_most_likely(seed: int) -> None:
    random = np.random.default_rng(seed)
    columns = random.uniform(size=(12, 4))
    spread = random.normal(size=(4, 4))
    prior = Prior(np.ones(4), spread @ spread.T + 0.1 * np.eye(4))
    matrices = np.tile(columns.T @ columns, (2, 1, 1))
    equations = NormalEquations(np.full(2, 12), matrices, np.zeros((2, 4)))
    falling, rising = random.normal(size=4), np.array([-1.0, 0.0, 2.0, 5.0])
    falling[1] = -abs(falling[1]) - 0.5

    found = make_monotone(np.array([falling, rising]), equations, prior)

    precision = matrices[0] + np.linalg.inv(prior.covariance)

    def distance(candidate: Floats) -> float:
        return float((candidate - falling) @ precision @ (candidate - falling))

    bounds = [(None, None)] + [(0.0, None)] * 3
    best = minimize(distance, np.ones(4), bounds=bounds, method="L-BFGS-B", tol=1e-14)
    assert (found[0, 1:] >= 0).all()
    np.testing.assert_allclose(found[0], best.x, atol=1e-3)
    assert found[1].tolist() == rising.tolist()
