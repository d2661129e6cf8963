"""Intervals that hold in the week after the one that they were learnt from."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from pipeline.model.arrays import Floats
from pipeline.model.metadata import PredictionInterval, WeekAfter
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.model.reader import DispatchModel
from pipeline.release.next_week import (
    MAX_MOVEMENT,
    QUANTILES,
    allow_for_movement,
    observe_week_after,
    weeks_after,
)
from tests.support.builders import comparison, dataset, metadata, model

ESTIMATE = 10.0
PRODUCT_CODE = "SKU001"


def champion() -> DispatchModel:
    """Return a model that says ten hours whatever is ordered, give or take one."""
    return model(
        lines={PRODUCT_CODE: (ESTIMATE, 0.0)},
        interval={
            "lower_multiple": 1.0,
            "upper_multiple": 1.0,
            "noise_base_hours": 1.0,
            "noise_growth": 0.0,
        },
    )


def week(hours: Sequence[float] | Floats, product_code: str = PRODUCT_CODE) -> pd.DataFrame:
    """Return orders that took so many hours."""
    return pd.DataFrame({PRODUCT: product_code, ORDERS: 10.0, HOURS: hours})


def observed(orders: pd.DataFrame, **facts: object) -> WeekAfter | None:
    """Return what a week says of the champion."""
    return observe_week_after(champion(), dataset(orders), comparison(**facts))


def after(movement: float, level: float = 0.9, products: float = 1e6) -> WeekAfter:
    """Return a week all of whose rows need such a movement."""
    return WeekAfter(level=level, rows=100, products=products, movements=(movement,) * QUANTILES)


def interval() -> PredictionInterval:
    """Return an interval that allows for no movement."""
    return metadata().interval


@pytest.mark.parametrize(
    ("hours", "movement"),
    [
        (ESTIMATE + 1.0, 0.0),  # at the end of the interval
        (ESTIMATE + np.hypot(1.0, 2.0), 0.2),
        (ESTIMATE - np.hypot(1.0, 2.0), 0.2),
        (ESTIMATE + 100.0, MAX_MOVEMENT),
    ],
)
def test_a_row_needs_the_movement_that_brings_it_to_the_end_of_the_interval(
    hours: float, movement: float
) -> None:
    found = observed(week([hours] * 5))

    assert found is not None
    assert (found.rows, found.products) == (5, 1.0)
    assert set(found.movements) == {movement}


@pytest.mark.parametrize(
    ("orders", "facts"),
    [
        (week([9.0]), {"same_dataset": True}),
        (week([9.0], "SKU009"), {}),
        (week([9.0]).assign(**{ORDERS: 1e6}), {}),
        (week([9.0]), {"champion_recorded_error_hours": 0.01, "challenger_error_hours": 1.0}),
    ],
    ids=["its own week", "a product unknown to it", "more orders than ever", "computed labels"],
)
def test_a_week_may_say_nothing(orders: pd.DataFrame, facts: dict[str, object]) -> None:
    assert observed(orders, **facts) is None


def test_the_first_model_cannot_know() -> None:
    assert allow_for_movement(interval(), ()) == interval()


def test_the_interval_holds_in_weeks_that_move_as_the_last_ones_did() -> None:
    rng = np.random.default_rng(1)
    moved = [week(rng.normal(rng.normal(ESTIMATE, 2.0), 0.6, size=200)) for _ in range(260)]
    own = champion().metadata.interval

    wide = allow_for_movement(own, [after for each in moved[:60] if (after := observed(each))])

    def share_inside(interval: PredictionInterval) -> float:
        below, above = interval.reach(np.array([ESTIMATE]), np.ones((2, 1)))
        distances = pd.concat(moved[60:])[HOURS] - ESTIMATE
        return float(distances.between(-below[0], above[0]).mean())

    assert share_inside(own) < 0.5
    assert share_inside(wide) == pytest.approx(0.9, abs=0.05)


def test_newer_weeks_weigh_more_and_those_of_another_level_nothing() -> None:
    # Of 20 equal weeks, one in ten has less than the share of one that is beyond 90 %.
    newest_two, oldest_two = ([*[after(0.1)] * 18, *[after(0.3)] * 2][::step] for step in (1, -1))

    assert allow_for_movement(interval(), newest_two).movement == pytest.approx(0.3)
    assert allow_for_movement(interval(), oldest_two).movement == pytest.approx(0.1)
    mixed = allow_for_movement(interval(), [after(0.9, level=0.5), after(0.1)])
    assert mixed.movement == pytest.approx(0.1)
    assert mixed.weeks_after == 1


def test_few_products_tell_a_movement_less_well_and_never_more_than_the_most() -> None:
    movements = [
        allow_for_movement(interval(), [after(movement, products=products)]).movement
        for movement, products in [(0.1, 1.0), (0.1, 5.0), (0.1, 1e6), (0.5, 1.0)]
    ]

    assert movements == pytest.approx([0.3839, 0.1225, 0.1, MAX_MOVEMENT], abs=1e-4)


def test_models_that_people_went_back_from_say_nothing() -> None:
    in_production = champion()
    trained_at = in_production.metadata.trained_at
    history = [
        model(week_after=after(0.1), trained_at=trained_at - timedelta(weeks=1)),
        in_production,
        model(week_after=after(0.2), trained_at=trained_at + timedelta(weeks=1)),
    ]

    found = weeks_after(history, in_production, after(0.3))

    assert [each.movements[0] for each in found] == [0.1, 0.3]
