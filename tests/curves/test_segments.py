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


def ones(rows: int) -> Positions:
    """Return the positions of rows that are all of the only product."""
    return np.zeros(rows, dtype=np.intp)


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

    assert place_knots(ones(3), orders, orders, segments=0).tolist() == [10.0]
    assert place_knots(ones(3), orders, orders, segments=1).tolist() == [10.0, 30.0]


@pytest.mark.parametrize("segments", [0, 1, 8])
def test_a_single_order_count_gives_no_segment(segments: int) -> None:
    orders = np.full(10, 7.0)

    assert place_knots(ones(10), orders, np.arange(10.0), segments).tolist() == [7.0]


@pytest.mark.parametrize("seed", range(20))
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


def test_segments_are_short_where_hours_are_steep() -> None:
    orders = np.linspace(0, 380, 2000)

    widths = np.diff(place_knots(ones(2000), orders, congestion(orders), segments=8))

    assert len(widths) == 8
    assert widths[-1] < widths[0] / 3


def test_segments_of_evenly_spread_orders_on_a_line_are_equally_long() -> None:
    orders = np.linspace(0, 320, 5000)

    knots = place_knots(ones(5000), orders, 0.1 * orders, segments=8)

    np.testing.assert_allclose(knots, np.linspace(0, 320, 9), atol=5)


def test_slow_products_count_as_much_as_quick_ones_where_knots_are_placed() -> None:
    orders = np.tile(np.linspace(0, 380, 1000), 2)
    product = np.repeat(np.array([0, 1]), 1000)
    equal = np.concatenate([congestion(orders[:1000])] * 2)
    unequal = equal * np.where(product == 0, 1.0, 100.0)

    knots = place_knots(product, orders, unequal, segments=8)

    np.testing.assert_allclose(knots, place_knots(product, orders, equal, segments=8))


def test_a_few_labels_ten_times_too_large_hardly_move_the_knots() -> None:
    random = np.random.default_rng(1)
    orders = random.uniform(0, 380, 4000)
    hours = congestion(orders)
    wrong = np.where(random.random(4000) < 0.03, 10 * hours, hours)

    knots = place_knots(ones(4000), orders, wrong, segments=8)

    np.testing.assert_allclose(knots, place_knots(ones(4000), orders, hours, 8), atol=8)


# What the curves say


@pytest.mark.parametrize("knots", [[3.0], [0.0, 10.0], [0.0, 1.0, 4.0, 10.0]])
def test_curves_go_through_their_knots_and_on_beyond_the_ends(knots: list[float]) -> None:
    random = np.random.default_rng(2)
    coefficients = random.uniform(0, 5, (3, len(knots)))
    product = random.integers(0, 3, 500)
    orders = random.uniform(-5, 20, 500)

    hours = evaluate(coefficients, locate(np.array(knots), product, orders, n_products=3))

    expected = (design(np.array(knots), orders) * coefficients[product]).sum(axis=1)
    np.testing.assert_allclose(hours, expected)


def test_the_coefficients_are_the_level_and_the_rises() -> None:
    knots = np.array([0.0, 100.0, 150.0])
    coefficients = np.array([[1.0, 2.0, 10.0]])
    orders = np.array([0.0, 50.0, 100.0, 125.0, 150.0, 200.0])

    hours = evaluate(coefficients, locate(knots, ones(6), orders, n_products=1))

    assert hours.tolist() == pytest.approx([1.0, 2.0, 3.0, 8.0, 13.0, 23.0])


# Least squares


@pytest.mark.parametrize("knots", [[3.0], [0.0, 10.0], [0.0, 1.0, 4.0, 10.0]])
def test_the_sums_are_those_of_the_normal_equations(knots: list[float]) -> None:
    random = np.random.default_rng(3)
    product = random.choice([0, 1, 3], 400)
    orders, hours = random.uniform(0, 10, 400), random.uniform(0, 30, 400)
    weights = random.uniform(0, 2, 400)
    located = locate(np.array(knots), product, orders, n_products=4)

    by_segment = sum_by_segment(located, hours, weights)
    sums = normal_equations(by_segment, np.bincount(product, minlength=4), len(knots))

    for i in range(4):
        own = product == i
        columns = design(np.array(knots), orders[own])
        weighted = columns * weights[own, None]
        assert sums.rows[i] == own.sum()
        np.testing.assert_allclose(sums.matrices[i], weighted.T @ columns, atol=1e-9)
        np.testing.assert_allclose(sums.right_sides[i], weighted.T @ hours[own], atol=1e-9)


def test_sums_of_parts_add_up_to_those_of_all_rows() -> None:
    random = np.random.default_rng(4)
    knots = np.array([0.0, 2.0, 10.0])
    product = random.integers(0, 3, 100)
    orders, hours, weights = random.uniform(0, 10, (3, 100))

    def sums(rows: slice) -> Floats:
        located = locate(knots, product[rows], orders[rows], n_products=3)
        return sum_by_segment(located, hours[rows], weights[rows])

    np.testing.assert_allclose(sums(slice(0, 37)) + sums(slice(37, 100)), sums(slice(None)))
