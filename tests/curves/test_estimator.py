"""The curves per product as a scikit-learn estimator."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from pipeline.curves.estimator import PerProductCurve
from pipeline.model.arrays import Floats
from pipeline.orders.simulator import HOURS_PER_ORDER, simulate_orders

pytestmark = pytest.mark.statistics

SEGMENTS = [0, 1, 8]


def rows(product_code: str, orders_placed: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"product_code": [product_code] * len(orders_placed), "orders_placed": orders_placed}
    )


TWO_PRODUCTS = pd.concat([rows("A", [0, 10, 20, 30, 40]), rows("B", [5, 6, 7, 8, 9])])
TWO_LINES = np.array([1, 2, 3, 4, 5, 10, 12, 14, 16, 18], dtype=float)


def fit(orders: pd.DataFrame, segments: int = 1) -> PerProductCurve:
    return PerProductCurve(segments).fit(orders, orders["hours_to_dispatch"])


def slopes(curve: PerProductCurve) -> dict[str, float]:
    """Return the hours per order of straight lines."""
    per_order = curve.coefficients_[:, 1] / np.diff(curve.knots_)
    return dict(zip(map(str, curve.products_), per_order.tolist()))


def lines_week(
    slope_of: dict[str, float], rows_per_product: int, seed: int, level_hours: float = 2.0
) -> pd.DataFrame:
    """Return as many rows of each product on its line, with a noise of 0.8 h."""
    random = np.random.default_rng(seed)
    codes = np.repeat(np.array(list(slope_of), dtype=object), rows_per_product)
    orders = random.uniform(0, 320, len(codes))
    hours = level_hours + np.repeat(list(slope_of.values()), rows_per_product) * orders
    hours = np.maximum(hours + random.normal(scale=0.8, size=len(codes)), 0)
    return pd.DataFrame(
        {"product_code": codes, "orders_placed": orders, "hours_to_dispatch": hours}
    )


def many_products(count: int, seed: int) -> dict[str, float]:
    """Return slopes that differ little among products."""
    drawn = np.random.default_rng(seed).normal(0.06, 0.015, count)
    return {f"SKU{i:03}": float(slope) for i, slope in enumerate(np.maximum(drawn, 0.01))}


def with_rows(
    orders: pd.DataFrame, product_code: str, orders_placed: list[float], hours: list[float]
) -> pd.DataFrame:
    own = rows(product_code, orders_placed).assign(hours_to_dispatch=hours)
    return pd.concat([orders, own], ignore_index=True)


def congestion(orders: Floats) -> Floats:
    return orders / (1 - orders / 400)


# What is found


def test_points_on_lines_are_fitted_exactly() -> None:
    curve = PerProductCurve(1).fit(TWO_PRODUCTS, TWO_LINES)

    assert slopes(curve) == pytest.approx({"A": 0.1, "B": 2.0}, rel=1e-3)
    # How near depends on the processor, which may sum in another order: 1e-5 or 7e-5.
    np.testing.assert_allclose(curve.predict(TWO_PRODUCTS), TWO_LINES, rtol=2e-4)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_points_on_piecewise_curves_are_fitted_exactly(scale: float) -> None:
    random = np.random.default_rng(1)
    X = pd.concat([rows(code, random.uniform(0, 320, 400).tolist()) for code in "ABCD"])
    first = PerProductCurve(8).fit(X, congestion(X["orders_placed"].to_numpy()))
    # A curve with the very knots that the estimator places.
    y = scale * first.predict(X) * X["product_code"].map({"A": 1, "B": 2, "C": 3, "D": 5})
    again = PerProductCurve(8).fit(X, y)

    assert len(first.knots_) == 9
    error = np.abs(again.predict(X) - y).mean()
    assert error < 0.01 * np.abs(PerProductCurve(1).fit(X, y).predict(X) - y).mean()
    assert error < 2e-3 * y.mean()


def test_without_segments_the_estimate_is_the_mean_of_the_product() -> None:
    random = np.random.default_rng(2)
    orders = pd.concat([rows(code, random.uniform(0, 320, 2000).tolist()) for code in "AB"])
    orders["hours_to_dispatch"] = np.repeat([5.0, 20.0], 2000) + random.normal(size=4000)

    estimates = fit(orders, segments=0).predict(orders)

    means = orders.groupby("product_code")["hours_to_dispatch"].transform("mean")
    np.testing.assert_allclose(estimates, means, atol=0.02)


def test_many_clean_rows_give_nearly_the_lines_of_least_squares() -> None:
    orders = lines_week(dict(HOURS_PER_ORDER), 1000, seed=1)

    curve = fit(orders)

    for code in HOURS_PER_ORDER:
        own = orders[orders["product_code"] == code]
        slope, intercept = np.polyfit(own["orders_placed"], own["hours_to_dispatch"], 1)
        expected = intercept + slope * np.array([0.0, 160, 320])
        np.testing.assert_allclose(curve.predict(rows(code, [0, 160, 320])), expected, atol=0.06)


@pytest.mark.parametrize("segments", [1, 8])
def test_the_truth_of_the_simulator_is_found(segments: int) -> None:
    orders = simulate_orders(20_000, seed=2)

    curve = fit(orders, segments)

    for code, slope in HOURS_PER_ORDER.items():
        places = np.linspace(40, 320, 8)
        estimates = curve.predict(rows(code, places.tolist()))
        np.testing.assert_allclose(estimates, slope * places, atol=0.2)


def test_a_rising_curve_is_found_in_noise() -> None:
    random = np.random.default_rng(3)
    orders = rows("A", random.uniform(0, 360, 4000).tolist())
    truth = 0.05 * congestion(orders["orders_placed"].to_numpy())
    orders["hours_to_dispatch"] = np.maximum(truth + random.normal(scale=0.8, size=4000), 0)

    error = np.abs(fit(orders, segments=8).predict(orders) - truth).mean()

    assert error < 0.3
    assert np.abs(fit(orders).predict(orders) - truth).mean() > 5 * error


@pytest.mark.parametrize("segments", SEGMENTS)
def test_the_order_of_rows_does_not_matter(segments: int) -> None:
    orders = simulate_orders(300, seed=3)
    shuffled = orders.sample(frac=1, random_state=0)

    first, second = fit(orders, segments), fit(shuffled, segments)

    np.testing.assert_allclose(first.predict(orders), second.predict(orders), rtol=2e-3)


@pytest.mark.parametrize("segments", SEGMENTS)
def test_categories_give_the_same_curves_as_text(segments: int) -> None:
    as_categories = TWO_PRODUCTS.astype({"product_code": "category"})

    from_text = PerProductCurve(segments).fit(TWO_PRODUCTS, TWO_LINES)
    from_categories = PerProductCurve(segments).fit(as_categories, TWO_LINES)

    assert from_categories.products_.tolist() == ["A", "B"]
    for X in (TWO_PRODUCTS, as_categories):
        assert from_categories.predict(X).tolist() == from_text.predict(TWO_PRODUCTS).tolist()


def test_categories_without_rows_are_not_products() -> None:
    categories = pd.CategoricalDtype(["A", "B", "GONE"])

    curve = PerProductCurve(1).fit(TWO_PRODUCTS.astype({"product_code": categories}), TWO_LINES)

    assert curve.products_.tolist() == ["A", "B"]


# Few rows lean on the other products


def test_a_product_with_three_wild_rows_gets_a_slope_near_the_others() -> None:
    orders = lines_week(many_products(20, seed=4), rows_per_product=30, seed=4)

    curve = fit(with_rows(orders, "WILD", [100, 101, 102], [7.0, 8.5, 9.5]))

    assert slopes(curve)["WILD"] == pytest.approx(0.06, abs=0.03)  # its own rows say 1.25


def test_a_product_with_many_rows_keeps_its_own_slope() -> None:
    orders = lines_week(many_products(20, seed=5), rows_per_product=30, seed=5)
    steep = lines_week({"STEEP": 0.5}, rows_per_product=300, seed=6)

    curve = fit(pd.concat([orders, steep]))

    assert slopes(curve)["STEEP"] == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("orders_placed", [200.0, 0.0, 0.1])
@pytest.mark.parametrize("segments", [1, 8])
def test_a_product_with_one_order_count_goes_through_its_mean_like_the_others(
    orders_placed: float, segments: int
) -> None:
    orders = lines_week(many_products(20, seed=7), rows_per_product=30, seed=7)
    hours = 2 + 0.06 * orders_placed + np.array([0.3, -0.3, 0.5, -0.5, 0.1, -0.1, 0.0])

    curve = fit(with_rows(orders, "SAME", [orders_placed] * 7, hours.tolist()), segments)

    low, own, high = curve.predict(rows("SAME", [20, orders_placed, 300]))
    assert own == pytest.approx(hours.mean(), abs=0.5)
    assert (high - low) / 280 == pytest.approx(0.06, abs=0.03)


def test_the_estimates_of_small_products_beat_lines_of_their_own() -> None:
    slope_of = many_products(300, seed=8)
    orders = lines_week(slope_of, rows_per_product=4, seed=8)
    curve = fit(orders)
    errors, own_errors = [], []
    for code, slope in slope_of.items():
        own = orders[orders["product_code"] == code]
        line = np.polyfit(own["orders_placed"], own["hours_to_dispatch"], 1)
        places = np.array([0.0, 80, 160, 240, 320])
        errors.append(curve.predict(rows(code, places.tolist())) - (2 + slope * places))
        own_errors.append(np.polyval(line, places) - (2 + slope * places))

    assert np.abs(errors).mean() < 0.6 * np.abs(own_errors).mean()


@pytest.mark.parametrize("segments", [1, 8])
def test_a_single_product_with_one_order_count_is_flat(segments: int) -> None:
    curve = PerProductCurve(segments).fit(rows("A", [5, 5, 5, 5, 5, 5]), [1, 2, 3, 1, 2, 3])

    np.testing.assert_allclose(curve.predict(rows("A", [0, 5, 100])), [2.0, 2.0, 2.0])


# Rules that every curve keeps


@pytest.mark.parametrize("segments", [1, 8])
def test_hours_that_fall_as_orders_rise_give_a_level(segments: int) -> None:
    orders = lines_week(many_products(5, seed=9), rows_per_product=50, seed=9)
    places = np.linspace(0, 320, 200)
    hours = 20 - 0.05 * places + np.random.default_rng(0).normal(size=200)

    curve = fit(with_rows(orders, "FALLS", places.tolist(), hours.tolist()), segments)

    estimates = curve.predict(rows("FALLS", [0, 100, 200, 300, 1000]))
    np.testing.assert_allclose(estimates, hours.mean(), atol=1.0)
    assert np.ptp(estimates) < 1e-9
    assert curve.coefficients_[0, 1:].sum() == 0.0  # FALLS comes first


def odd_week(seed: int) -> pd.DataFrame:
    """Return rows in which anything may happen: outliers, few rows, falls, huge numbers."""
    random = np.random.default_rng(seed)
    parts = []
    for code in "ABCDEF"[: random.integers(1, 7)]:
        count = int(random.choice([1, 2, 3, 8, 60]))
        most = random.choice([1.0, 10.0, 320.0, 1e6])
        orders = random.choice([random.uniform(0, most, count), np.full(count, most)])
        slope, level = random.normal(0, 0.1), random.uniform(0, 20)
        hours = random.choice(
            [
                level + slope * orders * 100 / most + random.normal(size=count),
                random.lognormal(1, 2, count),
                congestion(np.minimum(orders, 399)) * 0.05,
                np.zeros(count),
            ]
        )
        hours = np.where(random.random(count) < 0.1, 10 * hours, hours)
        parts.append(
            rows(code, orders.tolist()).assign(hours_to_dispatch=np.clip(hours, 0, 100_000))
        )
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("seed", range(60))
def test_estimates_never_fall_and_are_never_negative(seed: int) -> None:
    orders = odd_week(seed)
    most = orders["orders_placed"].max()
    places = np.unique(np.append(np.linspace(0, 2 * most, 400), [1e6, *orders["orders_placed"]]))

    for segments in SEGMENTS:
        curve = fit(orders, segments)
        for code in curve.products_:
            estimates = curve.predict(rows(code, places.tolist()))
            assert np.isfinite(estimates).all()
            assert estimates.min() >= 0
            assert np.diff(estimates).min() >= -1e-9 * max(estimates.max(), 1)


def test_estimates_are_never_negative_below_the_orders_seen() -> None:
    curve = PerProductCurve(1).fit(rows("A", [100, 110, 120, 130, 140]), [0, 10, 20, 30, 40])

    estimates = curve.predict(rows("A", [0, 50, 99, 110]))

    assert estimates.tolist() == pytest.approx([0, 0, 0, 10], abs=1e-3)


def test_curves_go_straight_on_beyond_the_orders_seen() -> None:
    curve = PerProductCurve(1).fit(TWO_PRODUCTS, TWO_LINES)

    assert curve.predict(rows("A", [100, 1000])).tolist() == pytest.approx([11, 101], rel=1e-4)


@pytest.mark.parametrize("segments", SEGMENTS)
def test_coefficients_survive_single_precision(segments: int) -> None:
    curve = fit(simulate_orders(500, seed=10), segments)

    assert (curve.coefficients_ == curve.coefficients_.astype(np.float32)).all()
    assert (curve.coefficients_[:, 1:] >= 0).all()


# The contract


@pytest.mark.parametrize("segments", SEGMENTS)
def test_an_unknown_product_is_an_error_that_names_it(segments: int) -> None:
    curve = PerProductCurve(segments).fit(TWO_PRODUCTS, TWO_LINES)

    with pytest.raises(ValueError, match="'C'"):
        curve.predict(pd.concat([TWO_PRODUCTS, rows("C", [1.0])]))


def test_an_estimator_that_is_not_fitted_says_so() -> None:
    with pytest.raises(NotFittedError):
        PerProductCurve().predict(TWO_PRODUCTS)


def test_rows_and_labels_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        PerProductCurve().fit(TWO_PRODUCTS, TWO_LINES[1:])


def test_the_contract_of_scikit_learn_estimators_is_kept() -> None:
    curve = PerProductCurve(segments=4)

    assert curve.fit(TWO_PRODUCTS, TWO_LINES) is curve
    assert curve.get_params() == {"segments": 4}
    assert clone(curve).get_params() == {"segments": 4}
    assert not hasattr(clone(curve), "coefficients_")
    assert curve.set_params(segments=1).fit(TWO_PRODUCTS, TWO_LINES).knots_.tolist() == [0, 40]
    assert 0.9 < curve.score(TWO_PRODUCTS, TWO_LINES) <= 1.0
    assert curve.feature_names_in_.tolist() == ["product_code", "orders_placed"]
    assert curve.n_features_in_ == 2
