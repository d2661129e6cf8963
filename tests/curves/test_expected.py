"""How curves of expected hours differ from the robust ones."""

import numpy as np
import pandas as pd
import pytest

from pipeline.curves.estimator import PerProductCurve
from pipeline.curves.expected import expected_coefficients, plan_biases
from pipeline.curves.noise import estimate_noise
from pipeline.curves.segments import Positions, locate
from pipeline.curves.weighted_fit import PlacedRows
from pipeline.model.arrays import Floats
from pipeline.model.order import HOURS

ESTIMATE = 10.0


def late_orders(rows: dict[str, int], late_share: float = 0.05, seed: int = 1) -> pd.DataFrame:
    """Return orders of 4 h and more with a noise of 0.5 h, a share of which is 12 h late."""
    random = np.random.default_rng(seed)
    product = np.repeat(list(rows), list(rows.values())).astype(object)
    orders = random.uniform(0, 100, len(product))
    hours = 4 + 0.1 * orders + random.normal(0, 0.5, len(product))
    hours += 12 * (random.random(len(product)) < late_share)
    return pd.DataFrame({"product_code": product, "orders_placed": orders, HOURS: hours})


def bias(orders: pd.DataFrame, estimate: str, fresh: pd.DataFrame) -> float:
    curve = PerProductCurve(1, estimate).fit(orders, orders[HOURS])
    return float((fresh[HOURS] - curve.predict(fresh)).mean())


def level(hours: list[float]) -> float:
    """Return what becomes of a level of 10 h for 200 exact-looking rows and these labels."""
    usual = ESTIMATE + np.random.default_rng(1).normal(0, 0.5, 200)
    labels = np.concatenate([usual - usual.mean() + ESTIMATE, hours])
    product = np.zeros(len(labels), dtype=np.intp)
    robust: Floats = np.array([[ESTIMATE]])
    expected = expected_of(robust, product, labels, np.full(len(labels), ESTIMATE))
    return float(expected[0, 0])


def expected_of(robust: Floats, product: Positions, hours: Floats, estimates: Floats) -> Floats:
    """Return the expected curves that all rows tell of."""
    located = locate(np.zeros(1), product, np.zeros(len(hours)), len(robust))
    rows = PlacedRows(product, hours, np.zeros(len(hours)), located)
    noise = estimate_noise(product, estimates, hours - estimates, len(robust))
    biases = plan_biases(rows, estimates, noise)
    return expected_coefficients(robust, rows, estimates, noise, biases)


def test_late_orders_are_in_the_mean_and_not_in_typical_hours() -> None:
    week, fresh = late_orders({"A": 3000, "B": 3000}), late_orders({"A": 3000, "B": 3000}, seed=2)

    # 5 % of 12 h
    assert bias(week, "typical", fresh) == pytest.approx(0.6, abs=0.1)
    assert bias(week, "mean", fresh) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(("late", "moved"), [(49.9, 39.9 / 201), (50.1, 0.0), (100.0, 0.0)])
def test_a_label_of_more_than_five_times_the_estimate_is_taken_for_mis_keyed(
    late: float, moved: float
) -> None:
    assert level([late]) == pytest.approx(ESTIMATE + moved, abs=1e-3)


def test_a_product_with_few_rows_is_shrunk_to_the_bias_of_all() -> None:
    lagging = late_orders({"OFTEN": 2000, "FEW": 3}, late_share=0.2)
    week = pd.concat([late_orders({"NEVER": 2000}, late_share=0.0), lagging])
    at = pd.DataFrame({"product_code": ["NEVER", "OFTEN", "FEW"], "orders_placed": 50.0})

    typical, mean = (
        PerProductCurve(1, estimate).fit(week, week[HOURS]).predict(at)
        for estimate in ("typical", "mean")
    )
    never, often, few = mean - typical
    assert never == pytest.approx(0, abs=0.1)
    assert often == pytest.approx(2.4, abs=0.4)
    assert never < few < often


def test_no_rise_becomes_negative_and_products_without_rows_have_the_bias_of_all() -> None:
    product = np.repeat([0, 1], 100)
    estimates = np.tile(np.linspace(1, 100, 100), 2)
    hours = estimates * (0.2 + 0.001 * np.tile([1, -1], 100))
    robust = np.tile([1.0, 99.0], (3, 1))

    expected = expected_of(robust, product, hours, estimates)

    assert (expected[:, 1:] >= 0).all()
    assert (expected[:, 1] < 99).all() and np.isfinite(expected).all()
