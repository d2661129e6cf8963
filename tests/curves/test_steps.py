"""Labels that come in steps: the steps are found, and the noise is not below what they allow."""

import numpy as np
import pytest

from pipeline.curves.noise import estimate_noise
from pipeline.curves.steps import smallest_noise, step_of, steps_of_products, with_steps
from pipeline.model.arrays import Floats
from pipeline.orders.simulator import simulate_orders
from pipeline.training.fitting import train_on

RANDOM = np.random.default_rng(1)
HOURS = RANDOM.gamma(2, 20, 1000)
IS_BESIDE = RANDOM.random(1000) < 0.03


@pytest.mark.parametrize(
    ("hours", "step"),
    [
        pytest.param(24 * np.rint(HOURS / 24), 24, id="days"),
        pytest.param(24 * np.rint(HOURS / 24) + 4, 24, id="days, dispatched at four"),
        pytest.param(7.5 * np.rint(HOURS / 7.5), 7.5, id="shifts"),
        pytest.param(np.where(IS_BESIDE, HOURS, 12 * np.rint(HOURS / 12)), 12, id="a few beside"),
        pytest.param(np.repeat([24.0, 72, 144], 2), 24, id="no two neighbours"),
        pytest.param(np.where(IS_BESIDE, 36.0, 24), 12, id="mostly equal"),
        pytest.param(HOURS.round(), 1, id="whole hours"),
        pytest.param(np.arange(1.0, 9), 0, id="no two alike"),
        pytest.param(HOURS, 0, id="none"),
        pytest.param(np.full(9, 24.0), 0, id="all equal"),
    ],
)
def test_the_step_is_what_nearly_all_labels_are_whole_numbers_of_apart(
    hours: Floats, step: float
) -> None:
    assert step_of(hours) == pytest.approx(step, abs=1e-5)


def own_step(hours: Floats) -> float:
    """Return the step of a product with these labels beside one in whole hours."""
    product = np.append(np.zeros(len(hours), dtype=np.intp), np.ones(len(HOURS), dtype=np.intp))
    steps = steps_of_products(product, np.append(hours, HOURS.round()), 3)
    assert steps[1:] == pytest.approx([1, 1])  # a product without rows has the step of all
    return float(steps[0])


@pytest.mark.parametrize(
    ("hours", "step"),
    [
        pytest.param(12 * np.rint(HOURS[:50] / 12), 12, id="shifts"),
        pytest.param(HOURS[:50], 0, id="none"),
        pytest.param(np.repeat([12.0, 24], [19, 1]), 12, id="twenty rows"),
        pytest.param(np.repeat([12.0, 24], [18, 1]), 1, id="too few rows"),
        pytest.param(np.repeat([12.0, 24], [96, 4]), 1, id="nearly all equal"),
        pytest.param(np.full(50, 12.0), 1, id="all equal"),
        pytest.param(
            np.append(np.repeat([24.0, 48, 72], 17), HOURS[:49]), 24, id="just above a half in days"
        ),
        pytest.param(np.append(np.repeat([24.0, 48], 25), HOURS[:50]), 0, id="half in days"),
        pytest.param(np.append(np.zeros(60), HOURS[:40]), 0, id="most at once"),
    ],
)
def test_a_product_has_a_step_of_its_own_if_its_rows_tell(hours: Floats, step: float) -> None:
    assert own_step(hours) == pytest.approx(step, abs=1e-5)


def test_the_noise_is_not_below_that_of_the_rounding() -> None:
    product, estimates = np.zeros(200, dtype=np.intp), np.linspace(1, 30, 200)
    residuals = np.where(np.arange(200) % 10, 0.0, 12.0)

    noise = estimate_noise(product, estimates, with_steps(residuals, np.full(200, 12.0)), 1)

    assert smallest_noise(np.array(12.0)) == pytest.approx(3.4641)
    assert noise.of(product, estimates).min() >= 0.99 * smallest_noise(np.array(12.0))


@pytest.mark.slow
@pytest.mark.parametrize("step", [8, 12, 24])
def test_a_week_in_steps_has_few_outliers_and_an_honest_error(step: float) -> None:
    orders = simulate_orders(1000, seed=3)
    rounded = step * np.rint(orders["hours_to_dispatch"] / step)

    model = train_on(orders.assign(hours_to_dispatch=rounded), 0.9)

    assert model.noise.is_outlier.mean() < 0.02
    assert model.noise.hours.min() >= 0.9 * smallest_noise(np.array(step))
    assert model.metrics.mean_absolute_error_hours > 0.05 * step
