"""The curves per product as a scikit-learn estimator."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from pipeline.curves.estimator import PerProductCurve
from pipeline.model.arrays import Floats
from pipeline.model.order import FEATURES
from pipeline.orders.simulator import HOURS_PER_ORDER, simulate_orders

pytestmark = pytest.mark.slow


def rows(product_code: str, orders_placed: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"product_code": [product_code] * len(orders_placed), "orders_placed": orders_placed}
    )


TWO_PRODUCTS = pd.concat([rows("A", [0, 10, 20, 30, 40]), rows("B", [5, 6, 7, 8, 9])])
TWO_LINES = np.array([1, 2, 3, 4, 5, 10, 12, 14, 16, 18], dtype=float)


def fit(orders: pd.DataFrame, segments: int = 1) -> PerProductCurve:
    return PerProductCurve(segments).fit(orders, orders["hours_to_dispatch"])


def slope(curve: PerProductCurve, product_code: str) -> float:
    """Return the hours per order over the usual range."""
    low, high = curve.predict(rows(product_code, [20, 300]))
    return float((high - low) / 280)


def similar_products(rows_per_product: int, seed: int) -> pd.DataFrame:
    """Return rows of 20 products whose slopes differ little, with a noise of 0.8 h."""
    random = np.random.default_rng(seed)
    product = np.repeat(np.arange(20), rows_per_product)
    orders = random.uniform(0, 320, len(product))
    hours = 2 + random.normal(0.06, 0.015, 20)[product] * orders
    hours = np.maximum(hours + random.normal(scale=0.8, size=len(product)), 0)
    codes = [f"SKU{i:03}" for i in product]
    return pd.DataFrame(
        {"product_code": codes, "orders_placed": orders, "hours_to_dispatch": hours}
    )


def with_rows(
    orders: pd.DataFrame, product_code: str, orders_placed: Floats, hours: Floats
) -> pd.DataFrame:
    own = rows(product_code, orders_placed.tolist()).assign(hours_to_dispatch=hours)
    return pd.concat([orders, own], ignore_index=True)


def congestion(orders: Floats) -> Floats:
    return orders / (1 - orders / 400)


# What is found


def test_points_on_lines_are_fitted_exactly_and_lines_go_on_beyond_them() -> None:
    curve = PerProductCurve(1).fit(TWO_PRODUCTS, TWO_LINES)

    # How near depends on the processor, which may sum in another order: 1e-5 or 7e-5.
    np.testing.assert_allclose(curve.predict(TWO_PRODUCTS), TWO_LINES, rtol=2e-4)
    assert curve.predict(rows("A", [100, 1000])).tolist() == pytest.approx([11, 101], rel=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
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


@pytest.mark.parametrize("segments", [1, 8])
def test_the_truth_of_the_simulator_is_found(segments: int) -> None:
    curve = fit(simulate_orders(20_000, seed=2), segments)

    for code, hours_per_order in HOURS_PER_ORDER.items():
        places = np.linspace(40, 320, 8)
        estimates = curve.predict(rows(code, places.tolist()))
        np.testing.assert_allclose(estimates, hours_per_order * places, atol=0.2)


def test_a_rising_curve_is_found_in_noise() -> None:
    random = np.random.default_rng(3)
    orders = rows("A", random.uniform(0, 360, 4000).tolist())
    truth = 0.05 * congestion(orders["orders_placed"].to_numpy())
    orders["hours_to_dispatch"] = np.maximum(truth + random.normal(scale=0.8, size=4000), 0)

    error = np.abs(fit(orders, segments=8).predict(orders) - truth).mean()

    assert error < 0.3
    assert np.abs(fit(orders).predict(orders) - truth).mean() > 5 * error


def test_categories_give_the_same_curves_as_text_and_those_without_rows_none() -> None:
    categories = pd.CategoricalDtype(["A", "B", "GONE"])
    as_categories = TWO_PRODUCTS.astype({"product_code": categories})

    from_text = PerProductCurve(1).fit(TWO_PRODUCTS, TWO_LINES)
    from_categories = PerProductCurve(1).fit(as_categories, TWO_LINES)

    assert from_categories.products_.tolist() == ["A", "B"]
    for X in (TWO_PRODUCTS, as_categories):
        assert from_categories.predict(X).tolist() == from_text.predict(TWO_PRODUCTS).tolist()


# Few rows lean on the other products


def test_few_rows_are_shrunk_to_the_other_products_and_many_are_not() -> None:
    random = np.random.default_rng(4)
    places = random.uniform(0, 320, 300)
    orders = similar_products(rows_per_product=30, seed=4)
    orders = with_rows(orders, "WILD", np.array([100.0, 101, 102]), np.array([7.0, 8.5, 9.5]))
    orders = with_rows(orders, "STEEP", places, 2 + 0.5 * places + random.normal(size=300))

    curve = fit(orders)

    assert slope(curve, "WILD") == pytest.approx(0.06, abs=0.04)  # its own rows say 1.25
    assert slope(curve, "STEEP") == pytest.approx(0.5, abs=0.005)


def test_rows_that_count_for_next_to_nothing_change_neither_curves_nor_noise() -> None:
    orders = similar_products(rows_per_product=30, seed=3)
    other = orders.assign(hours_to_dispatch=5 + 3 * orders["hours_to_dispatch"])
    both = pd.concat([orders, other, other])
    weights = np.repeat([1.0, 1e-6, 1e-6], len(orders))

    curve = PerProductCurve(1).fit(both, both["hours_to_dispatch"], weights)

    np.testing.assert_allclose(curve.predict(orders), fit(orders).predict(orders), atol=0.01)
    assert np.abs(fit(both).predict(orders) - fit(orders).predict(orders)).min() > 1


@pytest.mark.parametrize(("orders_placed", "segments"), [(200.0, 1), (0.0, 8), (0.1, 8)])
def test_a_product_with_one_order_count_goes_through_its_mean_like_the_others(
    orders_placed: float, segments: int
) -> None:
    hours = 2 + 0.06 * orders_placed + np.array([0.3, -0.3, 0.5, -0.5, 0.1, -0.1, 0.0])
    orders = similar_products(rows_per_product=30, seed=7)

    curve = fit(with_rows(orders, "SAME", np.full(7, orders_placed), hours), segments)

    own = curve.predict(rows("SAME", [orders_placed])).item()
    assert own == pytest.approx(hours.mean(), abs=0.5)
    assert slope(curve, "SAME") == pytest.approx(0.06, abs=0.03)


# Rules that every curve keeps


@pytest.mark.parametrize("segments", [1, 8])
def test_hours_that_fall_as_orders_rise_give_a_level(segments: int) -> None:
    places = np.linspace(0, 320, 200)
    hours = 20 - 0.05 * places + np.random.default_rng(0).normal(size=200)
    orders = similar_products(rows_per_product=50, seed=9)

    curve = fit(with_rows(orders, "FALLS", places, hours), segments)

    estimates = curve.predict(rows("FALLS", [0, 100, 200, 300, 1000]))
    np.testing.assert_allclose(estimates, hours.mean(), atol=1.0)
    assert np.ptp(estimates) < 1e-9


def odd_week(seed: int) -> pd.DataFrame:
    """Return rows in which anything may happen: outliers, few rows, falls, huge numbers."""
    random = np.random.default_rng(seed)
    parts = []
    for code in "ABCDEF"[: random.integers(1, 7)]:
        count = int(random.choice([1, 2, 3, 8, 60]))
        most = random.choice([1.0, 10.0, 320.0, 1e6])
        orders = random.choice([random.uniform(0, most, count), np.full(count, most)])
        line = random.uniform(0, 20) + random.normal(0, 0.1) * orders * 100 / most
        hours = random.choice(
            [
                line + random.normal(size=count),
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


@pytest.mark.parametrize("seed", range(12))
def test_estimates_never_fall_and_are_never_negative(seed: int) -> None:
    orders = odd_week(seed)
    most = orders["orders_placed"].max()
    places = np.unique(np.append(np.linspace(0, 2 * most, 400), [1e6, *orders["orders_placed"]]))

    for segments in (0, 1, 8):
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


def test_coefficients_survive_single_precision() -> None:
    curve = fit(simulate_orders(500, seed=10), segments=8)

    assert (curve.coefficients_ == curve.coefficients_.astype(np.float32)).all()


# The contract


def test_what_cannot_be_done_is_an_error_that_says_so() -> None:
    curve = PerProductCurve(1).fit(TWO_PRODUCTS, TWO_LINES)

    with pytest.raises(ValueError, match="'C'"):
        curve.predict(pd.concat([TWO_PRODUCTS, rows("C", [1.0])]))
    with pytest.raises(NotFittedError):
        clone(curve).predict(TWO_PRODUCTS)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        curve.fit(TWO_PRODUCTS, TWO_LINES[1:])


def test_the_contract_of_scikit_learn_estimators_is_kept() -> None:
    curve = PerProductCurve(segments=4, estimate="mean")

    assert curve.fit(TWO_PRODUCTS, TWO_LINES) is curve
    assert clone(curve).get_params() == {"segments": 4, "estimate": "mean"}
    assert curve.set_params(segments=1).fit(TWO_PRODUCTS, TWO_LINES).knots_.tolist() == [0, 40]
    assert 0.9 < curve.score(TWO_PRODUCTS, TWO_LINES) <= 1.0
    assert curve.feature_names_in_.tolist() == FEATURES
    assert curve.n_features_in_ == len(FEATURES)
