"""How good a model is on test rows, and what it says over a grid of orders."""

import numpy as np
import pandas as pd
import pytest

from pipeline.training.evaluation import (
    GRID_POINTS,
    compute_metrics,
    estimate_on_grid,
    flat_products,
)
from pipeline.training.selection import OutOfSample
from tests.support.builders import LineRegressor, most_orders


def out_of_sample(hours: list[float], estimates: list[float]) -> OutOfSample:
    rows = pd.DataFrame({"product_code": "A", "orders_placed": 1.0, "hours_to_dispatch": hours})
    return OutOfSample(rows, np.array(estimates))


def test_metrics_are_those_of_the_test_rows_without_and_with_outliers() -> None:
    test = out_of_sample([1.0, 2.0, 6.0, 90.0], estimates=[1.5, 2.0, 6.0, 10.0])
    is_inlier = np.array([True, True, True, False])

    found = compute_metrics(test, is_inlier, np.array([1.0, 2.0, 3.0, 9.0]), train_rows=12)

    assert found.mean_absolute_error_hours == pytest.approx(0.5 / 3)
    assert found.r_squared == pytest.approx(1 - 0.25 / 14)
    # The mean absolute value of normal noise is its standard deviation times sqrt(2 / pi).
    assert found.noise_floor_hours == pytest.approx(2 * np.sqrt(2 / np.pi))
    assert (found.train_rows, found.test_rows) == (12, 3)
    assert found.mean_absolute_error_with_outliers_hours == pytest.approx(80.5 / 4)
    assert found.r_squared_with_outliers == pytest.approx(1 - 6400.25 / 5690.75)


@pytest.mark.parametrize("hours", [[2.0], [2.0, 2.0, 2.0]])
def test_r_squared_is_not_defined_where_all_hours_are_the_same(hours: list[float]) -> None:
    test = out_of_sample(hours, estimates=[1.0] * len(hours))

    all_rows = np.ones(len(hours), dtype=bool)

    assert compute_metrics(test, all_rows, np.ones(len(hours)), train_rows=12).r_squared is None


def test_the_grid_covers_the_orders_seen_with_each_product() -> None:
    orders = pd.DataFrame({"product_code": ["A", "A", "B"], "orders_placed": [10.0, 40.0, 8.0]})

    found = estimate_on_grid(LineRegressor({"A": (0.0, 0.1), "B": (1.0, 0.0)}), most_orders(orders))

    assert found.products.tolist() == ["A", "B"]
    np.testing.assert_allclose(found.orders[0], np.linspace(0, 40, GRID_POINTS))
    np.testing.assert_allclose(found.orders[1], np.linspace(0, 8, GRID_POINTS))
    np.testing.assert_allclose(found.hours[0], found.orders[0] / 10)
    assert found.points()["product_code"].tolist() == ["A"] * GRID_POINTS + ["B"] * GRID_POINTS
    assert found.points()["orders_placed"].tolist() == found.orders.ravel().tolist()
    assert flat_products(found) == ("B",)
