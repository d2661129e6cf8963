"""Labels that are cut off or all the same, and sound ones that are not."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.orders.simulator import simulate_orders
from pipeline.release.labels import (
    find_constant_products,
    first_week_warnings,
    most_above_largest,
    share_above_largest,
)
from pipeline.training.fitting import train_on
from tests.support.builders import comparison, metadata, model

Change = Callable[[pd.DataFrame], pd.DataFrame]


def in_steps(step: float) -> Change:
    return lambda week: week.assign(**{HOURS: step * (week[HOURS] / step).round()})


def share_of(week: pd.DataFrame) -> float:
    return share_above_largest(week[HOURS], train_on(week, interval_level=0.9).noise)


@pytest.mark.parametrize(
    "sound",
    [lambda week: week, lambda week: week.head(60), in_steps(1.0), in_steps(8.0)],
    ids=["as they are", "few", "whole hours", "shifts"],
)
def test_sound_labels_have_about_one_row_above_the_largest(sound: Change) -> None:
    week = sound(simulate_orders(1_000, seed=1))

    assert share_of(week) < 0.5 * most_above_largest(len(week))


@pytest.mark.parametrize(
    "damage",
    [
        lambda week: week[week[HOURS] <= 10],
        lambda week: week.assign(**{HOURS: week[HOURS].clip(upper=12)}),
        lambda week: in_steps(1.0)(week.assign(**{HOURS: week[HOURS].clip(upper=12)})),
    ],
    ids=["late orders missing", "a cap", "a cap of whole hours"],
)
def test_labels_that_are_cut_off_have_many(damage: Change) -> None:
    week = damage(simulate_orders(1_000, seed=1))

    assert share_of(week) > 1.2 * most_above_largest(len(week))


@pytest.mark.parametrize(
    ("rows", "most"), [(100, 0.1), (1_000, 0.01), (2_000, 0.005), (10_000_000, 0.005)]
)
def test_chance_explains_ten_rows_and_misfit_a_share(rows: int, most: float) -> None:
    assert most_above_largest(rows) == pytest.approx(most)


@pytest.mark.parametrize("share", [None, 0.0099, 0.0101])
def test_a_first_week_that_is_cut_off_is_warned_of(share: float | None) -> None:
    first = metadata(share_above_largest=share, dataset={"rows": 1_000})
    later = first.model_copy(update={"comparison": comparison()})

    assert len(first_week_warnings(first)) == (share == 0.0101)
    assert first_week_warnings(later) == []


@pytest.mark.parametrize(
    ("code", "rows", "same", "span", "found"),
    [
        ("SKU001", 20, 19, 100, True),
        ("SKU001", 20, 18, 100, False),
        ("SKU001", 19, 19, 100, False),
        ("SKU001", 20, 20, 30, False),  # the champion's hours rise by 1.65, its interval has 2
        ("SKU001", 20, 20, 60, True),
        ("NEW", 20, 20, 100, False),
    ],
)
def test_products_with_one_label_are_found_where_hours_used_to_rise(
    code: str, rows: int, same: int, span: int, found: bool
) -> None:
    champion = model(interval={"multiple": 1, "noise_base_hours": 1, "noise_growth": 0})
    hours = np.where(np.arange(rows) < same, 5.0, 6.0)
    orders = pd.DataFrame({PRODUCT: code, ORDERS: np.linspace(50, 50 + span, rows), HOURS: hours})

    assert find_constant_products(champion, orders).codes == (code,) * found


@pytest.mark.parametrize(("step", "found"), [(1.2, True), (1.4, False)])
def test_hours_that_rise_by_less_than_a_step_may_all_be_rounded_to_one_label(
    step: float, found: bool
) -> None:
    champion = model(
        interval={"multiple": 1, "noise_base_hours": 1, "noise_growth": 0},
        dataset={"step_hours": step},
    )
    orders = pd.DataFrame({PRODUCT: "SKU001", ORDERS: np.linspace(50, 110, 20), HOURS: 5.0})

    assert bool(find_constant_products(champion, orders).codes) == found
