"""From a week of orders to a tested model, also where the week is odd."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.curves.estimator import PerProductCurve
from pipeline.model.arrays import Floats
from pipeline.orders.features import features_of
from pipeline.orders.simulator import NOISE_HOURS, simulate_orders
from pipeline.orders.splits import deal_out
from pipeline.stages.errors import DatasetError
from pipeline.training.fitting import TrainedModel, train_on
from pipeline.training.selection import CANDIDATES, Candidate

pytestmark = pytest.mark.slow

LEVEL = 0.9
MAX_LABEL_HOURS = 100_000.0


def week(rows: int = 500, seed: int = 1) -> pd.DataFrame:
    orders = simulate_orders(rows, seed)
    return orders.astype({"orders_placed": float, "product_code": "category"})


def week_of(product_code: Any, orders_placed: Floats, hours: Floats) -> pd.DataFrame:
    return pd.DataFrame(
        {"product_code": product_code, "orders_placed": orders_placed, "hours_to_dispatch": hours}
    )


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """Return a model of an ordinary week; tests only read it."""
    return train_on(week(2000), LEVEL)


def assert_sound(model: TrainedModel, orders: pd.DataFrame) -> None:
    """Check what holds of every trained model."""
    assert np.isfinite(model.grid.hours).all()
    assert model.grid.hours.min() >= 0
    assert model.grid.hours.max() <= 1.25 * orders["hours_to_dispatch"].max() + 1e-9
    assert np.diff(model.grid.hours, axis=1).min() >= -1e-9
    assert np.isfinite(model.noise.hours).all() and (model.noise.hours > 0).all()
    assert np.isfinite(model.noise.distances).all()
    assert 0 < model.interval.lower_multiple < np.inf > model.interval.upper_multiple > 0
    assert np.isfinite(model.metrics.mean_absolute_error_hours)
    assert model.metrics.train_rows + len(model.test.rows) <= len(orders)
    assert len(model.noise.hours) == len(orders)


# An ordinary week


def test_a_simulated_week_has_errors_near_its_noise(model: TrainedModel) -> None:
    mean_noise = NOISE_HOURS * np.sqrt(2 / np.pi)
    assert model.metrics.mean_absolute_error_hours == pytest.approx(mean_noise, rel=0.1)
    assert model.metrics.noise_floor_hours == pytest.approx(mean_noise, rel=0.1)
    assert model.metrics.r_squared == pytest.approx(0.99, abs=0.01)
    assert [score.name for score in model.candidates] == [each.name for each in CANDIDATES]
    assert [score.name for score in model.candidates if score.chosen] == [model.name]
    assert (model.interval.level, model.interval.calibration_rows) == (LEVEL, 2000)
    assert not model.noise.is_outlier.any()
    assert_sound(model, week(2000))


def test_the_published_regressor_is_fitted_on_all_rows_and_the_tested_one_is_not(
    model: TrainedModel,
) -> None:
    orders, _, _ = deal_out(week(2000), model.repeated)
    on_all = PerProductCurve(1).fit(features_of(orders), orders["hours_to_dispatch"])

    estimates = model.regressor.predict(features_of(orders))

    np.testing.assert_allclose(estimates, on_all.predict(features_of(orders)), atol=2e-3)
    of_test = model.regressor.predict(features_of(model.test.rows))
    assert model.test.estimates.tolist() != of_test.tolist()
    assert model.metrics.train_rows == len(orders) - model.metrics.test_rows


def test_the_points_are_those_of_test_rows_and_grid(model: TrainedModel) -> None:
    points = model.points()

    assert len(points) == len(model.test.rows) + model.grid.hours.size
    on_grid = model.regressor.predict(points[-model.grid.hours.size :])
    assert on_grid.tolist() == model.grid.hours.ravel().tolist()


def test_the_same_week_gives_the_same_model(model: TrainedModel) -> None:
    again = train_on(week(2000), LEVEL)

    assert (again.candidates, again.metrics) == (model.candidates, model.metrics)
    assert again.interval == model.interval
    assert (again.grid.hours == model.grid.hours).all()


def test_wrong_labels_are_marked_and_do_not_count_in_the_metrics(model: TrainedModel) -> None:
    orders = week(2000)
    hours = orders["hours_to_dispatch"].to_numpy()
    large = (np.random.default_rng(0).random(2000) < 0.03) & (hours > 5)
    small = ~large & (hours > np.quantile(hours, 0.99))
    damaged = np.where(large, 10 * hours, np.where(small, 0.0, hours))

    found = train_on(orders.assign(hours_to_dispatch=damaged), LEVEL)

    assert found.noise.is_outlier.tolist() == (large | small).tolist()
    assert (found.noise.distances[large] > 6).all() and (found.noise.distances[small] < -6).all()
    assert not (large | small)[found.test.rows.index].any()
    assert found.metrics.mean_absolute_error_hours == pytest.approx(
        model.metrics.mean_absolute_error_hours, rel=0.05
    )
    np.testing.assert_allclose(found.grid.hours, model.grid.hours, atol=0.2)


# The second choice


class Sagging(PerProductCurve):
    """Fits a line, and falls at many orders."""

    def predict(self, X: pd.DataFrame) -> Floats:
        estimates: Floats = super().predict(X) - 2.0 * (X["orders_placed"].to_numpy() > 300)
        return estimates


@pytest.mark.parametrize(
    ("candidates", "hours", "rule"),
    [
        ((Candidate("sagging", Sagging(1)), CANDIDATES[0]), 0.07, "falling_estimates"),
        ((CANDIDATES[1], CANDIDATES[0]), 0.0, "skill"),
    ],
    ids=["it falls", "it is no better than a guess"],
)
def test_the_next_candidate_is_taken_if_the_best_one_breaks_a_rule(
    candidates: tuple[Candidate, ...], hours: float, rule: str
) -> None:
    orders = week(1000)
    noise = np.random.default_rng(5).normal(scale=0.02, size=len(orders))
    labels = 5 + hours * orders["orders_placed"] + noise

    model = train_on(orders.assign(hours_to_dispatch=labels), LEVEL, candidates)

    assert model.name == candidates[1].name
    assert [score.chosen for score in model.candidates] == [False, True]
    assert [score.passed_over_for for score in model.candidates] == [(rule,), ()]


def test_the_chosen_candidate_stays_if_all_break_a_rule() -> None:
    orders = week()

    model = train_on(orders, LEVEL, (Candidate("sagging", Sagging(1)),))

    assert model.name == "sagging"
    assert model.candidates[0].chosen and model.candidates[0].passed_over_for == ()


# Odd weeks


@pytest.mark.parametrize("hours", [0.0, MAX_LABEL_HOURS])
def test_constant_labels_give_that_constant(hours: float) -> None:
    orders = week().assign(hours_to_dispatch=hours)

    model = train_on(orders, LEVEL)

    assert_sound(model, orders)
    np.testing.assert_allclose(model.grid.hours, hours, rtol=1e-6)
    assert model.name == "mean per product"
    assert model.metrics.r_squared is None
    assert not model.noise.is_outlier.any()


@pytest.mark.parametrize("orders_placed", [0.0, 1e6])
def test_a_week_at_one_order_count_gives_the_mean_of_each_product(orders_placed: float) -> None:
    orders = week().assign(orders_placed=orders_placed)
    means = np.array([3.0, 6.0, 9.0, 12.0, 15.0])
    noise = np.random.default_rng(7).normal(scale=0.5, size=500)

    hours = means[orders["product_code"].cat.codes] + noise
    model = train_on(orders.assign(hours_to_dispatch=hours), LEVEL)

    np.testing.assert_allclose(model.grid.hours[:, 0], means, atol=0.3)
    assert np.ptp(model.grid.hours, axis=1).max() == 0.0


@pytest.mark.parametrize(
    ("hours", "name"),
    [
        (lambda orders: 1 + 0.07 * orders, "line per product"),
        (lambda orders: 0.05 * orders / (1 - orders / 400), "curve per product"),
    ],
)
def test_exact_labels_are_followed_closely(hours: Callable[[Floats], Floats], name: str) -> None:
    orders = week(seed=9)
    truth = hours(orders["orders_placed"].to_numpy())

    model = train_on(orders.assign(hours_to_dispatch=truth), LEVEL, CANDIDATES[:3])

    assert model.name == name
    assert model.metrics.r_squared is not None and model.metrics.r_squared > 0.999
    assert_sound(model, orders.assign(hours_to_dispatch=truth))


def with_single_rows(hours: Floats) -> pd.DataFrame:
    """Return an ordinary week, and products with one row each."""
    codes = [f"ONE{i:04}" for i in range(len(hours))]
    single = week_of(codes, np.arange(float(len(hours))), hours)
    return pd.concat([week().astype({"product_code": object}), single], ignore_index=True)


def test_single_rows_of_many_products_do_not_disturb_the_ordinary_ones() -> None:
    random = np.random.default_rng(8)
    hours = random.uniform(0.03, 0.09, 100) * np.arange(100)
    orders = with_single_rows(np.maximum(hours + random.normal(scale=0.8, size=100), 0))

    model = train_on(orders, LEVEL)

    assert_sound(model, orders)
    ordinary = train_on(week(), LEVEL)
    known = [str(code).startswith("SKU") for code in model.grid.products]
    assert np.abs(model.grid.hours[known] - ordinary.grid.hours).mean() < 0.3


RANDOM = np.random.default_rng(1)
PLACED, LABELS = week(300)["orders_placed"], week(300)["hours_to_dispatch"]
FIVE = np.array([0.0, 10, 20, 30, 40])
ODD_WEEKS = {
    "huge labels": week(300).assign(hours_to_dispatch=RANDOM.uniform(0, MAX_LABEL_HOURS, 300)),
    "heavy tails": week(300).assign(
        hours_to_dispatch=np.minimum(RANDOM.lognormal(0, 4, 300), MAX_LABEL_HOURS)
    ),
    "mostly zero": week(300).assign(hours_to_dispatch=LABELS.where(PLACED >= 250, 0.0)),
    "wild orders": week(300).assign(orders_placed=PLACED.where(PLACED >= 3, 1e6)),
    "falling": week(300).assign(hours_to_dispatch=40 - LABELS),
    "five exact rows": week_of("A", FIVE, 1 + 0.1 * FIVE),
    "five noisy rows": week_of("A", FIVE, np.array([1.3, 2.0, 2.3, 4.4, 5.1])),
    "five rows at one order count": week_of("A", np.full(5, 7.0), np.arange(1.0, 6)),
    "five rows at zero": week_of("A", FIVE, np.zeros(5)),
    **{
        f"{rows} rows of noise": week_of(
            "A", RANDOM.uniform(0, 300, rows), RANDOM.uniform(0, 30, rows)
        )
        for rows in (5, 7, 9, 11, 14)
    },
    "single rows of noise": with_single_rows(RANDOM.uniform(0, 36, 100)),
    "a huge product among tiny ones": pd.concat(
        [
            simulate_orders(51_000, seed=10, hours_per_order={"HUGE": 0.05}),
            week_of([f"T{i:03}" for i in range(40)], np.full(40, 5.0), np.ones(40)),
        ],
        ignore_index=True,
    ),
}


@pytest.mark.parametrize("kind", ODD_WEEKS)
def test_odd_weeks_are_survived(kind: str) -> None:
    orders = ODD_WEEKS[kind]

    model = train_on(orders, LEVEL if len(orders) >= 19 else 0.5)

    assert_sound(model, orders)
    if kind.startswith("five"):
        mean = model.regressor.predict(features_of(orders)).mean()
        assert mean == pytest.approx(orders["hours_to_dispatch"].mean(), abs=0.5)


def test_a_week_without_testable_product_is_refused() -> None:
    with pytest.raises(DatasetError, match="no product has 5 rows or more"):
        train_on(week_of("A", np.arange(4.0), np.arange(4.0)), LEVEL)
