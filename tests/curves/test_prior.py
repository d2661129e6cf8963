"""What all products say about each one: against textbook formulas and a simulated truth."""

import numpy as np
import pytest
from scipy.optimize import minimize

from pipeline.curves.prior import Prior, compute_posterior, estimate_prior, make_monotone
from pipeline.curves.segments import NormalEquations
from pipeline.model.arrays import Floats

pytestmark = pytest.mark.statistics

NOISE_HOURS = 0.8
TRUE = Prior(np.array([2.0, 18.0]), np.array([[0.64, 0.5], [0.5, 9.0]]))
"""Level at no orders, and rise up to the busiest day."""


def sums_of(coefficients: Floats, rows: int, seed: int) -> NormalEquations:
    """Return the sums of so many rows of each product, at random places on its line."""
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


def draw(products: int, seed: int) -> Floats:
    random = np.random.default_rng(seed)
    return random.multivariate_normal(TRUE.mean, TRUE.covariance, products)


def anything() -> Prior:
    return Prior(np.zeros(2), 400 * np.eye(2))


# The prior


@pytest.mark.parametrize(("rows", "tolerance"), [(3, 0.4), (10, 0.25)])
def test_the_prior_of_three_hundred_products_is_near_the_simulated_one(
    rows: int, tolerance: float
) -> None:
    found = estimate_prior(sums_of(draw(300, seed=1), rows, seed=2), anything())

    np.testing.assert_allclose(found.mean, TRUE.mean, atol=tolerance)
    np.testing.assert_allclose(np.diag(found.covariance), np.diag(TRUE.covariance), rtol=tolerance)
    assert found.covariance[0, 1] == pytest.approx(TRUE.covariance[0, 1], abs=3 * tolerance)


def test_products_that_are_all_alike_leave_no_spread() -> None:
    alike = np.tile(TRUE.mean, (300, 1))

    found = estimate_prior(sums_of(alike, rows=20, seed=3), anything())

    np.testing.assert_allclose(found.mean, TRUE.mean, atol=0.1)
    assert (np.sqrt(np.diag(found.covariance)) < 0.3).all()


def test_one_product_alone_is_its_own_mean() -> None:
    sums = sums_of(TRUE.mean[None], rows=200, seed=4)

    found = estimate_prior(sums, anything())

    by_least_squares = np.linalg.solve(sums.matrices[0], sums.right_sides[0])
    np.testing.assert_allclose(found.mean, by_least_squares)


def test_products_without_any_weight_do_not_disturb() -> None:
    sums = sums_of(draw(100, seed=5), rows=10, seed=6)
    with_empty = NormalEquations(
        np.append(sums.rows, 0),
        np.append(sums.matrices, np.zeros((1, 2, 2)), axis=0),
        np.append(sums.right_sides, np.zeros((1, 2)), axis=0),
    )

    found = estimate_prior(with_empty, anything())

    np.testing.assert_allclose(found.mean, estimate_prior(sums, anything()).mean, atol=0.05)


# The products


def test_the_coefficients_are_the_posterior_means_of_the_textbook() -> None:
    sums = sums_of(draw(20, seed=7), rows=4, seed=8)

    found = compute_posterior(sums, TRUE)

    precision = np.linalg.inv(TRUE.covariance)
    for i in range(20):
        expected = np.linalg.solve(
            sums.matrices[i] + precision, sums.right_sides[i] + precision @ TRUE.mean
        )
        np.testing.assert_allclose(found.means[i], expected)
        hat = np.linalg.solve(sums.matrices[i] + precision, sums.matrices[i])
        assert found.degrees_of_freedom[i] == pytest.approx(np.trace(hat))


def test_a_product_without_rows_is_like_the_mean_of_all() -> None:
    empty = NormalEquations(np.zeros(1, dtype=np.intp), np.zeros((1, 2, 2)), np.zeros((1, 2)))

    found = compute_posterior(empty, TRUE)

    np.testing.assert_allclose(found.means, TRUE.mean[None])
    assert found.degrees_of_freedom[0] == pytest.approx(0.0)


def test_a_product_with_many_rows_keeps_what_they_say() -> None:
    odd = np.array([[20.0, 3.0]])

    found = compute_posterior(sums_of(odd, rows=5000, seed=9), TRUE)

    np.testing.assert_allclose(found.means, odd, atol=0.1)
    assert found.degrees_of_freedom[0] == pytest.approx(2.0, abs=0.01)


def test_the_fewer_rows_the_nearer_to_the_others() -> None:
    odd = np.array([[2.0, 60.0]])

    rises = [
        compute_posterior(sums_of(odd, rows, seed=10), TRUE).means[0, 1]
        for rows in (1, 3, 30, 3000)
    ]

    assert rises == sorted(rises)
    assert rises[0] < 55 and rises[-1] == pytest.approx(60, abs=0.5)


def test_a_prior_without_spread_decides_alone() -> None:
    found = compute_posterior(
        sums_of(draw(5, seed=11), rows=50, seed=12), Prior(TRUE.mean, np.zeros((2, 2)))
    )

    np.testing.assert_allclose(found.means, np.tile(TRUE.mean, (5, 1)))


def test_shrunk_coefficients_of_small_products_beat_least_squares() -> None:
    truth = draw(300, seed=13)
    sums = sums_of(truth, rows=4, seed=14)

    shrunk = compute_posterior(sums, estimate_prior(sums, anything())).means

    by_least_squares = np.linalg.solve(sums.matrices, sums.right_sides[:, :, None])[:, :, 0]
    assert np.abs(shrunk - truth).mean() < 0.7 * np.abs(by_least_squares - truth).mean()


# No falls


def test_rising_coefficients_stay_as_they_are() -> None:
    coefficients = np.array([[-1.0, 0.0], [1.0, 5.0]])

    rising = make_monotone(coefficients, sums_of(coefficients, rows=5, seed=15), TRUE)

    assert rising.tolist() == coefficients.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_no_rise_stays_negative_and_the_rest_is_the_most_likely(seed: int) -> None:
    random = np.random.default_rng(seed)
    columns = random.uniform(size=(12, 4))
    spread = random.normal(size=(4, 4))
    prior = Prior(np.ones(4), spread @ spread.T + 0.1 * np.eye(4))
    hours = random.normal(size=12)
    sums = NormalEquations(np.array([12]), (columns.T @ columns)[None], (columns.T @ hours)[None])
    coefficients = compute_posterior(sums, prior).means
    coefficients[0, 1] = -abs(coefficients[0, 1]) - 0.5

    rising = make_monotone(coefficients, sums, prior)[0]

    precision = sums.matrices[0] + np.linalg.inv(prior.covariance)

    def distance(candidate: Floats) -> float:
        return float((candidate - coefficients[0]) @ precision @ (candidate - coefficients[0]))

    bounds = [(None, None)] + [(0.0, None)] * 3
    best = minimize(distance, np.ones(4), bounds=bounds, method="L-BFGS-B", tol=1e-14)
    assert (rising[1:] >= 0).all()
    assert distance(rising) <= best.fun * (1 + 1e-6)
    np.testing.assert_allclose(rising, best.x, atol=1e-3)
