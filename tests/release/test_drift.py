"""Drift since the champion: each measure on both sides of its limit, silence where all is well."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from pipeline.model.metadata import COVERAGE, DriftMeasure, Failure
from pipeline.orders.simulator import simulate_orders
from pipeline.orders.week_rows import WeekRows
from pipeline.release.catalogue import compare_catalogues
from pipeline.release.drift import (
    ABOVE_LARGEST,
    CONSTANT_SHARE,
    COVERAGE_OF_SEEN_ROWS,
    ERROR_GROWTH,
    ERROR_RATIO,
    NEW_SHARE,
    ORDERS_STABILITY,
    OUTSIDE_RANGE,
    PRODUCT_STABILITY,
    ROWS_RATIO,
    VANISHED_SHARE,
    Week,
    measure_drift,
)
from pipeline.release.drift_rules import MEANINGS, drift_failures, drift_warnings
from pipeline.release.stability import stability_index
from tests.support.builders import KEPT, LineModel, comparison, metadata_of

pytestmark = pytest.mark.slow


def champion_of(orders: pd.DataFrame, **changes: object) -> LineModel:
    """Return a champion of these orders that says 5 h for everything."""
    metadata = metadata_of(orders, **changes)
    lines = dict.fromkeys(metadata.catalogue.product_code, (5.0, 0.0))
    return LineModel("champion", metadata, lines)


def week_of(rows_by_code: Mapping[str, int], orders: float = 100.0) -> pd.DataFrame:
    """Return a week with so many rows of each product, which take 5 h each."""
    codes = np.repeat(list(rows_by_code), list(rows_by_code.values()))
    return pd.DataFrame({"product_code": codes, "orders_placed": orders, "hours_to_dispatch": 5.0})


def measure(
    champion: pd.DataFrame | LineModel,
    orders: pd.DataFrame,
    above_largest: float = 0.0,
    **changes: object,
) -> dict[str, DriftMeasure]:
    """Return the measures by name; all rows of the week stand for its test rows.

    Args:
        champion: the champion, or the week that it was trained on.
        orders: of this week.
        above_largest: share of rows that should have a label above the largest one.
        changes: of the comparison.
    """
    if isinstance(champion, pd.DataFrame):
        champion = champion_of(champion)
    rows = WeekRows.of(orders).products["rows"]
    change = compare_catalogues(champion, rows, frozenset())
    week = Week(rows, orders["orders_placed"].to_numpy(dtype=float), orders, above_largest)
    measures = measure_drift(champion, week, comparison(**changes), change)
    return {measure.name: measure for measure in measures}


# All together


def test_a_champion_of_other_products_is_measured_as_far_as_possible() -> None:
    measures = measure(week_of({"A": 10}), week_of({"B": 10}), champion_error_hours=None)

    assert list(measures) == [
        ROWS_RATIO,
        ORDERS_STABILITY,
        OUTSIDE_RANGE,
        PRODUCT_STABILITY,
        NEW_SHARE,
        VANISHED_SHARE,
        ERROR_RATIO,
        ERROR_GROWTH,
        COVERAGE,
        ABOVE_LARGEST,
        CONSTANT_SHARE,
    ]
    assert measures[NEW_SHARE].value == measures[VANISHED_SHARE].value == 1.0
    for name in (PRODUCT_STABILITY, ERROR_RATIO, COVERAGE):
        assert measures[name].value is None
        assert not measures[name].breached
    assert len(drift_warnings(list(measures.values()))) == 2


def test_a_product_that_the_champion_kept_has_neither_vanished_nor_is_it_new() -> None:
    champion = champion_of(
        week_of({"A": 90, "AWAY": 30, "BACK": 30}),
        earlier_weeks=[KEPT | {"product_code": ["AWAY", "BACK"]}],
    )

    measures = measure(champion, week_of({"A": 90, "BACK": 10}))

    assert measures[NEW_SHARE].value == measures[VANISHED_SHARE].value == 0.0
    assert measures[PRODUCT_STABILITY].value is None  # A alone had orders in both weeks


def test_a_warning_names_value_limit_and_meaning() -> None:
    too_much = DriftMeasure(name=NEW_SHARE, value=0.25, least=None, most=0.1, breached=True)
    too_little = DriftMeasure(name=COVERAGE, value=0.5, least=0.8, most=None, breached=True)
    fine = DriftMeasure(name=ERROR_RATIO, value=1.0, least=None, most=2.0, breached=False)

    assert drift_warnings([too_much, fine, too_little]) == [
        f"Share of rows of new products is 0.25, above 0.1: {MEANINGS[NEW_SHARE].words}.",
        "Share of rows inside the intervals of the model in production is 0.5, below 0.8: "
        f"{MEANINGS[COVERAGE].words}.",
    ]


def test_far_drift_is_refused_with_its_limit_its_meaning_and_its_products() -> None:
    near = measure_of(0.03)
    far = measure_of(0.3)

    assert drift_failures([near, measure_of(None)], "warn") == []
    assert drift_failures([near, far], "warn") == [
        Failure(
            rule="drift_constant",
            summary="this week is unlike the last: share of rows of products with one label "
            "whose hours used to rise is 0.3, above 0.05",
            value=0.3,
            limit=0.05,
            details=(f"It may be that {MEANINGS[CONSTANT_SHARE].words}. Products: 'A'.",),
            remedy="If the week really was like that, --accept-shift publishes the new model.",
        )
    ]


def test_every_refusal_fits_into_a_headline() -> None:
    week = week_of({"A": 10})
    measures = [
        each.model_copy(update={"value": 12.345, "most": 0.0123, "breached": True})
        for each in measure(week, week).values()
    ]

    summaries = [failure.summary for failure in drift_failures(measures, "fail")]

    assert len(summaries) == 11
    assert max(map(len, summaries)) <= 130


def test_all_drift_is_refused_if_people_want_that() -> None:
    fine, near, far = measure_of(0.0), measure_of(0.03), measure_of(0.3)

    first, second = drift_failures([fine, near, far], "fail")

    assert first.summary.endswith("is 0.03, above 0")
    assert first.remedy is not None and "--on-drift warn publishes with a warning" in first.remedy
    assert second.limit == 0.05


def measure_of(share: float | None) -> DriftMeasure:
    return DriftMeasure(
        name=CONSTANT_SHARE,
        value=share,
        least=None,
        most=0.0,
        breached=bool(share),
        refused_above=0.05,
        product_code=("A",),
    )


@pytest.mark.parametrize("same_dataset", [False, True])
def test_every_measure_has_a_meaning(same_dataset: bool) -> None:
    week = week_of({"A": 10})

    assert set(measure(week, week, same_dataset=same_dataset)) <= set(MEANINGS)


# Rows


@pytest.mark.parametrize(
    ("rows", "breach"),
    [(333, "below 0.5"), (499, "below 0.5"), (500, ""), (2_500, ""), (2_510, "above 2.5")],
)
def test_a_part_of_a_week_and_one_that_came_several_times_are_seen(rows: int, breach: str) -> None:
    found = measure(week_of({"A": 1_000}), week_of({"A": rows}))[ROWS_RATIO]

    assert found.value == pytest.approx(rows / 1_000)
    warnings = [f"{ROWS_RATIO} is {rows / 1_000:.3g}, {breach}: {MEANINGS[ROWS_RATIO].words}."]
    assert drift_warnings([found]) == warnings * bool(breach)


# Orders placed


def test_the_stability_index_is_that_of_the_formula() -> None:
    reference, current = np.array([500_000.0, 500_000.0]), np.array([250_000.0, 750_000.0])

    expected = -0.25 * np.log(0.5) + 0.25 * np.log(1.5)

    assert stability_index(reference, current) == pytest.approx(expected, rel=1e-5)
    assert stability_index(reference, 3 * reference) == pytest.approx(0.0, abs=1e-9)
    assert 1.0 < stability_index(np.array([100.0, 0.0]), np.array([0.0, 100.0])) < 20.0


def test_orders_of_the_same_distribution_are_stable_in_every_week() -> None:
    values = [
        measure(simulate_orders(1_000, seed), simulate_orders(1_000, seed + 500))[ORDERS_STABILITY]
        for seed in range(100)
    ]

    assert all(found.value is not None and 0 <= found.value < 0.1 for found in values)


@pytest.mark.parametrize(("factor", "breached"), [(1.05, False), (0.5, True), (10.0, True)])
def test_orders_that_are_spread_otherwise_are_not_stable(factor: float, breached: bool) -> None:
    week = simulate_orders(1_000, seed=2)
    week["orders_placed"] *= factor

    found = measure(simulate_orders(1_000, seed=1), week)[ORDERS_STABILITY]

    assert found.most == 0.25
    assert found.breached == breached


def test_weeks_with_few_rows_may_differ_by_chance() -> None:
    breached = 0
    for seed in range(100):
        found = measure(simulate_orders(50, seed), simulate_orders(50, seed + 500))
        assert found[ORDERS_STABILITY].most == pytest.approx(21.67 * 2 / 50, rel=0.2)
        breached += found[ORDERS_STABILITY].breached

    assert breached <= 5


@pytest.mark.parametrize(("orders", "breached"), [(100.0, False), (3.0, True), (300.0, True)])
def test_orders_that_were_all_the_same_are_compared_with_less_and_more(
    orders: float, breached: bool
) -> None:
    found = measure(week_of({"A": 500}), week_of({"A": 500}, orders))[ORDERS_STABILITY]

    assert found.breached == breached


def test_a_histogram_of_one_bin_measures_nothing() -> None:
    week = week_of({"A": 10})
    champion = champion_of(week, orders_placed={"edges": [0, 320], "counts": [1_000]})

    found = measure(champion, week)[ORDERS_STABILITY]

    assert found.value is None
    assert not found.breached


# Products


@pytest.mark.parametrize(("rows", "breached"), [(0, False), (10, False), (11, True)])
def test_rows_of_new_and_of_vanished_products_are_counted(rows: int, breached: bool) -> None:
    common, more = week_of({"A": 50}), week_of({"A": 100 - rows, "B": rows})

    for found in (measure(common, more)[NEW_SHARE], measure(more, common)[VANISHED_SHARE]):
        assert found.value == pytest.approx(rows / 100)
        assert found.breached == breached


@pytest.mark.parametrize(("rows", "breached"), [(500, False), (700, False), (900, True)])
def test_the_shares_of_the_products_are_compared(rows: int, breached: bool) -> None:
    last_week = week_of({"A": 500, "B": 500, "GONE": 30})

    found = measure(last_week, week_of({"A": rows, "B": 1_000 - rows, "NEW": 30}))

    assert found[PRODUCT_STABILITY].breached == breached


def test_many_products_with_few_rows_may_differ_by_chance() -> None:
    slopes = {f"P{i:04}": 0.05 for i in range(500)}

    found = measure(simulate_orders(2_000, 1, slopes), simulate_orders(2_000, 2, slopes))[
        PRODUCT_STABILITY
    ]

    assert found.value is not None and found.value > 0.25
    assert found.most is not None and found.most > 0.5
    assert not found.breached


# Errors and intervals


@pytest.mark.parametrize(
    ("error", "recorded", "ratio"), [(2.0, 1.0, 2.0), (2.1, 1.0, 2.1), (1e-9, 1e-12, 1e-7)]
)
def test_the_error_is_compared_with_that_of_the_champion_s_own_week(
    error: float, recorded: float, ratio: float
) -> None:
    week = week_of({"A": 10})

    found = measure(
        week,
        week,
        champion_error_hours=error,
        challenger_error_hours=error,
        champion_recorded_error_hours=recorded,
    )[ERROR_RATIO]

    assert found.value == pytest.approx(ratio)
    assert found.breached == (ratio > 2)


@pytest.mark.parametrize(
    ("rows", "outside", "least", "breached"),
    [
        (1_000, 0, 0.8, False),
        (1_000, 200, 0.8, False),
        (1_000, 201, 0.8, True),
        # Of ten trials with a probability of 0.9, fewer than seven succeed in 1.3 % of all cases,
        # and fewer than six in 0.2 %.
        (10, 4, 0.6, False),
    ],
)
def test_rows_inside_the_intervals_are_counted_and_few_may_be_outside_by_chance(
    rows: int, outside: int, least: float, breached: bool
) -> None:
    week = week_of({"A": rows, "NEW": 9}).astype({"product_code": "category"})
    week.loc[: outside - 1, "hours_to_dispatch"] = 50.0

    found = measure(week_of({"A": 100}), week)[COVERAGE]

    assert found.value == pytest.approx(1 - outside / rows)
    assert found.least == pytest.approx(least)
    assert found.breached == breached


def test_the_champion_s_own_rows_are_no_news() -> None:
    week = week_of({"A": 10})

    measures = measure(week, week, same_dataset=True)

    assert measures[ERROR_RATIO].value is None
    assert COVERAGE not in measures
    assert measures[COVERAGE_OF_SEEN_ROWS].value == 1.0
    assert measures[ORDERS_STABILITY].value == pytest.approx(0.0, abs=1e-9)


# Far outside


@pytest.mark.parametrize(
    ("fewest", "most", "breached", "refused"),
    [
        (0, 320, False, False),
        (0, 300, False, False),
        (0, 270, True, False),
        (0, 205, True, False),
        (0, 175, True, True),
        (115, 320, True, False),
        (145, 320, True, True),
    ],
)
def test_a_week_of_which_the_quiet_or_the_busy_part_is_left_is_refused(
    fewest: int, most: int, breached: bool, refused: bool
) -> None:
    week = simulate_orders(1_000, seed=2)
    few_busy = week["orders_placed"].between(fewest, most) | (week.index < 5)

    found = measure(simulate_orders(1_000, seed=1), week[few_busy])[OUTSIDE_RANGE]

    assert (found.breached, found.is_refused) == (breached, refused)


def test_busier_weeks_have_no_orders_outside_their_range() -> None:
    week = simulate_orders(1_000, seed=2)
    week["orders_placed"] *= 3

    assert measure(simulate_orders(1_000, seed=1), week)[OUTSIDE_RANGE].value == 0.0


def test_few_rows_may_have_a_small_range_by_chance() -> None:
    found = measure(simulate_orders(100, 1), simulate_orders(10, 2))[OUTSIDE_RANGE]

    assert found.most == pytest.approx(0.504, abs=0.001)
    assert found.refused_above == pytest.approx(0.624, abs=0.001)


@pytest.mark.parametrize(
    ("rows", "orders", "inside", "refused"),
    [
        (1_000, 100, 301, False),
        (1_000, 100, 299, True),
        (1_000, 150, 496, False),
        (1_000, 150, 494, True),
        # Of 20 trials with a probability of 0.45, 2 or fewer succeed in less than 0.1 % of cases.
        (20, 100, 3, False),
        (20, 100, 2, True),
    ],
)
def test_a_week_of_which_the_intervals_hold_next_to_nothing_is_refused(
    rows: int, orders: float, inside: int, refused: bool
) -> None:
    week = week_of({"A": rows}, orders)
    week.loc[inside:, "hours_to_dispatch"] = 50.0

    assert measure(week_of({"A": 100}), week)[COVERAGE].is_refused == refused


def test_intervals_that_were_learnt_from_computed_labels_refuse_no_week() -> None:
    week = week_of({"A": 100}).assign(hours_to_dispatch=50.0)
    exact = {"challenger_error_hours": 0.7, "champion_error_hours": 0.7}

    measures = measure(week, week, champion_recorded_error_hours=1e-4, **exact)

    assert measures[COVERAGE].value is None
    assert measures[ERROR_GROWTH].value == 1.0


@pytest.mark.parametrize(
    ("rows", "growth", "breached", "refused"),
    [
        (1_000, 1.49, False, False),
        (1_000, 1.51, True, False),
        (1_000, 1.99, True, False),
        (1_000, 2.01, True, True),
        # Both means are of ten errors, so that the standard error is √0.2.
        (10, 3.9, True, False),
        (10, 4.1, True, True),
        (9, 9.0, False, False),
    ],
)
def test_errors_that_are_twice_as_large_in_themselves_are_refused(
    rows: int, growth: float, breached: bool, refused: bool
) -> None:
    week = week_of({"A": 10})

    found = measure(
        champion_of(week, metrics={"test_rows": rows}),
        week,
        compared_rows=rows,
        challenger_error_hours=growth,
    )[ERROR_GROWTH]

    assert (found.breached, found.is_refused) == (breached, refused)


@pytest.mark.parametrize(
    ("before", "share", "breached", "refused"),
    [
        (0.001, 0.0099, False, False),
        (0.001, 0.0101, True, True),
        (0.1, 0.199, False, False),
        (0.1, 0.201, True, True),
        (None, 0.0101, True, False),
    ],
)
def test_labels_that_are_cut_off_are_refused_unless_they_always_were(
    before: float | None, share: float, breached: bool, refused: bool
) -> None:
    champion = champion_of(week_of({"A": 10}), share_above_largest=before)

    found = measure(champion, week_of({"A": 1_000}), share)[ABOVE_LARGEST]

    assert (found.breached, found.is_refused) == (breached, refused)


@pytest.mark.parametrize(("rows", "refused"), [(50, False), (60, True)])
def test_products_with_one_label_are_refused_with_their_rows(rows: int, refused: bool) -> None:
    last = week_of({"A": 10, "B": 10})
    champion = LineModel("champion", metadata_of(last), {"A": (5.0, 0.0), "B": (1.0, 0.1)})
    week = week_of({"B": rows, "A": 1_000 - rows})
    week["orders_placed"] = np.arange(1_000) % 50

    found = measure(champion, week)[CONSTANT_SHARE]

    assert found.value == rows / 1_000
    assert (found.product_code, found.breached, found.is_refused) == (("B",), True, refused)
