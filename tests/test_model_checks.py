"""Metrics and rules: each is checked on both sides of its threshold."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from pipeline.dispatch_curves import Floats, PerProductLine
from pipeline.model_checks import (
    GridEstimates,
    behaviour_failures,
    compute_metrics,
    estimate_on_grid,
    flat_products,
    listed,
    r_squared_failures,
)
from pipeline.model_lineage import Metrics
from pipeline.model_selection import Split, fit_regressor, split_orders
from pipeline.order_simulator import simulate_orders


class Fixed:
    """A fitted regressor that gives the same estimates whatever it is asked."""

    def __init__(self, *hours: float) -> None:
        self.hours = np.array(hours)

    def predict(self, X: pd.DataFrame) -> Floats:
        return self.hours[: len(X)]


def split_with(test_hours: list[float]) -> Split:
    def rows(hours: list[float]) -> pd.DataFrame:
        return pd.DataFrame(
            {"product_code": "A", "orders_placed": 1.0, "hours_to_dispatch": hours}
        )

    return Split(train=rows([1.0, 2.0, 3.0]), test=rows(test_hours))


def grid(*curves: list[float]) -> GridEstimates:
    codes: npt.NDArray[np.object_] = np.array([f"SKU{i}" for i in range(len(curves))], dtype=object)
    return GridEstimates(codes, np.array(curves))


def metrics(r_squared: float | None) -> Metrics:
    return Metrics(
        r_squared=r_squared, mean_absolute_error_hours=1.0, train_rows=80, test_rows=20
    )


def test_metrics_are_those_of_the_test_rows() -> None:
    found = compute_metrics(Fixed(1.5, 2.0, 6.0), split_with([1.0, 2.0, 6.0]))

    assert found.mean_absolute_error_hours == pytest.approx(0.5 / 3)
    assert found.r_squared == pytest.approx(1 - 0.25 / 14)
    assert (found.train_rows, found.test_rows) == (3, 3)


@pytest.mark.parametrize("test_hours", [[2.0], [2.0, 2.0, 2.0]])
def test_r_squared_is_not_defined_where_all_hours_are_the_same(test_hours: list[float]) -> None:
    found = compute_metrics(Fixed(1.0, 2.0, 2.0), split_with(test_hours))

    assert found.r_squared is None
    assert "not defined" in r_squared_failures(found, 0.1, "--option")[0]


def test_r_squared_at_the_threshold_is_good_enough() -> None:
    assert r_squared_failures(metrics(0.8), 0.8, "--option") == []
    assert r_squared_failures(metrics(0.9), 0.8, "--option") == []


def test_r_squared_below_the_threshold_is_reported_with_both_numbers() -> None:
    failures = r_squared_failures(metrics(0.7999), 0.8, "--option")

    assert failures == ["R² 0.7999 is below --option 0.8"]


def test_a_sound_model_breaks_no_rule() -> None:
    orders = simulate_orders(500, seed=1)

    found = estimate_on_grid(fit_regressor(orders), orders)

    assert found.hours.shape == (5, 21)
    assert behaviour_failures(found, orders["hours_to_dispatch"].max()) == []


def test_the_grid_covers_the_orders_seen_with_each_product() -> None:
    orders = pd.DataFrame(
        {"product_code": ["A", "A", "B"], "orders_placed": [10.0, 40.0, 8.0], "hours": [1, 4, 8]}
    )
    line = PerProductLine(min_rows=1).fit(orders, orders["hours"])

    found = estimate_on_grid(line, orders)

    assert found.products.tolist() == ["A", "B"]
    np.testing.assert_allclose(found.hours[0], np.linspace(0, 4, 21), atol=1e-12)
    assert found.hours[1, -1] == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("curve", "rule"),
    [
        ([1.0, 2.0, 1.9], "estimates fall by up to 0.10 h as orders rise for 'SKU1'"),
        ([-0.1, 2.0, 3.0], "estimates are negative, down to -0.10 h, for 'SKU1'"),
        (
            [1.0, 2.0, 12.6],
            "estimates reach 12.60 h, more than 1.25 times the largest label (10.00 h), for 'SKU1'",
        ),
    ],
)
def test_a_broken_rule_is_reported_with_the_products(curve: list[float], rule: str) -> None:
    assert behaviour_failures(grid([0.0, 1.0, 2.0], curve), largest_label_hours=10.0) == [rule]


def test_estimates_at_the_limit_are_allowed() -> None:
    assert behaviour_failures(grid([0.0, 5.0, 12.5]), largest_label_hours=10.0) == []


def test_all_broken_rules_are_reported_at_once() -> None:
    assert len(behaviour_failures(grid([-1.0, 20.0, 1.0]), largest_label_hours=10.0)) == 3


def test_single_flat_products_are_listed_and_not_refused() -> None:
    found = grid([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])

    assert flat_products(found) == ("SKU0",)
    assert behaviour_failures(found, largest_label_hours=10.0) == []


def test_a_model_that_is_flat_for_all_products_is_refused() -> None:
    failures = behaviour_failures(grid([1.0, 1.0], [2.0, 2.0]), largest_label_hours=10.0)

    assert failures == ["estimates do not depend on orders placed for any product"]


def test_long_lists_of_products_are_cut() -> None:
    assert listed(["A", "B"]) == "'A', 'B'"
    assert listed([f"P{i}" for i in range(7)]) == "'P0', 'P1', 'P2', 'P3', 'P4' and 2 more"


def test_odd_product_codes_stay_on_one_short_line() -> None:
    assert listed(["A\nB"]) == r"'A\nB'"
    assert len(listed(["A" * 100_000])) < 50


def test_the_metrics_of_the_simulator_s_weeks_are_near_the_noise_floor() -> None:
    split = split_orders(simulate_orders(20_000, seed=4))

    found = compute_metrics(fit_regressor(split.train), split)

    # The mean absolute value of normal noise is its standard deviation times sqrt(2 / pi).
    assert found.mean_absolute_error_hours == pytest.approx(0.8 * np.sqrt(2 / np.pi), rel=0.05)
