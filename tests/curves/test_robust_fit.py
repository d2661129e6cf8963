"""Curves through rows of which some are wrong."""

import numpy as np
import pytest

from pipeline.curves.plan import plan_curves
from pipeline.curves.robust_fit import fit_products
from pipeline.curves.weighted_fit import LabelledRows
from pipeline.model.arrays import Floats

pytestmark = pytest.mark.slow

PRODUCTS = 5
TRUTH = np.array([[1.0, 24.0], [3.0, 16.0], [2.0, 10.0], [4.0, 30.0], [2.5, 14.0]])
"""Level and rise of each product."""


def week(count: int, seed: int, noise_hours: float = 0.8) -> LabelledRows:
    random = np.random.default_rng(seed)
    product = random.integers(0, PRODUCTS, count)
    orders = random.uniform(0, 320, count)
    orders[:2] = 0, 320  # where the knots are
    hours = TRUTH[product, 0] + TRUTH[product, 1] * orders / 320
    return LabelledRows(product, orders, hours + random.normal(scale=noise_hours, size=count))


def mistyped(rows: LabelledRows, share: float, factor: float = 10.0) -> LabelledRows:
    """Multiply some of the labels by ten."""
    wrong = np.random.default_rng(99).random(len(rows.hours)) < share
    return rows._replace(hours=np.where(wrong, factor * rows.hours, rows.hours))


def fit(rows: LabelledRows) -> Floats:
    return fit_products(rows, plan_curves(rows, segments=1), PRODUCTS)


def by_least_squares(rows: LabelledRows) -> Floats:
    """Return level and rise of each product by plain least squares."""
    coefficients = []
    for i in range(PRODUCTS):
        own = rows.product == i
        slope, level = np.polyfit(rows.orders[own], rows.hours[own], 1)
        coefficients.append([level, slope * 320])
    return np.array(coefficients)


def error(coefficients: Floats, truth: Floats = TRUTH) -> float:
    """Return the mean distance between lines in hours."""
    difference = coefficients - truth
    return float(np.abs(difference[:, :1] + difference[:, 1:] * np.linspace(0, 1, 11)).mean())


def test_clean_rows_give_nearly_what_least_squares_gives() -> None:
    rows = week(10_000, seed=1)

    assert error(fit(rows), by_least_squares(rows)) < 0.01


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_three_percent_of_wrong_labels_hardly_change_the_lines(factor: float) -> None:
    clean = week(2000, seed=2)
    rows = mistyped(clean, share=0.03, factor=factor)

    moved = error(fit(rows), fit(clean))

    assert moved < 0.05
    assert error(by_least_squares(rows), by_least_squares(clean)) > 5 * moved


def test_a_third_of_the_labels_times_ten_leaves_the_lines_near_the_truth() -> None:
    rows = mistyped(week(2000, seed=4), share=0.3)

    assert error(fit(rows)) < 0.3
    assert error(by_least_squares(rows)) > 20


def test_noisy_rows_count_less_than_quiet_ones() -> None:
    random = np.random.default_rng(7)
    errors, plain_errors = [], []
    for seed in range(10):
        rows = week(500, seed, noise_hours=0)
        noise = random.normal(size=500) * (0.02 + 0.3 * rows.hours * (rows.orders > 100))
        noisy = rows._replace(hours=rows.hours + noise)
        errors.append(np.abs(fit(noisy)[:, 0] - TRUTH[:, 0]).mean())
        plain_errors.append(np.abs(by_least_squares(noisy)[:, 0] - TRUTH[:, 0]).mean())

    assert np.mean(errors) < 0.7 * np.mean(plain_errors)


def test_of_more_rows_than_iterations_use_all_count_but_the_wrong_ones() -> None:
    clean = week(1_200_000, seed=8, noise_hours=3.0)

    # The 200 rows of a product that iterations use leave ten times as much.
    assert error(fit(mistyped(clean, share=0.03)), by_least_squares(clean)) < 0.03


@pytest.mark.parametrize("segments", [0, 1, 8])
def test_a_curve_does_not_depend_on_other_products_to_the_last_bit(segments: int) -> None:
    rows = mistyped(week(6000, seed=5), share=0.03)
    rows = rows.sample((rows.product > 1) | (np.arange(6000) < 500))  # small ones beside large ones
    rows = rows._replace(hours=np.where(rows.product == 2, rows.hours.round(), rows.hours))
    plan = plan_curves(rows, segments)
    together = fit_products(rows, plan, PRODUCTS)

    for product in range(PRODUCTS):
        own = rows.sample(rows.product == product)
        alone = fit_products(own._replace(product=np.zeros_like(own.product)), plan, 1)
        assert alone.tobytes() == together[product].tobytes()


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_unit_of_the_labels_does_not_matter(scale: float) -> None:
    rows = mistyped(week(500, seed=13), share=0.03)

    scaled = fit(rows._replace(hours=rows.hours * scale))

    np.testing.assert_allclose(scaled / scale, fit(rows), rtol=1e-3)
