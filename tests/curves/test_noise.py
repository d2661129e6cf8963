"""The noise around estimates: found where it is simple, and not misled by a few wrong labels."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.curves.noise import estimate_noise
from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats

pytestmark = pytest.mark.slow

PRODUCTS = 8


def rows(count: int, seed: int) -> tuple[Positions, Floats, Floats]:
    """Return product, estimate and standard normal noise of rows."""
    random = np.random.default_rng(seed)
    product = random.integers(0, PRODUCTS, count)
    return product, random.uniform(0, 30, count), random.normal(size=count)


@pytest.mark.parametrize(
    "truth",
    [
        pytest.param(lambda product, estimates: np.full(len(product), 0.8), id="constant"),
        pytest.param(lambda product, estimates: 0.3 + 0.1 * estimates, id="growing"),
        pytest.param(lambda product, estimates: np.geomspace(0.3, 3, 8)[product], id="by product"),
        pytest.param(
            lambda product, estimates: (0.3 + 0.1 * estimates) * np.geomspace(0.5, 2, 8)[product],
            id="growing and by product",
        ),
    ],
)
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_noise_is_found_in_any_unit(
    truth: Callable[[Positions, Floats], Floats], scale: float
) -> None:
    product, estimates, normal = rows(20_000, seed=1)
    hours = truth(product, estimates)

    noise = estimate_noise(product, scale * estimates, scale * hours * normal, PRODUCTS)

    found = noise.of(product, scale * estimates) / scale
    np.testing.assert_allclose(found, hours, rtol=0.13)


def test_noise_that_shrinks_with_the_estimate_counts_as_constant() -> None:
    product, estimates, normal = rows(5000, seed=3)

    noise = estimate_noise(product, estimates, (4 - 0.1 * estimates) * normal, PRODUCTS)

    assert noise.growth == 0.0


def test_the_noise_of_a_product_with_few_rows_is_shrunk_to_that_of_all() -> None:
    product, estimates, normal = rows(4000, seed=5)
    one, none = PRODUCTS, PRODUCTS + 1
    product, estimates = np.append(product, one), np.append(estimates, 10.0)

    noise = estimate_noise(product, estimates, np.append(normal, 4.0), PRODUCTS + 2)

    assert 1.0 <= noise.relative[one] < 1.5
    assert noise.relative[none] == pytest.approx(1.0)


def test_products_with_the_same_long_tail_get_next_to_the_same_noise() -> None:
    spreads = []
    for seed in range(8):
        product, estimates, normal = rows(PRODUCTS * 60, seed)
        hours = np.random.default_rng(seed).exponential(size=len(product)) * np.sign(normal)
        spreads.append(estimate_noise(product, estimates, hours, PRODUCTS).relative.std())

    assert np.mean(spreads) < 0.02


@pytest.mark.parametrize("growth", [0.0, 0.1])
def test_three_percent_of_labels_times_ten_hardly_change_the_noise(growth: float) -> None:
    product, estimates, normal = rows(5000, seed=7)
    residuals = (0.8 + growth * estimates) * normal
    wrong = np.random.default_rng(8).random(5000) < 0.03
    damaged = np.where(wrong, 9 * estimates + 10 * residuals, residuals)

    noise = estimate_noise(product, estimates, damaged, PRODUCTS)

    assert damaged.std() > 5 * residuals.std()
    clean = estimate_noise(product, estimates, residuals, PRODUCTS)
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
