"""Metrics and rules: each is checked on both sides of its threshold."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from pipeline.curves.estimator import DispatchCurve, PerProductCurve
from pipeline.model.arrays import Floats
from pipeline.model.metadata import Metrics, Outliers
from pipeline.orders.features import features_of
from pipeline.orders.simulator import simulate_orders
from pipeline.release.rules import behaviour_failures, outlier_failures, r_squared_failures
from pipeline.stages.wording import first_few
from pipeline.training.evaluation import (
    GRID_POINTS,
    GridEstimates,
    compute_metrics,
    estimate_on_grid,
    flat_products,
)
from pipeline.training.selection import OutOfSample


def judged(hours: list[float], estimates: list[float]) -> OutOfSample:
    rows = pd.DataFrame({"product_code": "A", "orders_placed": 1.0, "hours_to_dispatch": hours})
    return OutOfSample(rows, np.array(estimates))


def fit_lines(orders: pd.DataFrame) -> DispatchCurve:
    return PerProductCurve(segments=1).fit(features_of(orders), orders["hours_to_dispatch"])


def grid(*curves: list[float]) -> GridEstimates:
    codes: npt.NDArray[np.object_] = np.array([f"SKU{i}" for i in range(len(curves))], dtype=object)
    orders = np.tile(np.arange(len(curves[0]), dtype=float), (len(curves), 1))
    return GridEstimates(codes, orders, np.array(curves))


def metrics(r_squared: float | None, noise_floor_hours: float = 0.5) -> Metrics:
    return Metrics(
        r_squared=r_squared,
        mean_absolute_error_hours=1.0,
        noise_floor_hours=noise_floor_hours,
        train_rows=80,
        test_rows=20,
    )


def test_metrics_are_those_of_the_test_rows() -> None:
    test = judged([1.0, 2.0, 6.0], estimates=[1.5, 2.0, 6.0])

    found = compute_metrics(test, noise_hours=np.array([1.0, 2.0, 3.0]), train_rows=12)

    assert found.mean_absolute_error_hours == pytest.approx(0.5 / 3)
    assert found.r_squared == pytest.approx(1 - 0.25 / 14)
    # The mean absolute value of normal noise is its standard deviation times sqrt(2 / pi).
    assert found.noise_floor_hours == pytest.approx(2 * np.sqrt(2 / np.pi))
    assert (found.train_rows, found.test_rows) == (12, 3)


@pytest.mark.parametrize("test_hours", [[2.0], [2.0, 2.0, 2.0]])
def test_r_squared_is_not_defined_where_all_hours_are_the_same(test_hours: list[float]) -> None:
    test = judged(test_hours, estimates=[1.0] * len(test_hours))

    found = compute_metrics(test, np.ones(len(test_hours)), train_rows=12)

    assert found.r_squared is None
    assert "not defined" in r_squared_failures(found, 0.1, "--option")[0]


def test_r_squared_at_the_threshold_is_good_enough() -> None:
    assert r_squared_failures(metrics(0.8), 0.8, "--option") == []
    assert r_squared_failures(metrics(0.9), 0.8, "--option") == []


def test_r_squared_below_the_threshold_is_reported_with_both_numbers() -> None:
    failures = r_squared_failures(metrics(0.7999), 0.8, "--option")

    assert failures == ["R² 0.7999 is below --option 0.8"]


@pytest.mark.parametrize(
    ("noise_floor_hours", "at_the_floor"), [(0.9, False), (0.92, True), (1.1, True)]
)
def test_a_low_r_squared_at_the_noise_floor_is_explained(
    noise_floor_hours: float, at_the_floor: bool
) -> None:
    (failure,) = r_squared_failures(metrics(0.5, noise_floor_hours), 0.8, "--option")

    assert ("the hours of this week vary too little" in failure) == at_the_floor
    assert ("a lower --option accepts that" in failure) == at_the_floor


@pytest.mark.parametrize(("share", "refused"), [(0.05, False), (0.051, True)])
def test_outliers_are_refused_above_their_share(share: float, refused: bool) -> None:
    found = outlier_failures(Outliers(rows=51, share=share, farthest=()), max_share=0.05)

    assert found == refused * [
        "51 rows (5.1%) are farther than 6 robust standard deviations from the model, more than "
        "--max-outlier-share 0.05 allows"
    ]


def test_a_sound_model_breaks_no_rule() -> None:
    orders = simulate_orders(500, seed=1)

    found = estimate_on_grid(fit_lines(orders), orders)

    assert found.hours.shape == (5, GRID_POINTS)
    assert behaviour_failures(found, orders["hours_to_dispatch"].max()) == []


def test_the_grid_covers_the_orders_seen_with_each_product() -> None:
    orders = pd.DataFrame({"product_code": ["A", "A", "B"], "orders_placed": [10.0, 40.0, 8.0]})

    class TenthOfOrders:
        """A fitted regressor that gives a tenth of an hour per order."""

        def predict(self, X: pd.DataFrame) -> Floats:
            return X["orders_placed"].to_numpy(dtype=float) / 10

    found = estimate_on_grid(TenthOfOrders(), orders)

    assert found.products.tolist() == ["A", "B"]
    np.testing.assert_allclose(found.orders[0], np.linspace(0, 40, GRID_POINTS))
    np.testing.assert_allclose(found.orders[1], np.linspace(0, 8, GRID_POINTS))
    np.testing.assert_allclose(found.hours, found.orders / 10)
    assert found.points()["product_code"].tolist() == ["A"] * GRID_POINTS + ["B"] * GRID_POINTS
    assert found.points()["orders_placed"].tolist() == found.orders.ravel().tolist()


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
    assert first_few(["A", "B"]) == "'A', 'B'"
    assert first_few([f"P{i}" for i in range(7)]) == "'P0', 'P1', 'P2', 'P3', 'P4' and 2 more"


def test_odd_product_codes_stay_on_one_short_line() -> None:
    assert first_few(["A\nB"]) == r"'A\nB'"
    assert len(first_few(["A" * 100_000])) < 50
