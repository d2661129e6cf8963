"""The noise around estimates: found where it is simple, and not misled by a few wrong labels."""

import numpy as np
import pytest

from pipeline.curves.noise import NoiseScale, estimate_noise, refine_noise
from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats

pytestmark = pytest.mark.statistics

PRODUCTS = 8


def rows(count: int, seed: int) -> tuple[Positions, Floats, Floats]:
    """Return product, estimate and standard normal noise of rows."""
    random = np.random.default_rng(seed)
    product = random.integers(0, PRODUCTS, count)
    return product, random.uniform(0, 30, count), random.normal(size=count)


def with_outliers(residuals: Floats, estimates: Floats, seed: int) -> Floats:
    """Return the residuals after 3 % of the labels were multiplied by ten."""
    wrong = np.random.default_rng(seed).random(len(residuals)) < 0.03
    return np.where(wrong, 9 * estimates + 10 * residuals, residuals)


@pytest.mark.parametrize("hours", [1e-4, 0.8, 1e4])
def test_constant_noise_is_found(hours: float) -> None:
    product, estimates, normal = rows(5000, seed=1)
    estimates = estimates * hours

    noise = estimate_noise(product, estimates, hours * normal, PRODUCTS)

    np.testing.assert_allclose(noise.of(product, estimates), hours, rtol=0.12)
    np.testing.assert_allclose(noise.relative, 1.0, rtol=0.08)


def test_noise_that_grows_with_the_estimate_is_found() -> None:
    product, estimates, normal = rows(20_000, seed=2)
    truth = 0.3 + 0.1 * estimates

    noise = estimate_noise(product, estimates, truth * normal, PRODUCTS)

    assert noise.growth == pytest.approx(0.1, rel=0.1)
    np.testing.assert_allclose(noise.of(product, estimates), truth, rtol=0.2)


def test_noise_that_shrinks_with_the_estimate_counts_as_constant() -> None:
    product, estimates, normal = rows(5000, seed=3)

    noise = estimate_noise(product, estimates, (4 - 0.1 * estimates) * normal, PRODUCTS)

    assert noise.growth == 0.0


def test_products_of_unequal_noise_are_told_apart() -> None:
    product, estimates, normal = rows(8000, seed=4)
    truth = np.geomspace(0.3, 3.0, PRODUCTS)

    noise = estimate_noise(product, estimates, truth[product] * normal, PRODUCTS)

    np.testing.assert_allclose(noise.base_hours * noise.relative, truth, rtol=0.15)


def test_the_noise_of_a_product_with_few_rows_is_drawn_to_that_of_all() -> None:
    product, estimates, normal = rows(4000, seed=5)
    product = np.append(product, PRODUCTS)
    estimates, residuals = np.append(estimates, 10.0), np.append(normal, 4.0)

    noise = estimate_noise(product, estimates, residuals, PRODUCTS + 1)

    assert noise.relative[PRODUCTS] < 1.5


def test_a_product_without_rows_gets_ordinary_noise() -> None:
    product, estimates, normal = rows(1000, seed=6)

    noise = estimate_noise(product, estimates, normal, PRODUCTS + 1)

    assert noise.relative[PRODUCTS] == pytest.approx(1.0)


@pytest.mark.parametrize("growth", [0.0, 0.1])
def test_three_percent_of_labels_times_ten_hardly_change_the_noise(growth: float) -> None:
    product, estimates, normal = rows(5000, seed=7)
    residuals = (0.8 + growth * estimates) * normal
    clean = estimate_noise(product, estimates, residuals, PRODUCTS)

    noise = estimate_noise(
        product, estimates, with_outliers(residuals, estimates, seed=8), PRODUCTS
    )

    plain_share = with_outliers(residuals, estimates, seed=8).std() / residuals.std()
    assert plain_share > 5
    share = noise.of(product, estimates) / clean.of(product, estimates)
    assert share.mean() == pytest.approx(1.0, abs=0.12)


@pytest.mark.parametrize("estimate", [0.0, 5.0])
def test_labels_without_noise_still_get_some(estimate: float) -> None:
    product = np.arange(40) % PRODUCTS
    estimates = np.full(40, estimate)

    noise = estimate_noise(product, estimates, np.zeros(40), PRODUCTS).of(product, estimates)

    assert (noise > 0).all()
    assert noise.max() < 0.001


def test_exact_labels_of_one_product_do_not_hide_the_noise_of_others() -> None:
    product, estimates, normal = rows(4000, seed=9)
    residuals = np.where(product == 0, 0.0, normal)

    noise = estimate_noise(product, estimates, residuals, PRODUCTS)

    others = noise.of(product, estimates)[product != 0]
    np.testing.assert_allclose(others, 1.0, rtol=0.15)
    assert 0 < noise.relative[0] < 0.2


@pytest.mark.parametrize("count", [1, 2, 3, 11])
def test_a_few_rows_are_enough_to_measure(count: int) -> None:
    product, estimates, normal = rows(count, seed=10)

    noise = estimate_noise(product, estimates, normal, PRODUCTS).of(product, estimates)

    assert np.isfinite(noise).all() and (noise > 0).all()


def test_the_noise_does_not_depend_on_the_order_of_rows() -> None:
    product, estimates, normal = rows(3000, seed=11)
    shuffled = np.random.default_rng(0).permutation(3000)

    first = estimate_noise(product, estimates, normal, PRODUCTS)
    second = estimate_noise(product[shuffled], estimates[shuffled], normal[shuffled], PRODUCTS)

    assert first.base_hours == pytest.approx(second.base_hours, rel=1e-6)
    np.testing.assert_allclose(first.relative, second.relative, rtol=1e-6)


def test_measuring_again_improves_on_what_is_known_of_products() -> None:
    product, estimates, normal = rows(8000, seed=12)
    truth = np.where(np.arange(PRODUCTS) < 4, 0.5, 2.0)
    residuals = truth[product] * normal
    start = NoiseScale(1.0, 0.0, np.ones(PRODUCTS))

    once = refine_noise(product, estimates, residuals, start)
    twice = refine_noise(product, estimates, residuals, once)

    def error(noise: NoiseScale) -> float:
        return float(np.abs(noise.base_hours * noise.relative / truth - 1).mean())

    assert error(twice) <= error(once) + 0.01
    assert error(twice) < 0.15
