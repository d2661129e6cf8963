"""From a week of orders to a judged model, also where the week is odd."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.curves.estimator import PerProductCurve
from pipeline.model.arrays import Floats
from pipeline.model.order import FEATURES
from pipeline.orders.features import features_of
from pipeline.orders.simulator import NOISE_HOURS, simulate_orders
from pipeline.stages.errors import DatasetError
from pipeline.training.fitting import TrainedModel, train_on
from pipeline.training.selection import CANDIDATES

pytestmark = pytest.mark.statistics

LEVEL = 0.9
MAX_LABEL_HOURS = 100_000.0


def week(rows: int = 500, seed: int = 1) -> pd.DataFrame:
    orders = simulate_orders(rows, seed)
    return orders.astype({"orders_placed": float, "product_code": "category"})


def week_of(product_code: str, orders_placed: Floats, hours: Floats) -> pd.DataFrame:
    return pd.DataFrame(
        {"product_code": product_code, "orders_placed": orders_placed, "hours_to_dispatch": hours}
    )


def scaled(orders: pd.DataFrame, factor: float) -> pd.DataFrame:
    return orders.assign(hours_to_dispatch=orders["hours_to_dispatch"] * factor)


def beside_single_rows(hours_of_single_rows: Floats) -> pd.DataFrame:
    """Return an ordinary week, and products with one row each."""
    count = len(hours_of_single_rows)
    codes = np.array([f"ONE{i:04}" for i in range(count)], dtype=object)
    orders = np.arange(count) % 321
    single = week_of("", orders.astype(float), hours_of_single_rows).assign(product_code=codes)
    ordinary = week(1000).astype({"product_code": object})
    return pd.concat([ordinary, single], ignore_index=True)


def assert_sound(model: TrainedModel, orders: pd.DataFrame) -> None:
    """Check what holds of every trained model."""
    assert np.isfinite(model.grid.hours).all()
    assert model.grid.hours.min() >= 0
    assert model.grid.hours.max() <= 1.25 * orders["hours_to_dispatch"].max() + 1e-9
    assert np.diff(model.grid.hours, axis=1).min() >= -1e-9
    assert np.isfinite(model.noise.hours).all() and (model.noise.hours > 0).all()
    assert np.isfinite(model.noise.distances).all()
    assert np.isfinite(model.interval.multiple) and model.interval.multiple >= 0
    assert np.isfinite(model.metrics.mean_absolute_error_hours)
    assert model.metrics.train_rows + len(model.test.rows) <= len(orders)
    assert len(model.noise.hours) == len(orders)


# An ordinary week


def test_a_simulated_week_is_judged_near_its_noise() -> None:
    model = train_on(week(4000, seed=2), LEVEL)

    mean_noise = NOISE_HOURS * np.sqrt(2 / np.pi)
    assert model.name == "line per product"
    assert model.metrics.mean_absolute_error_hours == pytest.approx(mean_noise, rel=0.1)
    assert model.metrics.noise_floor_hours == pytest.approx(mean_noise, rel=0.1)
    assert model.metrics.r_squared == pytest.approx(0.99, abs=0.01)
    assert not model.noise.is_outlier.any()
    assert_sound(model, week(4000, seed=2))


def test_the_published_regressor_is_fitted_on_all_rows_and_the_judged_one_is_not() -> None:
    orders = week(600, seed=3)

    model = train_on(orders, LEVEL)

    on_all = PerProductCurve(1).fit(features_of(orders), orders["hours_to_dispatch"])
    estimates = model.regressor.predict(features_of(orders))
    assert estimates.tolist() == on_all.predict(features_of(orders)).tolist()
    assert model.test.estimates.tolist() != estimates[model.test.rows.index].tolist()
    assert model.metrics.train_rows == len(orders) - model.metrics.test_rows


def test_the_scores_of_all_candidates_are_kept_and_the_chosen_one_named() -> None:
    model = train_on(week(), LEVEL)

    assert [score.name for score in model.candidates] == [each.name for each in CANDIDATES]
    assert [score.name for score in model.candidates if score.chosen] == [model.name]


def test_the_interval_is_calibrated_on_rows_that_no_fit_had_seen() -> None:
    model = train_on(week(500), LEVEL)

    assert model.interval.level == LEVEL
    assert model.interval.calibration_rows == 500


def test_wrong_labels_are_marked_and_do_not_count_in_the_metrics() -> None:
    orders = week(1000, seed=4)
    hours = orders["hours_to_dispatch"].to_numpy()
    wrong = (np.random.default_rng(0).random(1000) < 0.03) & (hours > 5)
    clean = train_on(orders, LEVEL)
    damaged = orders.assign(hours_to_dispatch=np.where(wrong, 10 * hours, hours))

    model = train_on(damaged, LEVEL)

    assert model.noise.is_outlier.tolist() == wrong.tolist()
    assert (model.noise.distances[wrong] > 6).all()
    assert not wrong[model.test.rows.index].any()
    assert model.metrics.mean_absolute_error_hours == pytest.approx(
        clean.metrics.mean_absolute_error_hours, rel=0.05
    )
    np.testing.assert_allclose(model.grid.hours, clean.grid.hours, atol=0.2)


def test_labels_that_are_too_small_are_marked_with_negative_distances() -> None:
    orders = week(1000, seed=5)
    busy = orders["hours_to_dispatch"].nlargest(3).index
    orders.loc[busy, "hours_to_dispatch"] = 0.0

    model = train_on(orders, LEVEL)

    assert set(np.flatnonzero(model.noise.is_outlier)) == set(busy)
    assert (model.noise.distances[busy] < -6).all()


def test_the_points_are_those_of_test_rows_and_grid() -> None:
    model = train_on(week(), LEVEL)

    points = model.points()

    assert list(points.columns) == FEATURES
    assert len(points) == len(model.test.rows) + model.grid.hours.size
    on_grid = model.regressor.predict(points[-model.grid.hours.size :])
    assert on_grid.tolist() == model.grid.hours.ravel().tolist()


def test_the_same_week_gives_the_same_model() -> None:
    first, second = train_on(week(), LEVEL), train_on(week(), LEVEL)

    assert first.metrics == second.metrics and first.interval == second.interval
    assert (first.grid.hours == second.grid.hours).all()


# Odd weeks


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_labels_of_another_size_give_results_of_that_size(factor: float) -> None:
    orders = week(500, seed=6)
    ordinary = train_on(orders, LEVEL)

    model = train_on(scaled(orders, factor), LEVEL)

    np.testing.assert_allclose(model.grid.hours / factor, ordinary.grid.hours, rtol=1e-2, atol=0.02)
    assert model.interval.multiple == pytest.approx(ordinary.interval.multiple, rel=0.02)
    assert model.metrics.mean_absolute_error_hours / factor == pytest.approx(
        ordinary.metrics.mean_absolute_error_hours, rel=0.02
    )
    np.testing.assert_allclose(model.noise.hours / factor, ordinary.noise.hours, rtol=0.05)


@pytest.mark.parametrize("hours", [0.0, 3.0, MAX_LABEL_HOURS])
def test_constant_labels_give_that_constant(hours: float) -> None:
    orders = week().assign(hours_to_dispatch=hours)

    model = train_on(orders, LEVEL)

    assert_sound(model, orders)
    np.testing.assert_allclose(model.grid.hours, hours, rtol=1e-6)
    assert model.name == "mean per product"
    assert model.metrics.r_squared is None
    assert not model.noise.is_outlier.any()


@pytest.mark.parametrize("orders_placed", [0.0, 50.0, 1e6])
def test_a_week_at_one_order_count_gives_the_mean_of_each_product(orders_placed: float) -> None:
    random = np.random.default_rng(7)
    orders = week().assign(orders_placed=orders_placed)
    level_of = {"SKU001": 3.0, "SKU002": 6.0, "SKU003": 9.0, "SKU004": 12.0, "SKU005": 15.0}
    hours = orders["product_code"].astype(str).map(level_of) + random.normal(scale=0.5, size=500)

    model = train_on(orders.assign(hours_to_dispatch=hours), LEVEL)

    np.testing.assert_allclose(model.grid.hours[:, 0], list(level_of.values()), atol=0.3)
    assert np.ptp(model.grid.hours, axis=1).max() == 0.0


@pytest.mark.parametrize("kind", ["exact", "noisy", "one order count", "all zero"])
def test_a_single_product_with_five_rows_is_enough(kind: str) -> None:
    orders = np.array([0.0, 10, 20, 30, 40])
    labels = {
        "exact": 1 + 0.1 * orders,
        "noisy": np.array([1.3, 2.0, 2.3, 4.4, 5.1]),
        "one order count": np.array([1.0, 2, 3, 4, 5]),
        "all zero": np.zeros(5),
    }
    places = np.full(5, 7.0) if kind == "one order count" else orders
    only = week_of("A", places, labels[kind])

    model = train_on(only, LEVEL)

    assert_sound(model, only)
    middle = model.regressor.predict(week_of("A", places, labels[kind])).mean()
    assert middle == pytest.approx(labels[kind].mean(), abs=0.5)


@pytest.mark.parametrize("rows", range(5, 15))
def test_a_single_product_with_a_few_noisy_rows_is_enough(rows: int) -> None:
    random = np.random.default_rng(rows)
    only = week_of("A", random.uniform(0, 300, rows), random.uniform(0, 30, rows))

    assert_sound(train_on(only, LEVEL), only)


def test_single_rows_of_a_thousand_products_do_not_disturb_the_ordinary_ones() -> None:
    random = np.random.default_rng(8)
    slopes = random.uniform(0.03, 0.09, 1000)
    hours = np.maximum(slopes * (np.arange(1000) % 321) + random.normal(scale=0.8, size=1000), 0)
    orders = beside_single_rows(hours)

    model = train_on(orders, LEVEL)

    assert_sound(model, orders)
    ordinary = train_on(week(1000), LEVEL)
    known = model.grid.points()["product_code"].str.startswith("SKU").to_numpy()
    found = model.grid.hours.ravel()[known]
    assert np.abs(found - ordinary.grid.hours.ravel()).mean() < 0.3


@pytest.mark.parametrize("seed", range(2))
def test_single_rows_without_rhyme_or_reason_are_survived(seed: int) -> None:
    orders = beside_single_rows(np.random.default_rng(seed).uniform(0, 36, 1000))

    assert_sound(train_on(orders, LEVEL), orders)


@pytest.mark.parametrize(
    ("hours", "name"),
    [
        (lambda orders: 1 + 0.07 * orders, "line per product"),
        (lambda orders: 0.05 * orders / (1 - orders / 400), "curve per product"),
    ],
)
def test_exact_labels_are_followed_closely(hours: Callable[[Floats], Floats], name: str) -> None:
    orders = week(1000, seed=9)
    truth = hours(orders["orders_placed"].to_numpy())

    model = train_on(orders.assign(hours_to_dispatch=truth), LEVEL)

    assert model.name == name
    assert model.metrics.r_squared is not None and model.metrics.r_squared > 0.9995
    assert_sound(model, orders.assign(hours_to_dispatch=truth))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["huge", "heavy tails", "mostly zero", "wild orders", "falling"])
def test_labels_and_orders_of_any_size_are_survived(kind: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    orders = week(300, seed)
    hours = orders["hours_to_dispatch"].to_numpy()
    placed = orders["orders_placed"].to_numpy()
    odd = {
        "huge": orders.assign(hours_to_dispatch=random.uniform(0, MAX_LABEL_HOURS, 300)),
        "heavy tails": orders.assign(
            hours_to_dispatch=np.minimum(random.lognormal(0, 4, 300), MAX_LABEL_HOURS)
        ),
        "mostly zero": orders.assign(hours_to_dispatch=np.where(placed < 250, 0.0, hours)),
        "wild orders": orders.assign(orders_placed=np.where(placed < 3, 1e6, placed)),
        "falling": orders.assign(hours_to_dispatch=40 - hours),
    }[kind]

    assert_sound(train_on(odd, LEVEL), odd)


def test_a_huge_product_among_tiny_ones_is_survived() -> None:
    tiny = pd.concat([week_of(f"T{i:03}", np.array([5.0]), np.array([1.0])) for i in range(40)])
    huge = simulate_orders(120_000, seed=10, hours_per_order={"HUGE": 0.05})
    orders = pd.concat([huge, tiny], ignore_index=True)

    assert_sound(train_on(orders, LEVEL), orders)


def test_a_week_without_testable_product_is_refused() -> None:
    with pytest.raises(DatasetError, match="no product has 5 rows or more"):
        train_on(week_of("A", np.arange(4.0), np.arange(4.0)), LEVEL)
