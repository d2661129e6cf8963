"""The challenger measured beside the champion, and each rule on both sides of its threshold."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import BinaryIO

import numpy as np
import pandas as pd
import pytest

from pipeline.model.arrays import Floats
from pipeline.model.artifact import artifact_key
from pipeline.model.metadata import ChampionComparison, Failure, ProductShift
from pipeline.release.champion import (
    Challenger,
    compare_with_champion,
    load_champion,
)
from pipeline.release.champion_rules import (
    comparison_failures,
    comparison_warnings,
    movement_in_words,
    shift_failures,
)
from pipeline.stages.errors import ArtifactError, ObjectMissing, StoreError
from pipeline.training.evaluation import estimate_on_grid
from pipeline.training.selection import OutOfSample
from tests.support.builders import (
    TRAINED_AT,
    Line,
    LineModel,
    LineRegressor,
    comparison,
    estimate,
    model,
    most_orders,
)

TOLERANCE = 0.05
MAX_SHIFT = 2.0
THIS_WEEK = "b" * 64
FOUR_HOURS = {"A": (4.0, 0.0)}
SHIFTS = tuple(ProductShift(product_code=code, ratio=3.0, rows=100) for code in "AB")
WORSE = {"challenger_error_hours": 1.2, "least_excess_hours": 0.1}


class VanishingStore:
    """A store with one model, which is removed between listing and reading."""

    url = "s3://bucket"

    def list_keys(self, folder: str) -> list[str]:
        return [artifact_key(folder, TRAINED_AT, b"")]

    def read(self, key: str) -> bytes:
        raise ObjectMissing(f"Cannot read {self.url}/{key}: there is no such object.")

    def list_times(self, folder: str) -> Mapping[str, datetime]:
        raise NotImplementedError

    def list_folders(self, folder: str) -> list[str]:
        raise NotImplementedError

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        raise NotImplementedError

    def check_writes(self) -> None:
        raise NotImplementedError

    def write_new(self, key: str, content: bytes) -> None:
        raise NotImplementedError


class UnreachableStore(VanishingStore):
    """A store that does not answer."""

    def list_keys(self, folder: str) -> list[str]:
        raise StoreError(f"Cannot list {self.url}/{folder}: no answer.")


def week_of(hours: Floats | list[float], code: str = "A", orders: float = 100.0) -> pd.DataFrame:
    """Return a row for each label, all of one product and order count."""
    return pd.DataFrame({"product_code": code, "orders_placed": orders, "hours_to_dispatch": hours})


def champion_of(lines: Mapping[str, Line] = FOUR_HOURS) -> LineModel:
    return model(lines, lines)


def challenger_of(
    orders: pd.DataFrame, lines: Mapping[str, Line], test_estimates: Floats | None = None
) -> Challenger:
    """Return a challenger that gives these lines, tested on all rows of its week."""
    if test_estimates is None:
        test_estimates = estimate(lines, orders)
    rows = orders.groupby("product_code").size().to_numpy().astype(np.int64)
    return Challenger(
        OutOfSample(orders, test_estimates),
        estimate_on_grid(LineRegressor(lines), most_orders(orders)),
        rows,
        np.ones(len(rows)),
        OutOfSample(orders, test_estimates),
    )


def compare(
    champion: LineModel, challenger: Challenger, max_shift: float = MAX_SHIFT
) -> ChampionComparison:
    return compare_with_champion(champion, challenger, THIS_WEEK, max_shift)


# The champion


def test_a_champion_that_vanished_after_listing_ends_the_stage() -> None:
    with pytest.raises(ArtifactError, match="no such object.*--ignore-champion"):
        load_champion(VanishingStore())


def test_a_store_that_does_not_answer_is_no_reason_to_ignore_the_champion() -> None:
    with pytest.raises(StoreError, match="no answer.$"):
        load_champion(UnreachableStore())


# Errors


def test_errors_are_those_on_rows_of_products_that_the_champion_knows() -> None:
    test = pd.concat([week_of([3.0, 6.0]), week_of([9.0], "B")])
    challenger = challenger_of(test, {"A": (3.5, 0.0)}, np.array([3.5, 6.5, 100.0]))

    found = compare(champion_of(), challenger)

    assert found.compared_rows == 2
    assert found.champion_error_hours == pytest.approx(1.5)
    assert found.challenger_error_hours == pytest.approx(0.5)
    assert found.champion_recorded_error_hours == 0.5
    assert found.least_excess_hours == pytest.approx(-1.5)  # the rows differ by 0.5 and 1.5
    assert not found.same_dataset


def test_on_its_own_dataset_the_champion_has_the_error_that_it_recorded() -> None:
    champion = champion_of()
    challenger = challenger_of(week_of([3.0, 6.0]), FOUR_HOURS)

    found = compare_with_champion(champion, challenger, champion.metadata.dataset.sha256, MAX_SHIFT)

    assert found.same_dataset
    assert (found.champion_error_hours, found.challenger_error_hours) == (0.5, 1.5)


@pytest.mark.parametrize(("rows", "excess"), [(1, 0.5), (40, 0.0), (40, 0.25)])
def test_the_interval_of_equal_differences_is_that_difference(rows: int, excess: float) -> None:
    week = week_of(np.full(rows, 4.0))

    found = compare(champion_of(), challenger_of(week, {"A": (4.0 + excess, 0.0)}))

    assert found.least_excess_hours == excess


def test_the_interval_is_that_of_a_mean_and_the_same_every_time() -> None:
    random = np.random.default_rng(1)
    week = week_of(4.0 + random.normal(size=200))
    challenger = challenger_of(week, FOUR_HOURS, 4.0 + random.normal(size=200))
    truth = week["hours_to_dispatch"].to_numpy()
    differences = np.abs(challenger.test.residuals) - np.abs(truth - 4.0)

    found = compare(champion_of(), challenger)

    standard_error = differences.std() / np.sqrt(len(week))
    assert found.least_excess_hours == pytest.approx(
        differences.mean() - 2.326 * standard_error, abs=0.12 * standard_error
    )
    assert found == compare(champion_of(), challenger)


def test_the_bootstrap_takes_rows_evenly_from_large_weeks() -> None:
    rows = 250_000
    estimates = np.arange(rows) / rows  # the first rows alone would say that there is no error
    champion = champion_of({"A": (0.0, 0.0)})

    found = compare(champion, challenger_of(week_of(np.zeros(rows)), champion.lines, estimates))

    assert found.least_excess_hours == pytest.approx(0.495, abs=0.003)


@pytest.mark.parametrize(("rows", "is_small"), [(49, True), (50, False)])
def test_a_week_of_fewer_than_half_the_rows_tells_how_much_worse_it_may_be(
    rows: int, is_small: bool
) -> None:
    champion = champion_of()
    facts = champion.metadata.dataset.model_copy(update={"rows": 100})
    champion.metadata = champion.metadata.model_copy(update={"dataset": facts})
    random = np.random.default_rng(1)
    week = week_of(4.0 + random.normal(size=rows))
    challenger = challenger_of(week, FOUR_HOURS, 4.0 + random.normal(size=rows))
    truth = week["hours_to_dispatch"].to_numpy()
    differences = np.abs(challenger.unseen.residuals) - np.abs(truth - 4.0)

    found = compare(champion, challenger)

    standard_error = differences.std() / np.sqrt(rows)
    most = pytest.approx(differences.mean() + 2.326 * standard_error, abs=0.3 * standard_error)
    assert found.most_excess_hours == (most if is_small else None)
    assert (found.champion_rows, found.challenger_rows) == (100, rows)


def test_a_small_week_of_products_that_the_champion_does_not_know_is_not_compared() -> None:
    champion = champion_of()
    facts = champion.metadata.dataset.model_copy(update={"rows": 100})
    champion.metadata = champion.metadata.model_copy(update={"dataset": facts})

    found = compare(champion, challenger_of(week_of([3.0], "NEW"), {"NEW": (3.0, 0.0)}))

    assert found.most_excess_hours is None


# Movement


def test_a_ratio_is_the_median_over_the_grid_where_the_champion_says_an_hour_or_more() -> None:
    week = pd.concat([week_of([1.0], orders=40.0), week_of([1.0] * 3, "B", orders=40.0)])
    champion = champion_of({"A": (0.0, 0.05), "B": (0.0, 0.02), "C": (9.0, 0.0)})

    found = compare(champion, challenger_of(week, {"A": (0.5, 0.05), "B": (5.0, 0.0)}))

    # The champion says 1 to 2 h for 20 to 40 orders of A, less than 1 h for B, and C is gone.
    (shift,) = found.shifts
    assert (shift.product_code, shift.rows) == ("A", 1)
    assert shift.ratio == pytest.approx(2.0 / 1.5)
    assert found.median_ratio == shift.ratio
    assert found.shifted_share == 0.0


@pytest.mark.parametrize(("step", "compared"), [(4.0, True), (4.1, False)])
def test_estimates_below_a_step_of_the_hours_have_no_ratio(step: float, compared: bool) -> None:
    lines = {"A": (4.0, 0.0)}
    champion = model(lines, lines, dataset={"step_hours": step})

    found = compare(champion, challenger_of(week_of([1.0] * 3), {"A": (12.0, 0.0)}))

    assert bool(found.shifts) == compared


@pytest.mark.parametrize(
    ("ratio", "max_shift", "share"),
    [(2.0, 2.0, 0.0), (2.001, 2.0, 1.0), (0.5, 2.0, 0.0), (0.499, 2.0, 1.0), (0.4, 4.0, 0.0)],
)
def test_products_have_shifted_beyond_the_factor(
    ratio: float, max_shift: float, share: float
) -> None:
    challenger = challenger_of(week_of([1.0] * 3), {"A": (4.0 * ratio, 0.0)})

    assert compare(champion_of(), challenger, max_shift).shifted_share == share


@pytest.mark.parametrize("hours", [0.0, -1.0])
def test_estimates_of_zero_come_first_and_have_shifted(hours: float) -> None:
    week = pd.concat([week_of([1.0], code) for code in "ABC"])
    champion = champion_of({code: (4.0, 0.0) for code in "ABC"})
    challenger = challenger_of(week, {"A": (4.4, 0.0), "B": (0.0, 0.0), "C": (1.0, 0.0)})
    challenger.grid.hours[1] = hours

    found = compare(champion, challenger)

    assert [(shift.product_code, shift.ratio) for shift in found.shifts] == [
        ("B", 0.0),
        ("C", 0.25),
        ("A", pytest.approx(1.1)),
    ]
    assert found.shifted_share == pytest.approx(2 / 3)
    assert found.median_ratio == 0.25


def test_a_hundred_products_are_listed_and_all_are_counted() -> None:
    codes = [f"P{i:03}" for i in range(150)]
    week = pd.concat([week_of([1.0], code) for code in codes])
    champion = champion_of({code: (4.0, 0.0) for code in codes})

    found = compare(champion, challenger_of(week, {code: (12.0, 0.0) for code in codes}))

    assert len(found.shifts) == 100
    assert found.shifted_share == 1.0
    assert "and 95 more" in " ".join(shift_failures(found, MAX_SHIFT)[0].details)


# Rules


@pytest.mark.parametrize(
    ("challenger_error", "least_excess", "rows", "tolerance", "refused"),
    [
        (1.05, 0.01, 200, 0.05, False),
        (1.0501, 0.01, 200, 0.05, True),
        (1.5, 0.0, 200, 0.05, False),
        (0.9, -0.2, 200, 0.05, False),
        (1.2, 0.1, 200, 0.25, False),
        (2.0, 0.5, 19, 0.05, False),
        (2.0, 0.5, 20, 0.05, True),
    ],
)
def test_a_challenger_is_refused_that_is_worse_than_tolerated_and_by_no_chance(
    challenger_error: float, least_excess: float, rows: int, tolerance: float, refused: bool
) -> None:
    found = comparison(
        challenger_error_hours=challenger_error, least_excess_hours=least_excess, compared_rows=rows
    )

    assert bool(comparison_failures(found, tolerance)) == refused


def test_a_challenger_that_is_worse_is_told_with_all_numbers() -> None:
    (failure,) = comparison_failures(comparison(**WORSE, shifts=SHIFTS), 0.1)

    assert failure == Failure(
        rule="champion_error",
        summary="the error of 1.20 h is above the 1.10 h allowed by the 1.00 h of the model in "
        "production",
        value=1.2,
        limit=1.1,
        details=(
            "It is the mean absolute error on 200 test rows, where the model in production "
            "(time_to_dispatch_champion) has 1.00 h.",
            "This is no chance: with 99% confidence it is at least 0.100 h more.",
            "Estimates moved most for 'A', 'B'.",
            "It has learnt less from this week, which may have too few rows.",
        ),
        remedy="A larger --champion-tolerance accepts it.",
    )


@pytest.mark.parametrize(
    ("most_excess", "tolerance", "refused"),
    [(None, 0.05, False), (0.05, 0.05, False), (0.051, 0.05, True), (0.051, 0.06, False)],
)
def test_a_small_week_has_to_show_that_its_model_is_as_good(
    most_excess: float | None, tolerance: float, refused: bool
) -> None:
    found = comparison(most_excess_hours=most_excess, champion_rows=1_000, challenger_rows=40)

    failures = comparison_failures(found, tolerance)

    assert [failure.summary for failure in failures] == refused * [
        "40 rows do not show that the new model is as good as the one in production, which has "
        "1,000"
    ]
    if refused:
        assert "at most 0.05 h more" in failures[0].details[0]
        assert failures[0].remedy is not None
        assert failures[0].remedy.endswith("--champion-tolerance of 0.06 or more.")


@pytest.mark.parametrize(
    ("test_rows", "error", "refused"),
    [(None, 8.01, True), (5, 14.2, False), (5, 14.4, True), (200, 8.9, False), (200, 9.1, True)],
)
def test_the_error_of_a_small_champion_may_have_been_small_by_chance(
    test_rows: int | None, error: float, refused: bool
) -> None:
    # One and 2.326 · √((π/2 - 1) / n): 1.786 for 5 rows, 1.124 for 200
    found = comparison(champion_error_hours=error, champion_test_rows=test_rows)

    assert bool(shift_failures(found, MAX_SHIFT)) == refused


def test_on_the_same_dataset_the_message_names_the_record() -> None:
    (failure,) = comparison_failures(comparison(**WORSE, same_dataset=True), 0.1)

    assert "recorded 1.00 h on this dataset" in failure.details[0]
    assert "moved most" not in "".join(failure.details)


def test_errors_of_labels_without_noise_are_not_compared() -> None:
    tiny = comparison(
        champion_error_hours=1e-12,
        challenger_error_hours=5e-12,
        least_excess_hours=3e-12,
        champion_recorded_error_hours=1e-14,
    )

    assert comparison_failures(tiny, TOLERANCE) == shift_failures(tiny, MAX_SHIFT) == []


def test_a_week_is_refused_in_which_too_many_rows_shifted() -> None:
    assert shift_failures(comparison(shifted_share=0.1, shifts=SHIFTS), MAX_SHIFT) == []

    assert shift_failures(comparison(shifted_share=0.101, shifts=SHIFTS), MAX_SHIFT) == [
        Failure(
            rule="shifted_share",
            summary="this week is unlike the last: for 10.1% of its rows (limit 10%) the estimates "
            "moved by more than a factor of 2",
            value=0.101,
            limit=0.1,
            details=(
                "They moved since the model in production (time_to_dispatch_champion), as swapped "
                "product codes or another unit would make them.",
                "Products: 'A', 'B' (now 3, 3 times as high).",
            ),
            remedy="If the hours really changed, --accept-shift publishes the new model.",
        )
    ]


def test_a_week_is_refused_that_surprises_the_champion() -> None:
    surprised = comparison(champion_error_hours=4.01, champion_recorded_error_hours=0.5)
    at_the_limit = surprised.model_copy(update={"champion_error_hours": 4.0})
    its_own = surprised.model_copy(update={"same_dataset": True})

    assert shift_failures(at_the_limit, MAX_SHIFT) == shift_failures(its_own, MAX_SHIFT) == []
    assert shift_failures(surprised, MAX_SHIFT) == [
        Failure(
            rule="champion_surprise",
            summary="this week is unlike the last: the model in production is off by 8.0 times its "
            "usual error (limit 8)",
            value=8.02,
            limit=8.0,
            details=(
                "time_to_dispatch_champion has a mean absolute error of 4.01 h on 200 test rows, "
                "where 0.50 h are usual.",
            ),
            remedy="If the hours really changed, --accept-shift publishes the new model.",
        )
    ]


def test_a_champion_of_labels_that_were_too_exact_is_no_yardstick_for_sound_weeks() -> None:
    exact = {"champion_recorded_error_hours": 0.0}
    sound = comparison(champion_error_hours=3.0, challenger_error_hours=1.0, **exact)
    far_off = comparison(champion_error_hours=8.1, challenger_error_hours=1.0, **exact)

    assert shift_failures(sound, MAX_SHIFT) == []
    assert [failure.rule for failure in shift_failures(far_off, MAX_SHIFT)] == ["champion_surprise"]


@pytest.mark.parametrize(("challenger_error", "refused"), [(0.8, True), (0.7, False)])
def test_a_champion_is_too_exact_if_the_new_model_errs_eight_times_as_much(
    challenger_error: float, refused: bool
) -> None:
    found = comparison(
        champion_error_hours=1.0,
        challenger_error_hours=challenger_error,
        champion_recorded_error_hours=0.09,
    )

    assert bool(shift_failures(found, MAX_SHIFT)) != refused


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"champion_error_hours": 0.0, "challenger_error_hours": 0.0}, True),
        ({"champion_error_hours": 0.199}, True),
        ({"champion_error_hours": 0.2}, False),
        ({"challenger_error_hours": 0.199}, True),
        ({"champion_error_hours": 0.0, "compared_rows": 10}, True),
        ({"champion_error_hours": 0.0, "compared_rows": 9}, False),
        ({"champion_error_hours": 0.0, "same_dataset": True}, False),
        ({"champion_error_hours": 0.0, "champion_recorded_error_hours": 0.13}, True),
        ({"champion_error_hours": 0.0, "champion_recorded_error_hours": 0.009}, False),
        ({"champion_error_hours": None, "challenger_error_hours": None}, False),
    ],
)
def test_labels_that_are_as_exact_as_estimates_are_refused(
    changes: dict[str, object], refused: bool
) -> None:
    rules = [failure.rule for failure in shift_failures(comparison(**changes), MAX_SHIFT)]

    assert rules == ["echo"] * refused


def test_an_echo_is_told_with_all_numbers() -> None:
    echo = comparison(champion_error_hours=0.0, challenger_error_hours=0.003)

    (failure,) = shift_failures(echo, MAX_SHIFT)

    assert failure.summary == (
        "this week is unlike the last: labels agree with estimates to 0 h, less than 0.2 of the "
        "usual error of 1.00 h"
    )
    assert "error of 0 h and the new one of 0.003 h" in failure.details[0]
    assert failure.remedy is not None and "--accept-shift" in failure.remedy


# Words


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        ({}, []),
        ({"compared_rows": 20}, []),
        ({"compared_rows": 19}, ["Only 19 test rows are of products that the model"]),
        ({"compared_rows": 0}, ["Nothing could be compared with the model in production"]),
        ({"same_dataset": True}, ["The newest dataset is the one that the model in production"]),
    ],
)
def test_what_keeps_the_comparison_from_saying_much_is_a_warning(
    changes: dict[str, object], warnings: list[str]
) -> None:
    found = comparison_warnings(comparison(**changes))

    assert len(found) == len(warnings)
    assert all(map(str.startswith, found, warnings))


def test_the_movement_names_the_median_and_the_largest_movers() -> None:
    assert movement_in_words(comparison(median_ratio=0.5, shifts=SHIFTS)) == (
        "The estimates are 0.5 times those of the model in production (time_to_dispatch_champion) "
        "in the median over products; most moved 'A', 'B' (first 3, 3 times)."
    )
    assert "is unknown" in movement_in_words(comparison(median_ratio=None))
