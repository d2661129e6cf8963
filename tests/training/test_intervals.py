"""Prediction intervals: by hand, against another implementation, and by counting fresh rows."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from mapie.conformity_scores import ResidualNormalisedScore  # type: ignore[import-untyped]
from mapie.regression import SplitConformalRegressor  # type: ignore[import-untyped]
from sklearn.linear_model import LinearRegression

from pipeline.curves.noise import NoiseScale
from pipeline.model.arrays import Floats
from pipeline.orders.features import features_of
from pipeline.orders.simulator import simulate_orders
from pipeline.stages.errors import DatasetError
from pipeline.training.fitting import TrainedModel, train_on
from pipeline.training.intervals import calibrate_interval, calibrate_products
from pipeline.training.product_quantiles import product_factors

pytestmark = pytest.mark.slow

# By hand


@pytest.mark.parametrize(
    ("level", "lower", "upper"),
    # Of nine scores, a tenth is below the k-th with a probability of k / 10, and as often above
    # the k-th from the top: 5 % of each tail of a level of 0.9 would take nineteen.
    [(0.8, 4.0, 18.0), (0.6, 3.0, 15.0), (0.5, 3.0, 15.0), (0.2 + 0.2, 2.0, 12.0)],
)
def test_as_many_new_rows_are_below_the_interval_as_above(
    level: float, lower: float, upper: float
) -> None:
    residuals = np.array([3.0, -1, 9, -4, 18, -3, 12, 15, -2])
    product, estimates = np.zeros(9, dtype=np.intp), np.full(9, 10.0)

    found = calibrate_interval(product, estimates, residuals, NoiseScale.unit(1), level)

    assert (found.lower_multiple, found.upper_multiple) == pytest.approx((lower, upper))
    assert found.multiple == found.upper_multiple
    assert (found.level, found.calibration_rows) == (level, 9)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_estimate_is_inside_even_if_all_rows_are_to_one_side(sign: int) -> None:
    product, ones = np.zeros(19, dtype=np.intp), np.ones(19)

    found = calibrate_interval(product, ones, sign * ones, NoiseScale.unit(1), 0.9)

    assert (found.lower_multiple, found.upper_multiple)[::sign] == pytest.approx((0.01, 1.0))


@pytest.mark.parametrize(("level", "rows"), [(0.5, 3), (0.9, 19), (0.99, 199), (0.999, 1999)])
def test_a_level_takes_rows_and_with_fewer_is_refused(level: float, rows: int) -> None:
    product, ones = np.zeros(rows, dtype=np.intp), np.ones(rows)
    noise = NoiseScale.unit(1)

    assert 1.0 <= calibrate_interval(product, ones, ones, noise, level).upper_multiple < 1.0001
    with pytest.raises(DatasetError, match=f"takes {rows:,} rows .* there are {rows - 1:,}"):
        calibrate_interval(product[1:], ones[1:], ones[1:], noise, level)


def test_the_refusal_says_which_level_the_rows_can_give() -> None:
    product, ones = np.zeros(30, dtype=np.intp), np.ones(30)

    with pytest.raises(DatasetError, match="set --interval-level to 0.935 or less"):
        calibrate_interval(product, ones, ones, NoiseScale.unit(1), level=0.99)
    calibrate_interval(product, ones, ones, NoiseScale.unit(1), level=0.935)


def test_scores_are_in_units_of_the_noise_of_row_and_product() -> None:
    product = np.array([0, 1, 0])
    estimates = np.array([0.0, 10.0, 20.0])
    noise = NoiseScale(base_hours=1.0, growth=0.1, relative=np.array([1.0, 2.0]))
    residuals = np.array([3.0, -4.0, 6.0])  # divided by 1, 4 and 3

    found = calibrate_interval(product, estimates, residuals, noise, level=0.5)

    assert (found.lower_multiple, found.upper_multiple) == pytest.approx((1.0, 3.0))
    assert (found.noise_base_hours, found.noise_growth) == (1.0, 0.1)
    below, above = found.reach(np.array([10.0, 10.0]), np.tile(noise.relative, (2, 1)))
    assert below.tolist() == pytest.approx([2.0, 4.0])
    assert above.tolist() == pytest.approx([6.0, 12.0])


def reach_of_products(*residuals: Floats) -> tuple[Floats, list[bool]]:
    """Return how far intervals of 90 % reach below and above, and which products fell short."""
    product = np.repeat(np.arange(len(residuals)), list(map(len, residuals)))
    n_products, ones = len(residuals), np.ones(len(product))
    rows = (product, ones, np.concatenate(residuals), NoiseScale.unit(n_products))
    interval = calibrate_interval(*rows, 0.9)
    found = calibrate_products(*rows, interval)
    return interval.reach(np.ones(n_products), found.relative), found.falls_short.tolist()


EVEN = np.linspace(-1, 1, 400)
MANY = np.repeat(EVEN, 50) + np.tile(np.linspace(0, 0.005, 50), 400)
"""Rows enough for the interval of a product to be its own."""


@pytest.mark.parametrize("own", [MANY * 0.5, MANY * 2, np.exp(MANY) - 1])
def test_a_product_of_many_rows_has_the_interval_that_they_need(own: Floats) -> None:
    reach, _ = reach_of_products(MANY, own)

    for place, residuals in enumerate((MANY, own)):
        expected = pytest.approx(np.abs(np.quantile(residuals, [0.05, 0.95])), rel=0.05)
        assert reach[:, place] == expected


def test_products_that_differ_by_chance_have_the_same_interval() -> None:
    random = np.random.default_rng(4)
    rows = [random.normal(size=100) for _ in range(50)]
    own = np.log([np.quantile(of_product, 0.95) for of_product in rows])

    reach, _ = reach_of_products(*rows)

    assert np.std(own) > 0.1
    assert np.std(np.log(reach), axis=1) == pytest.approx([0, 0], abs=0.03)


@pytest.mark.parametrize(("rows", "has_own"), [(18, False), (19, True)])
def test_a_product_with_too_few_rows_has_the_mean_interval(rows: int, has_own: bool) -> None:
    # The wide ones differ so much from the others that each has next to its own interval.
    few = np.linspace(-3, 3, rows)

    reach, _ = reach_of_products(*[EVEN, EVEN * 3] * 5, few)

    mean = np.sqrt(reach[1, 0] * reach[1, 1])
    assert (reach[1, -1] > 1.4 * mean) == has_own
    assert reach[1, 1] == pytest.approx(3 * reach[1, 0], rel=0.05)


def test_a_product_with_few_rows_that_falls_short_gets_the_interval_that_they_need() -> None:
    few, own = EVEN[::4][:99], np.where(np.arange(80) % 2, 20.0, 0.0)

    reach, falls_short = reach_of_products(*[few] * 9, own)

    assert falls_short == [False] * 9 + [True]
    assert reach[1, 9] == pytest.approx(20.0)
    assert reach[:, 0].tolist() == reach[:, 8].tolist() and reach[1, 0] < 2


@pytest.mark.parametrize(("ties", "beyond"), [(7, 0.02), (5, 0.07)])
def test_equal_scores_are_inside_if_that_is_nearer_to_the_promise(ties: int, beyond: float) -> None:
    # Of 100 rows, 2 are below -3, and 7 or 5 at -2: 2 % or 7 % below are nearest to 5 %.
    scores = np.concatenate([[-9.0, -8], np.full(ties, -2.0), np.linspace(-1, 1, 98 - ties)])

    factors = product_factors(np.zeros(100, dtype=np.intp), scores, np.ones(2), 0.05, 19, 1)

    assert np.mean(scores < -factors[0, 0]) == beyond


def test_the_level_holds_for_products_of_different_shapes() -> None:
    random = np.random.default_rng(5)
    shapes: list[Callable[[int], Floats]] = [
        lambda n: random.normal(size=n),
        lambda n: random.gamma(1, size=n) - 0.7,
        lambda n: 0.7 - random.gamma(1, size=n),
        lambda n: random.uniform(-2, 2, n),
    ]
    inside = []
    for _ in range(20):
        reach, _ = reach_of_products(*[shape(150) for shape in shapes])
        fresh = [shape(4000) for shape in shapes]
        pairs = zip(fresh, *reach)
        inside.append([np.mean((-low <= y) & (y <= high)) for y, low, high in pairs])

    assert np.mean(inside, axis=0) == pytest.approx(np.full(4, 0.9), abs=0.03)


# Against MAPIE


def reach_of_mapie(
    noise: NoiseScale, level: float, estimates: Floats, residuals: Floats, places: Floats
) -> Floats:
    """Return how far the other implementation's intervals reach at some estimates."""
    X = estimates.reshape(-1, 1)
    spread = LinearRegression().fit(X, noise.base_hours + noise.growth * estimates)
    score = ResidualNormalisedScore(residual_estimator=spread, prefit=True, sym=False)
    regressor: Any = SplitConformalRegressor(
        LinearRegression().fit(X, estimates),
        confidence_level=level,
        conformity_score=score,
        prefit=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        regressor.conformalize(X, estimates + residuals)
        _, intervals = regressor.predict_interval(places.reshape(-1, 1))
    reach: Floats = np.abs(intervals[:, :, 0].T - places)
    return reach


@pytest.mark.parametrize(("growth", "level"), [(0.0, 0.5), (0.0, 0.95), (0.1, 0.9)])
@pytest.mark.parametrize("rows", [50, 1010])  # (rows + 1) · level / 2 is not whole for any level
def test_the_intervals_are_those_of_mapie(rows: int, growth: float, level: float) -> None:
    random = np.random.default_rng(rows)
    noise = NoiseScale(0.5, growth, np.ones(1))
    product, estimates = np.zeros(rows, dtype=np.intp), random.uniform(0, 30, rows)
    residuals = (random.gamma(2, size=rows) - 1.7) * noise.of(product, estimates)
    places = np.linspace(0, 30, 7)

    found = calibrate_interval(product, estimates, residuals, noise, level)

    expected = reach_of_mapie(noise, level, estimates, residuals, places)
    np.testing.assert_allclose(found.reach(places, np.ones((2, 7))), expected, rtol=1e-6)


# By counting

PRODUCTS = 4


def draw_week(rows: int, seed: int, base: Floats, growth: float, wrong: float) -> pd.DataFrame:
    """Return orders whose noise has a standard deviation of base[product] + growth · hours.

    A share of the labels is wrong: times ten.
    """
    random = np.random.default_rng(seed)
    product = random.integers(0, PRODUCTS, rows)
    orders = random.integers(0, 321, rows).astype(float)
    hours = 8 + (0.02 + 0.02 * product) * orders
    hours += random.normal(size=rows) * (base[product] + growth * hours)
    hours = np.where(random.random(rows) < wrong, 10 * hours, hours)
    return pd.DataFrame(
        {
            "product_code": [f"SKU{i}" for i in product],
            "orders_placed": orders,
            "hours_to_dispatch": np.maximum(hours, 0),
        }
    )


def is_inside(model: TrainedModel, orders: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows are within the intervals of a model."""
    estimates = model.regressor.predict(features_of(orders))
    product = pd.Index(model.grid.products).get_indexer(pd.Index(orders["product_code"]))
    relative = model.noise.for_intervals.relative[:, product]
    below, above = model.interval.reach(estimates, relative)
    residuals = orders["hours_to_dispatch"].to_numpy() - estimates
    inside: npt.NDArray[np.bool_] = (residuals >= -below) & (residuals <= above)
    return inside


@pytest.mark.parametrize(
    ("base", "growth", "wrong", "level"),
    [
        pytest.param(np.full(PRODUCTS, 0.8), 0.0, 0.0, 0.5, id="constant"),
        pytest.param(np.full(PRODUCTS, 0.1), 0.08, 0.0, 0.9, id="growing"),
        pytest.param(np.geomspace(0.3, 2.4, PRODUCTS), 0.0, 0.0, 0.8, id="by product"),
        pytest.param(np.full(PRODUCTS, 0.8), 0.0, 0.03, 0.95, id="wrong labels"),
    ],
)
def test_the_level_is_the_share_of_fresh_orders_inside(
    base: Floats, growth: float, wrong: float, level: float
) -> None:
    model = train_on(draw_week(2000, 4, base, growth, wrong), level)
    fresh = draw_week(20_000, 5, base, growth, wrong)

    inside = is_inside(model, fresh)

    assert inside.mean() == pytest.approx(level, abs=0.025)
    of_product = pd.Series(inside).groupby(fresh["product_code"]).mean()
    assert of_product.to_numpy() == pytest.approx(np.full(PRODUCTS, level), abs=0.06)
    hours = model.regressor.predict(features_of(fresh))
    for half in (hours < np.median(hours), hours >= np.median(hours)):
        assert inside[half].mean() == pytest.approx(level, abs=0.06)


def with_a_stocked_product(orders: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Return the orders with 60 % of those of one product dispatched at once."""
    at_once = (orders["product_code"] == "SKU0") & (random.random(len(orders)) < 0.6)
    return orders.assign(hours_to_dispatch=orders["hours_to_dispatch"].mask(at_once, 0.0))


def test_a_product_of_two_kinds_of_orders_has_an_honest_interval() -> None:
    random = np.random.default_rng(6)
    week, fresh = (
        with_a_stocked_product(draw_week(rows, seed, np.full(PRODUCTS, 0.8), 0, 0), random)
        for rows, seed in ((2000, 4), (20_000, 5))
    )

    model = train_on(week, 0.9)

    assert model.noise.for_intervals.falls_short.tolist() == [True, False, False, False]
    inside = pd.Series(is_inside(model, fresh)).groupby(fresh["product_code"]).mean()
    # No order can be below an estimate of zero, so only the upper 5 % are outside.
    assert inside["SKU0"] == pytest.approx(0.95, abs=0.02)


def test_many_small_products_hold_the_level() -> None:
    slope_of = {f"SKU{i:03}": 0.03 + i / 5000 for i in range(200)}
    model = train_on(simulate_orders(1600, seed=8, hours_per_order=slope_of), 0.9)
    fresh = simulate_orders(20_000, seed=9, hours_per_order=slope_of)
    known = fresh[fresh["product_code"].isin(model.grid.products)]

    assert is_inside(model, known).mean() == pytest.approx(0.9, abs=0.035)
