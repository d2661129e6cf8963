"""The per-product line as a scikit-learn estimator."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from pipeline.dispatch_curves import PerProductLine
from pipeline.order_simulator import HOURS_PER_ORDER, simulate_orders


def rows(product_code: str, orders_placed: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"product_code": [product_code] * len(orders_placed), "orders_placed": orders_placed}
    )


TWO_PRODUCTS = pd.concat([rows("A", [0, 10, 20, 30, 40]), rows("B", [5, 6, 7, 8, 9])])
TWO_LINES = np.array([1, 2, 3, 4, 5, 10, 12, 14, 16, 18], dtype=float)


def test_points_on_lines_are_fitted_exactly() -> None:
    line = PerProductLine().fit(TWO_PRODUCTS, TWO_LINES)

    np.testing.assert_allclose(line.slopes_, [0.1, 2.0])
    np.testing.assert_allclose(line.intercepts_, [1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(line.predict(TWO_PRODUCTS), TWO_LINES)


def test_the_fit_is_that_of_least_squares_for_each_product() -> None:
    orders = simulate_orders(500, seed=1)

    line = PerProductLine().fit(orders, orders["hours_to_dispatch"])

    for code, slope, intercept in zip(line.products_, line.slopes_, line.intercepts_):
        own = orders[orders["product_code"] == code]
        expected = np.polyfit(own["orders_placed"], own["hours_to_dispatch"], 1)
        np.testing.assert_allclose([slope, intercept], expected)


def test_the_truth_of_the_simulator_is_found() -> None:
    orders = simulate_orders(20_000, seed=2)

    line = PerProductLine().fit(orders, orders["hours_to_dispatch"])

    assert dict(zip(line.products_, line.slopes_)) == pytest.approx(HOURS_PER_ORDER, abs=0.001)


def test_the_order_of_rows_does_not_matter() -> None:
    orders = simulate_orders(300, seed=3)
    shuffled = orders.sample(frac=1, random_state=0)

    first = PerProductLine().fit(orders, orders["hours_to_dispatch"])
    second = PerProductLine().fit(shuffled, shuffled["hours_to_dispatch"])

    np.testing.assert_allclose(first.slopes_, second.slopes_)


def test_categories_give_the_same_lines_as_text() -> None:
    as_categories = TWO_PRODUCTS.astype({"product_code": "category"})

    line = PerProductLine().fit(as_categories, TWO_LINES)

    np.testing.assert_allclose(line.predict(TWO_PRODUCTS), TWO_LINES)
    np.testing.assert_allclose(line.predict(as_categories), TWO_LINES)


def test_hours_that_fall_as_orders_rise_give_a_slope_of_zero_through_the_mean() -> None:
    line = PerProductLine().fit(TWO_PRODUCTS, np.concatenate([TWO_LINES[:5], TWO_LINES[5:][::-1]]))

    assert line.slopes_[1] == 0.0
    assert line.intercepts_[1] == pytest.approx(14.0)
    assert line.clipped_.tolist() == [False, True]


def test_a_product_with_few_rows_takes_the_common_slope_through_its_mean() -> None:
    X = pd.concat([rows("A", [0, 10, 20, 30, 40]), rows("FEW", [10, 11])])

    line = PerProductLine().fit(X, [1, 2, 3, 4, 5, 3, 30])

    assert line.borrowed_.tolist() == [False, True]
    # The common slope is that of all rows, each measured from the mean of its own product.
    common_slope = (100 + 13.5) / (1000 + 0.5)
    assert line.slopes_[1] == pytest.approx(common_slope)
    assert line.intercepts_[1] + line.slopes_[1] * 10.5 == pytest.approx(16.5)


@pytest.mark.parametrize("orders_placed", [50, 0, 0.1, 123_456.7])
def test_a_product_with_one_order_count_takes_the_common_slope(orders_placed: float) -> None:
    X = pd.concat([rows("A", [0, 10, 20, 30, 40]), rows("SAME", [orders_placed] * 7)])

    line = PerProductLine().fit(X, [1, 2, 3, 4, 5, 7, 8, 9, 7, 8, 9, 8])

    assert line.borrowed_.tolist() == [False, True]
    assert line.slopes_[1] == pytest.approx(0.1)


def test_a_single_product_with_one_order_count_is_flat() -> None:
    line = PerProductLine().fit(rows("A", [5, 5, 5, 5, 5, 5]), [1, 2, 3, 1, 2, 3])

    np.testing.assert_allclose(line.predict(rows("A", [0, 100])), [2.0, 2.0])


def test_estimates_are_never_negative() -> None:
    line = PerProductLine().fit(rows("A", [100, 110, 120, 130, 140]), [0, 10, 20, 30, 40])

    assert line.predict(rows("A", [0, 50, 100, 101])).tolist() == pytest.approx([0, 0, 0, 1])


def test_an_unknown_product_is_an_error_that_names_it() -> None:
    line = PerProductLine().fit(TWO_PRODUCTS, TWO_LINES)

    with pytest.raises(ValueError, match="'C'"):
        line.predict(rows("C", [1.0]))


def test_an_estimator_that_is_not_fitted_says_so() -> None:
    with pytest.raises(NotFittedError):
        PerProductLine().predict(TWO_PRODUCTS)


def test_the_contract_of_scikit_learn_estimators_is_kept() -> None:
    line = PerProductLine(min_rows=7).fit(TWO_PRODUCTS, TWO_LINES)

    assert line.get_params() == {"min_rows": 7}
    assert clone(line).get_params() == {"min_rows": 7}
    assert not hasattr(clone(line), "slopes_")
    assert line.score(TWO_PRODUCTS, TWO_LINES) <= 1.0
    assert line.feature_names_in_.tolist() == ["product_code", "orders_placed"]
