"""Curves made of segments: where they bend, what they say, and their normal equations."""

import numpy as np
import pytest

from pipeline.curves.segments import (
    Positions,
    evaluate,
    locate,
    normal_equations,
    place_knots,
    sum_by_segment,
)
from pipeline.model.arrays import Floats


def knots_of(orders: Floats, hours: Floats, segments: int = 8) -> Floats:
    """Return the knots for rows that are all of one product."""
    return place_knots(np.zeros(len(orders), dtype=np.intp), orders, hours, segments)


def design(knots: Floats, orders: Floats) -> Floats:
    """Return what the level and each rise count for in each row, shape (n_rows, D)."""
    columns = [np.ones(len(orders))]
    last = len(knots) - 2
    for i in range(len(knots) - 1):
        ramp = (orders - knots[i]) / (knots[i + 1] - knots[i])
        columns.append(np.clip(ramp, -np.inf if i == 0 else 0.0, np.inf if i == last else 1.0))
    return np.column_stack(columns)


def congestion(orders: Floats) -> Floats:
    return 0.05 * orders / (1 - orders / 400)


# Where the knots are


def test_a_mean_has_one_knot_and_a_line_has_the_ends() -> None:
    orders = np.array([30.0, 10.0, 20.0])

    assert knots_of(orders, orders, segments=0).tolist() == [10.0]
    assert knots_of(orders, orders, segments=1).tolist() == [10.0, 30.0]
    assert knots_of(np.full(10, 7.0), np.arange(10.0), segments=8).tolist() == [7.0]


@pytest.mark.parametrize("seed", range(12))
def test_knots_rise_from_the_fewest_orders_to_the_most(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = int(random.integers(2, 300))
    orders = random.choice([random.uniform(0, 1e6, rows), random.integers(0, 5, rows) * 1.0])
    orders[:2] = [0.0, 5.0]
    hours = random.choice([random.uniform(0, 30, rows), orders, orders[::-1], 0 * orders])

    knots = place_knots(random.integers(0, 3, rows), orders, hours, segments=8)

    assert 2 <= len(knots) <= 9
    assert (np.diff(knots) > 0).all()
    assert (knots[0], knots[-1]) == (orders.min(), orders.max())


def test_segments_are_short_where_hours_are_steep_and_equally_long_on_a_line() -> None:
    orders = np.linspace(0, 380, 2000)

    widths = np.diff(knots_of(orders, congestion(orders)))

    assert len(widths) == 8
    assert widths[-1] < widths[0] / 3
    for straight in (0.1 * orders, 40 - 0.1 * orders):
        np.testing.assert_allclose(knots_of(orders, straight), np.linspace(0, 380, 9), atol=7)


def test_slow_products_count_as_much_as_quick_ones_where_knots_are_placed() -> None:
    orders = np.tile(np.linspace(0, 380, 1000), 2)
    product = np.repeat(np.array([0, 1]), 1000)
    equal = np.where(product == 0, congestion(orders), 0.1 * orders)
    unequal = equal * np.where(product == 0, 1.0, 100.0)

    knots = place_knots(product, orders, unequal, segments=8)

    np.testing.assert_allclose(knots, place_knots(product, orders, equal, segments=8))


def test_a_few_labels_far_too_large_hardly_move_the_knots() -> None:
    random = np.random.default_rng(1)
    orders = random.uniform(0, 380, 4000)
    hours = congestion(orders)
    wrong = np.where(random.random(4000) < 0.03, 1000 * hours, hours)

    np.testing.assert_allclose(knots_of(orders, wrong), knots_of(orders, hours), atol=8)


# What the curves say, and least squares


@pytest.mark.parametrize("knots", [[3.0], [0.0, 10.0], [0.0, 1.0, 4.0, 10.0]])
def test_estimates_and_normal_equations_are_those_of_the_design_matrix(knots: list[float]) -> None:
    random = np.random.default_rng(2)
    coefficients = random.uniform(0, 5, (4, len(knots)))
    product: Positions = random.choice([0, 1, 3], 500)
    orders, hours = random.uniform(-5, 20, 500), random.uniform(0, 30, 500)
    weights = random.uniform(0, 2, 500)
    rows = locate(np.array(knots), product, orders, n_products=4)

    estimates = evaluate(coefficients, rows)
    by_segment = sum_by_segment(rows, hours, weights)
    equations = normal_equations(by_segment, rows.rows_of_product, len(knots))

    X = design(np.array(knots), orders)
    np.testing.assert_allclose(estimates, (X * coefficients[product]).sum(axis=1))
    assert equations.rows.tolist() == np.bincount(product, minlength=4).tolist()
    for i in range(4):
        own = product == i
        weighted = (X * weights[:, None])[own]
        np.testing.assert_allclose(equations.matrices[i], weighted.T @ X[own], atol=1e-9)
        np.testing.assert_allclose(equations.right_sides[i], weighted.T @ hours[own], atol=1e-9)


@pytest.mark.parametrize("knots", [[3.0], [0.0, 10.0]])
def test_a_row_that_counts_twice_is_two_rows(knots: list[float]) -> None:
    random = np.random.default_rng(3)
    product: Positions = random.integers(0, 3, 50)
    orders, hours, weights = random.uniform(0, 20, (3, 50))
    times = random.integers(1, 4, 50)

    counted = locate(np.array(knots), product, orders, 3, times.astype(float))
    repeated = locate(
        np.array(knots), np.repeat(product, times), np.repeat(orders, times), n_products=3
    )

    np.testing.assert_allclose(counted.rows_of_product, repeated.rows_of_product)
    np.testing.assert_allclose(
        sum_by_segment(counted, hours, weights),
        sum_by_segment(repeated, np.repeat(hours, times), np.repeat(weights, times)),
    )


def test_of_rows_that_count_less_a_share_stands_for_all() -> None:
    weights = np.repeat([1.0, 0.3], [10, 100])

    rows = locate(np.zeros(1), np.zeros(110, dtype=np.intp), np.zeros(110), 1, weights)

    chosen = rows.representatives
    assert isinstance(chosen, np.ndarray)
    assert chosen[:10].all()
    assert chosen[10:].sum() == pytest.approx(30, abs=1)
    assert not (chosen[10:-1] & chosen[11:]).any()
