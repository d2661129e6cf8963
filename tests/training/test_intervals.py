"""Prediction intervals: by hand, against another implementation, and by counting fresh rows."""

import math
import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from mapie.conformity_scores import ResidualNormalisedScore  # type: ignore[import-untyped]
from mapie.regression import (  # type: ignore[import-untyped]
    CrossConformalRegressor,
    SplitConformalRegressor,
)
from sklearn.base import BaseEstimator, RegressorMixin

from pipeline.curves.estimator import PerProductCurve
from pipeline.curves.noise import NoiseScale, estimate_noise
from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats
from pipeline.model.metadata import PredictionInterval
from pipeline.orders.features import features_of
from pipeline.orders.simulator import NOISE_HOURS, simulate_orders
from pipeline.training.fitting import TrainedModel, train_on
from pipeline.training.intervals import calibrate_interval

pytestmark = pytest.mark.statistics

NINETY_PERCENT_OF_NORMAL = 1.6449
"""Nine tenths of normal draws are within so many standard deviations."""


class Given(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """What is given in the only column, or a straight line through it."""

    def __init__(self, base: float = 0.0, growth: float = 1.0) -> None:
        self.base = base
        self.growth = growth

    def fit(self, X: Floats, y: Floats) -> Self:
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Floats) -> Floats:
        values: Floats = self.base + self.growth * X[:, 0]
        return values


class LineOfOneProduct(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Our line, with orders placed as the only column."""

    def fit(self, X: Floats, y: Floats) -> Self:
        self.line_ = PerProductCurve(1).fit(self._frame(X), y)
        return self

    def predict(self, X: Floats) -> Floats:
        return self.line_.predict(self._frame(X))

    def _frame(self, X: Floats) -> pd.DataFrame:
        return pd.DataFrame({"product_code": "A", "orders_placed": X[:, 0]})


def only_product(rows: int) -> Positions:
    return np.zeros(rows, dtype=np.intp)


def interval_of(
    residuals: list[float] | Floats, level: float, noise: NoiseScale | None = None
) -> PredictionInterval:
    """Calibrate on rows of one product with an estimate of 10 h."""
    noise = noise or NoiseScale.unit(1)
    product, estimates = only_product(len(residuals)), np.full(len(residuals), 10.0)
    return calibrate_interval(product, estimates, np.array(residuals), noise, level)


def half_widths_of_mapie(regressor: Any, estimates: Floats) -> Floats:
    """Return how far the intervals of the other implementation reach."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, intervals = regressor.predict_interval(estimates.reshape(-1, 1))
    widths: Floats = (intervals[:, 1, 0] - intervals[:, 0, 0]) / 2
    return widths


# By hand


@pytest.mark.parametrize(
    ("level", "multiple"),
    # Of nine scores from 1 to 9, a tenth score is below the k-th with a probability of k / 10.
    [(0.5, 5.0), (0.8, 8.0), (0.9, 9.0), (0.75, 8.0), (0.95, 9.0)],
)
def test_the_multiple_is_the_score_that_a_new_row_stays_within(
    level: float, multiple: float
) -> None:
    residuals = [3.0, -1.0, 9.0, -5.0, 2.0, -8.0, 4.0, 7.0, -6.0]

    assert interval_of(residuals, level).multiple == pytest.approx(multiple)


def test_the_only_row_is_the_multiple() -> None:
    found = interval_of([-2.5], level=0.9)

    assert (found.multiple, found.calibration_rows, found.level) == (2.5, 1, 0.9)


def test_scores_are_in_units_of_the_noise_of_row_and_product() -> None:
    product = np.array([0, 1, 0])
    estimates = np.array([0.0, 10.0, 20.0])
    noise = NoiseScale(base_hours=1.0, growth=0.1, relative=np.array([1.0, 2.0]))
    residuals = np.array([3.0, -4.0, 6.0])  # divided by 1, 4 and 3

    found = calibrate_interval(product, estimates, residuals, noise, level=0.7)

    assert found.multiple == pytest.approx(3.0)
    assert (found.noise_base_hours, found.noise_growth) == (1.0, 0.1)
    widths = found.half_width(np.array([10.0, 10.0]), noise.relative)
    assert widths.tolist() == pytest.approx([6.0, 12.0])


def test_outliers_make_the_interval_wider() -> None:
    sound = np.linspace(0, 1, 80)

    assert interval_of([*sound, *[50.0] * 20], level=0.9).multiple == 50.0
    assert interval_of([*sound, *[50.0] * 5], level=0.9).multiple < 1.0


@pytest.mark.parametrize("rows", [5, 20, 100])
def test_a_fresh_row_is_inside_as_often_as_the_level_says(rows: int) -> None:
    random = np.random.default_rng(rows)
    level = 0.8
    inside = [
        abs(random.normal()) <= interval_of(random.normal(size=rows), level).multiple
        for _ in range(4000)
    ]

    expected = math.ceil((rows + 1) * level) / (rows + 1)
    assert np.mean(inside) == pytest.approx(expected, abs=0.025)


# Against MAPIE


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("rows", [50, 999])
def test_constant_noise_gives_the_half_width_of_mapie(level: float, rows: int) -> None:
    random = np.random.default_rng(1)
    estimates, residuals = random.uniform(0, 30, rows), random.normal(scale=0.8, size=rows)
    given = Given().fit(estimates.reshape(-1, 1), estimates)
    other = SplitConformalRegressor(given, confidence_level=level, prefit=True)
    other.conformalize(estimates.reshape(-1, 1), estimates + residuals)
    expected = half_widths_of_mapie(other, np.array([5.0, 25.0]))

    product = only_product(rows)
    constant = NoiseScale(0.8, 0.0, np.ones(1))
    exact = calibrate_interval(product, estimates, residuals, constant, level)
    measured = estimate_noise(product, estimates, residuals, n_products=1)
    found = calibrate_interval(product, estimates, residuals, measured, level)

    middle = np.array([15.0])
    np.testing.assert_allclose(exact.half_width(np.array([5.0, 25.0]), np.ones(2)), expected)
    np.testing.assert_allclose(found.half_width(middle, np.ones(1)), expected[0], rtol=0.08)


def test_growing_noise_gives_the_half_widths_of_mapie_s_normalised_score() -> None:
    random = np.random.default_rng(2)
    noise = NoiseScale(0.5, 0.1, np.ones(1))
    estimates = random.uniform(0, 30, 800)
    residuals = random.normal(size=800) * noise.of(only_product(800), estimates)
    given = Given().fit(estimates.reshape(-1, 1), estimates)
    spread = Given(0.5, 0.1).fit(estimates.reshape(-1, 1), estimates)
    score = ResidualNormalisedScore(residual_estimator=spread, prefit=True)
    other = SplitConformalRegressor(
        given, confidence_level=0.9, conformity_score=score, prefit=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other.conformalize(estimates.reshape(-1, 1), estimates + residuals)

    found = calibrate_interval(only_product(800), estimates, residuals, noise, 0.9)

    places = np.linspace(0, 30, 7)
    expected = half_widths_of_mapie(other, places)
    np.testing.assert_allclose(found.half_width(places, np.ones(7)), expected, rtol=1e-6)


def test_a_week_gets_the_half_width_of_mapie_s_cross_conformal_intervals() -> None:
    orders = simulate_orders(1500, seed=3, hours_per_order={"A": 0.06})
    orders["hours_to_dispatch"] += 5  # away from the floor at zero, where noise is less
    places = orders[["orders_placed"]].to_numpy(dtype=float)
    other = CrossConformalRegressor(
        LineOfOneProduct(), confidence_level=0.9, method="base", random_state=1
    )
    other.fit_conformalize(places, orders["hours_to_dispatch"].to_numpy())
    expected = half_widths_of_mapie(other, np.array([160.0])).item()

    model = train_on(orders, interval_level=0.9)

    estimate = model.regressor.predict(
        pd.DataFrame({"product_code": ["A"], "orders_placed": [160.0]})
    )
    found = model.interval.half_width(estimate, model.noise.scale.relative).item()
    assert found == pytest.approx(expected, rel=0.07)
    assert found == pytest.approx(NINETY_PERCENT_OF_NORMAL * NOISE_HOURS, rel=0.1)


# By counting

PRODUCTS = 4


def draw_week(rows: int, seed: int, base: Floats, growth: float) -> pd.DataFrame:
    """Return orders whose noise has a standard deviation of base[product] + growth · hours."""
    random = np.random.default_rng(seed)
    product = random.integers(0, PRODUCTS, rows)
    orders = random.integers(0, 321, rows).astype(float)
    hours = 8 + (0.02 + 0.02 * product) * orders
    noise = random.normal(size=rows) * (base[product] + growth * hours)
    codes: npt.NDArray[np.object_] = np.array([f"SKU{i}" for i in range(PRODUCTS)], dtype=object)
    return pd.DataFrame(
        {
            "product_code": codes[product],
            "orders_placed": orders,
            "hours_to_dispatch": np.maximum(hours + noise, 0),
        }
    )


def is_inside(model: TrainedModel, orders: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows are within the intervals of a model."""
    estimates = model.regressor.predict(features_of(orders))
    product, _ = pd.factorize(orders["product_code"], sort=True)
    widths = model.interval.half_width(estimates, model.noise.scale.relative[product])
    inside: npt.NDArray[np.bool_] = (
        np.abs(orders["hours_to_dispatch"].to_numpy() - estimates) <= widths
    )
    return inside


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize(
    ("base", "growth"),
    [
        pytest.param(np.full(PRODUCTS, 0.8), 0.0, id="constant"),
        pytest.param(np.full(PRODUCTS, 0.1), 0.08, id="growing"),
        pytest.param(np.geomspace(0.3, 2.4, PRODUCTS), 0.0, id="by product"),
    ],
)
def test_the_level_is_the_share_of_fresh_orders_inside(
    base: Floats, growth: float, level: float
) -> None:
    model = train_on(draw_week(2000, seed=4, base=base, growth=growth), level)
    fresh = draw_week(20_000, seed=5, base=base, growth=growth)

    inside = is_inside(model, fresh)

    assert inside.mean() == pytest.approx(level, abs=0.025)
    assert pd.Series(inside).groupby(fresh["product_code"]).mean().to_numpy() == pytest.approx(
        np.full(PRODUCTS, level), abs=0.06
    )
    hours = model.regressor.predict(features_of(fresh))
    for half in (hours < np.median(hours), hours >= np.median(hours)):
        assert inside[half].mean() == pytest.approx(level, abs=0.06)


def test_weeks_with_wrong_labels_still_hold_the_level() -> None:
    def week(rows: int, seed: int) -> pd.DataFrame:
        orders = draw_week(rows, seed, np.full(PRODUCTS, 0.8), growth=0.0)
        wrong = np.random.default_rng(seed).random(rows) < 0.03
        hours = orders["hours_to_dispatch"]
        return orders.assign(hours_to_dispatch=hours.where(~wrong, 10 * hours))

    inside = is_inside(train_on(week(2000, seed=6), 0.9), week(20_000, seed=7))

    assert inside.mean() == pytest.approx(0.9, abs=0.025)


def test_many_small_products_hold_the_level() -> None:
    slope_of = {f"SKU{i:03}": 0.03 + i / 5000 for i in range(200)}
    model = train_on(simulate_orders(1600, seed=8, hours_per_order=slope_of), 0.9)
    fresh = simulate_orders(20_000, seed=9, hours_per_order=slope_of)
    known = fresh[fresh["product_code"].isin(model.grid.products)]

    estimates = model.regressor.predict(features_of(known))
    product = np.searchsorted(model.grid.products.astype(str), known["product_code"].astype(str))
    widths = model.interval.half_width(estimates, model.noise.scale.relative[product])

    inside = np.abs(known["hours_to_dispatch"] - estimates) <= widths
    assert inside.mean() == pytest.approx(0.9, abs=0.035)
