"""Drift since the champion: each measure on both sides of its limit, and silence where all is well.

The champions are those of the tests of the comparison.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from pipeline.model.metadata import DriftMeasure, Histogram
from pipeline.orders.simulator import HOURS_PER_ORDER, simulate_orders
from pipeline.release.drift import (
    COVERAGE,
    COVERAGE_OF_SEEN_ROWS,
    ERROR_RATIO,
    MEANINGS,
    NEW_SHARE,
    ORDERS_STABILITY,
    PRODUCT_STABILITY,
    VANISHED_SHARE,
    drift_warnings,
    measure_drift,
    stability_index,
)
from tests.release.test_champion import (
    LineChampion,
    champion_of,
    compare,
    comparison_with,
    metadata_of,
    sound_week,
    split,
)

pytestmark = pytest.mark.once


def measures_of(
    champion: LineChampion,
    orders: pd.DataFrame,
    champion_error_hours: float | None = 1.0,
    recorded_hours: float = 1.0,
    same_dataset: bool = False,
) -> dict[str, DriftMeasure]:
    """Return the measures by name; all rows of the week stand for its test rows."""
    comparison = comparison_with(
        champion_error_hours=champion_error_hours,
        recorded_hours=recorded_hours,
        same_dataset=same_dataset,
    )
    measures = measure_drift(champion, orders, orders, comparison)
    return {measure.name: measure for measure in measures}


def week_of(rows_by_code: dict[str, int], orders: Sequence[float] = (100.0,)) -> pd.DataFrame:
    """Return a week with so many rows of each product, which take 5 h each."""
    codes = np.repeat(list(rows_by_code), list(rows_by_code.values()))
    return pd.DataFrame(
        {
            "product_code": codes,
            "orders_placed": np.resize(np.array(orders, dtype=float), len(codes)),
            "hours_to_dispatch": 5.0,
        }
    )


def champion_after(orders: pd.DataFrame) -> LineChampion:
    """Return a champion of these orders that says 5 h for everything."""
    lines = {str(code): (5.0, 0.0) for code in orders["product_code"].unique()}
    return LineChampion(metadata_of(orders, error_hours=1.0), lines)


# All together


@pytest.mark.parametrize("seed", range(5))
def test_a_week_like_the_last_breaches_nothing(seed: int) -> None:
    last_week, this_week = sound_week(seed), sound_week(seed + 100)

    measures = measure_drift(
        champion_of(last_week), this_week, split(this_week)[1], compare(last_week, this_week)
    )

    assert [measure.name for measure in measures] == [
        ORDERS_STABILITY,
        PRODUCT_STABILITY,
        NEW_SHARE,
        VANISHED_SHARE,
        ERROR_RATIO,
        COVERAGE,
    ]
    assert not any(measure.breached for measure in measures)
    assert drift_warnings(measures) == []


def test_a_champion_of_other_products_is_measured_as_far_as_possible() -> None:
    champion = champion_after(week_of({"A": 10}, orders=(1.0, 2.0)))

    measures = measures_of(
        champion, week_of({"B": 10}, orders=(1.0, 2.0)), champion_error_hours=None
    )

    assert measures[NEW_SHARE].value == measures[VANISHED_SHARE].value == 1.0
    for name in (PRODUCT_STABILITY, ERROR_RATIO, COVERAGE):
        assert measures[name].value is None
        assert not measures[name].breached
    assert len(drift_warnings(list(measures.values()))) == 2


def test_a_warning_names_value_limit_and_meaning() -> None:
    too_much = DriftMeasure(name=NEW_SHARE, value=0.25, least=None, most=0.1, breached=True)
    too_little = DriftMeasure(name=COVERAGE, value=0.5, least=0.8, most=None, breached=True)
    fine = DriftMeasure(name=ERROR_RATIO, value=1.0, least=None, most=2.0, breached=False)

    assert drift_warnings([too_much, fine, too_little]) == [
        f"Share of rows of new products is 0.25, above 0.1: {MEANINGS[NEW_SHARE]}.",
        "Share of rows inside the intervals of the model in production is 0.5, below 0.8: "
        f"{MEANINGS[COVERAGE]}.",
    ]


# Orders placed


def test_the_stability_index_is_that_of_the_formula() -> None:
    reference, current = np.array([500_000.0, 500_000.0]), np.array([250_000.0, 750_000.0])

    expected = -0.25 * np.log(0.5) + 0.25 * np.log(1.5)

    assert stability_index(reference, current) == pytest.approx(expected, rel=1e-5)
    assert stability_index(reference, 3 * reference) == pytest.approx(0.0, abs=1e-9)


def test_an_empty_group_has_a_finite_index() -> None:
    assert 1.0 < stability_index(np.array([100.0, 0.0]), np.array([0.0, 100.0])) < 20.0


def test_orders_of_the_same_distribution_are_stable_in_every_week() -> None:
    values = []
    for seed in range(200):
        champion = champion_after(sound_week(seed))
        values.append(measures_of(champion, sound_week(seed + 1_000))[ORDERS_STABILITY].value)

    assert all(value is not None and 0 <= value < 0.1 for value in values)


@pytest.mark.parametrize(("factor", "breached"), [(1.05, False), (0.5, True), (10.0, True)])
def test_orders_that_are_spread_otherwise_are_not_stable(factor: float, breached: bool) -> None:
    week = sound_week(2)

    found = measures_of(
        champion_after(sound_week(1)), week.assign(orders_placed=week["orders_placed"] * factor)
    )[ORDERS_STABILITY]

    assert found.most == 0.25
    assert found.breached == breached


def test_weeks_with_few_rows_may_differ_by_chance() -> None:
    breached = 0
    for seed in range(100):
        measures = measures_of(champion_after(sound_week(seed, 50)), sound_week(seed + 1_000, 50))
        assert measures[ORDERS_STABILITY].most == pytest.approx(21.67 * 2 / 50, rel=0.2)
        breached += measures[ORDERS_STABILITY].breached

    assert breached <= 5


def test_orders_that_were_all_the_same_are_compared_with_less_and_more() -> None:
    champion = champion_after(week_of({"A": 500}, orders=(100.0,)))

    same = measures_of(champion, week_of({"A": 500}, orders=(100.0,)))[ORDERS_STABILITY]
    fewer = measures_of(champion, week_of({"A": 500}, orders=(3.0,)))[ORDERS_STABILITY]
    more = measures_of(champion, week_of({"A": 500}, orders=(300.0,)))[ORDERS_STABILITY]

    assert same.value == pytest.approx(0.0)
    assert fewer.breached and more.breached


def test_a_histogram_of_one_bin_measures_nothing() -> None:
    metadata = metadata_of(sound_week(1), 1.0).model_copy(
        update={"orders_placed": Histogram(edges=(0.0, 320.0), counts=(1_000,))}
    )

    measures = measures_of(
        LineChampion(metadata, dict.fromkeys(HOURS_PER_ORDER, (5.0, 0.0))), sound_week(2)
    )

    assert measures[ORDERS_STABILITY].value is None
    assert not measures[ORDERS_STABILITY].breached


# Products


@pytest.mark.parametrize(("new_rows", "breached"), [(0, False), (10, False), (11, True)])
def test_rows_of_new_products_are_counted(new_rows: int, breached: bool) -> None:
    found = measures_of(
        champion_after(week_of({"A": 50})), week_of({"A": 100 - new_rows, "B": new_rows})
    )[NEW_SHARE]

    assert found.value == pytest.approx(new_rows / 100)
    assert found.breached == breached


@pytest.mark.parametrize(("gone_rows", "breached"), [(0, False), (10, False), (11, True)])
def test_rows_of_vanished_products_are_counted(gone_rows: int, breached: bool) -> None:
    found = measures_of(
        champion_after(week_of({"A": 100 - gone_rows, "B": gone_rows})), week_of({"A": 50})
    )[VANISHED_SHARE]

    assert found.value == pytest.approx(gone_rows / 100)
    assert found.breached == breached


@pytest.mark.parametrize(("rows", "breached"), [(500, False), (700, False), (900, True)])
def test_the_shares_of_the_products_are_compared(rows: int, breached: bool) -> None:
    champion = champion_after(week_of({"A": 500, "B": 500, "GONE": 30}))

    found = measures_of(champion, week_of({"A": rows, "B": 1_000 - rows, "NEW": 30}))[
        PRODUCT_STABILITY
    ]

    assert found.breached == breached


def test_many_products_with_few_rows_may_differ_by_chance() -> None:
    slopes = {f"P{i:04}": 0.05 for i in range(500)}

    found = measures_of(
        champion_after(simulate_orders(2_000, 1, slopes)), simulate_orders(2_000, 2, slopes)
    )[PRODUCT_STABILITY]

    assert found.value is not None and found.value > 0.25
    assert found.most is not None and found.most > 0.5
    assert not found.breached


def test_product_codes_may_be_categories() -> None:
    week = sound_week(2)
    champion = champion_of(sound_week(1))
    categories = pd.Categorical(week["product_code"], categories=[*HOURS_PER_ORDER, "UNUSED"])

    assert measures_of(champion, week.assign(product_code=categories)) == measures_of(
        champion, week
    )


# Errors and intervals


@pytest.mark.parametrize(
    ("error", "recorded", "ratio"), [(2.0, 1.0, 2.0), (2.1, 1.0, 2.1), (1e-9, 1e-12, 1e-7)]
)
def test_the_error_is_compared_with_that_of_the_champion_s_own_week(
    error: float, recorded: float, ratio: float
) -> None:
    found = measures_of(champion_of(sound_week(1)), sound_week(2), error, recorded_hours=recorded)[
        ERROR_RATIO
    ]

    assert found.value == pytest.approx(ratio)
    assert found.breached == (ratio > 2)


@pytest.mark.parametrize(("outside", "breached"), [(0, False), (200, False), (201, True)])
def test_rows_inside_the_intervals_are_counted(outside: int, breached: bool) -> None:
    week = week_of({"A": 1_000, "NEW": 9})
    week.loc[: outside - 1, "hours_to_dispatch"] = 50.0

    found = measures_of(champion_after(week_of({"A": 100})), week)[COVERAGE]

    assert found.value == pytest.approx(1 - outside / 1_000)
    assert found.least == pytest.approx(0.8)
    assert found.breached == breached


def test_of_ten_rows_four_may_be_outside_the_intervals_by_chance() -> None:
    week = week_of({"A": 10})
    week.loc[:3, "hours_to_dispatch"] = 50.0

    found = measures_of(champion_after(week_of({"A": 100})), week)[COVERAGE]

    # Of ten trials with a probability of 0.9, fewer than seven succeed in 1.3 % of all cases, and
    # fewer than six in 0.2 %.
    assert found.value == found.least == 0.6
    assert not found.breached


def test_the_champion_s_own_rows_are_no_news() -> None:
    week = sound_week(1)

    measures = measures_of(champion_of(week), week, same_dataset=True)

    assert measures[ERROR_RATIO].value is None
    assert COVERAGE not in measures
    assert measures[COVERAGE_OF_SEEN_ROWS].value == pytest.approx(0.9, abs=0.05)
    assert measures[ORDERS_STABILITY].value == pytest.approx(0.0, abs=1e-9)


def test_every_measure_has_a_meaning() -> None:
    champion = champion_of(sound_week(1))

    for same_dataset in (False, True):
        assert set(measures_of(champion, sound_week(2), same_dataset=same_dataset)) <= set(MEANINGS)
