"""Products with many rows at one label: told from natural ones, and fitted by the majority."""

import numpy as np
import pytest

from pipeline.curves.kinds import Ties, examine_ties
from pipeline.curves.plan import plan_curves
from pipeline.curves.robust_fit import fit_products
from pipeline.curves.steps import steps_of_products
from pipeline.curves.weighted_fit import LabelledRows
from pipeline.model.arrays import Floats

RANDOM = np.random.default_rng(1)
ORDERS = RANDOM.permutation(np.linspace(0, 320, 200))
NOISE = RANDOM.normal(scale=0.8, size=200)
SLOPE = 0.05
HOURS = np.maximum(SLOPE * ORDERS + NOISE, 0.0)


def rows_of(hours: Floats, orders: Floats = ORDERS) -> LabelledRows:
    """Return rows of a product with these labels, and of an ordinary one."""
    product = np.repeat([0, 1], [len(hours), len(HOURS)])
    return LabelledRows(product, np.append(orders, ORDERS), np.append(hours, HOURS))


def ties_of(hours: Floats, orders: Floats = ORDERS) -> Ties:
    """Return the labels of another kind that such a product has."""
    rows = rows_of(hours, orders)
    steps = steps_of_products(rows.product, rows.hours, 2)
    return examine_ties(rows, steps, np.array([0.0, 320.0])).of_another_kind()


def first_at(count: int, label: float, hours: Floats = HOURS) -> Floats:
    """Return hours of which so many rows, of any number of orders, have a label."""
    return np.where(np.arange(len(hours)) < count, label, hours)


@pytest.mark.parametrize(
    ("hours", "orders", "label"),
    [
        pytest.param(first_at(120, 0.0), ORDERS, 0.0, id="60 % at once"),
        pytest.param(first_at(110, 4.0), ORDERS, 4.0, id="55 % at four hours"),
        pytest.param(first_at(40, 30.0), ORDERS, 30.0, id="a fifth at thirty hours"),
        pytest.param(first_at(20, 30.0), ORDERS, 30.0, id="a tenth"),
        pytest.param(first_at(19, 30.0), ORDERS, None, id="less than a tenth"),
        pytest.param(first_at(10, 30.0)[:20], ORDERS[:20], 30.0, id="twenty rows"),
        pytest.param(first_at(10, 30.0)[:19], ORDERS[:19], None, id="too few rows"),
        pytest.param(first_at(181, 30.0), ORDERS, None, id="nearly all"),
        pytest.param(np.full(200, 4.0), ORDERS, None, id="all"),
        pytest.param(first_at(60, 30.0, first_at(80, 2.5)), ORDERS, 30.0, id="three times more"),
        pytest.param(first_at(59, 30.0, first_at(80, 2.5)), ORDERS, None, id="not three times"),
        pytest.param(HOURS, ORDERS, None, id="none"),
        pytest.param(np.maximum(HOURS - 10, 0), ORDERS, None, id="hours that start late"),
        pytest.param(8 * np.rint(HOURS / 8), ORDERS, None, id="shifts"),
        pytest.param(24 * np.rint(HOURS / 24), ORDERS, None, id="days"),
        pytest.param((10 + NOISE).round(), ORDERS, None, id="whole hours"),
    ],
)
def test_a_label_is_of_another_kind_if_it_is_frequent_and_far_from_the_others(
    hours: Floats, orders: Floats, label: float | None
) -> None:
    ties = ties_of(hours, orders)

    assert ties.hours.tolist() == ([] if label is None else pytest.approx([label]))


@pytest.mark.parametrize(("at_once", "is_label"), [(99, True), (100, True), (101, False)])
def test_the_kind_of_which_there_are_fewer_is_told(at_once: int, is_label: bool) -> None:
    hours = first_at(at_once, 30.0)
    rows = rows_of(hours)

    minority = ties_of(hours).is_minority(rows.product, rows.hours)

    assert minority[:200].tolist() == [(label == 30.0) == is_label for label in hours]
    assert not minority[200:].any()


@pytest.mark.parametrize(
    ("share", "slope", "tolerance"), [(0.45, SLOPE, 0.005), (0.55, 0.0, 1e-5), (0.65, 0.0, 1e-5)]
)
@pytest.mark.parametrize("label", [0.0, 4.0, 12.0])
def test_a_curve_fits_the_kind_of_which_there_are_more(
    share: float, slope: float, tolerance: float, label: float
) -> None:
    rows = rows_of(first_at(round(share * 200), label))

    level, rise = fit_products(rows, plan_curves(rows, segments=1), 2)[0]

    assert rise / 320 == pytest.approx(slope, abs=tolerance)
    assert level == pytest.approx(0.0 if slope else label, abs=0.6 if slope else 1e-5)


@pytest.mark.parametrize("step", [8.0, 12.0, 24.0])
def test_a_curve_through_hours_in_steps_stays_near_them(step: float) -> None:
    hours = step * np.rint(0.1 * ORDERS / step)
    rows = LabelledRows(np.zeros(200, dtype=np.intp), ORDERS, hours)

    plan = plan_curves(rows, segments=8)
    coefficients = fit_products(rows, plan, 1)[0]

    assert coefficients.sum() <= hours.max() + step
    assert np.abs(np.interp(ORDERS, plan.knots, coefficients.cumsum()) - hours).mean() < (step / 4)
