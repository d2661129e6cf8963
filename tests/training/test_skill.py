"""What a model has to beat: guesses, and the comparison with the best of them."""

import numpy as np
import pandas as pd
import pytest

from pipeline.model.metadata import Estimate
from pipeline.training.guesses import Guess
from pipeline.training.selection import OutOfSample
from pipeline.training.skill import measure_skill

WEEK = pd.DataFrame(
    {"product_code": list("AAAB"), "orders_placed": 1.0, "hours_to_dispatch": [1.0, 2.0, 6.0, 5.0]}
)


@pytest.mark.parametrize(
    ("guess", "of_a", "of_b", "of_unknown"),
    [
        (Guess("mean"), 3.0, 5.0, 3.5),
        (Guess("median"), 2.0, 5.0, 3.5),
        (Guess("mean", per_product=False), 3.5, 3.5, 3.5),
        (Guess("median", per_product=False), 3.5, 3.5, 3.5),
    ],
)
def test_a_guess_is_the_mean_or_median_of_a_product_or_of_all(
    guess: Guess, of_a: float, of_b: float, of_unknown: float
) -> None:
    fitted = guess.fit(WEEK, WEEK["hours_to_dispatch"].to_numpy())

    assert fitted.predict(pd.DataFrame({"product_code": list("ABC")})).tolist() == [
        of_a,
        of_b,
        of_unknown,
    ]


def test_the_best_guess_is_compared_on_all_parts() -> None:
    rows = WEEK.iloc[[0, 1, 2, 3] * 10]

    def off_by(hours: float) -> list[OutOfSample]:
        estimates = rows["hours_to_dispatch"].to_numpy() + hours
        return [OutOfSample(rows, estimates), OutOfSample(rows.iloc[:1], estimates[:1])]

    skill = measure_skill(off_by(0.25), {"worse": off_by(2.0), "better": off_by(-1.0)})

    assert (skill.baseline, skill.rows) == ("better", 41)
    assert (skill.baseline_error_hours, skill.error_hours) == (1.0, 0.25)
    assert skill.least_gain_hours == pytest.approx(0.75)


def test_a_gain_that_may_be_chance_is_none() -> None:
    errors = np.random.default_rng(1).normal(size=(2, 200))
    rows = pd.concat([WEEK] * 50).assign(hours_to_dispatch=0.0)

    skill = measure_skill([OutOfSample(rows, errors[0])], {"guess": [OutOfSample(rows, errors[1])]})

    assert skill.least_gain_hours < 0


@pytest.mark.parametrize(("estimate", "is_better"), [("typical", False), ("mean", True)])
def test_mean_hours_are_judged_by_squared_errors(estimate: Estimate, is_better: bool) -> None:
    labels = 5 + np.random.default_rng(1).exponential(10, 2000)
    rows = pd.concat([WEEK] * 500).assign(hours_to_dispatch=labels)
    median, mean = (OutOfSample(rows, np.full(2000, each)) for each in (np.median(labels), 15.0))

    skill = measure_skill([mean], {"median": [median]}, estimate)

    assert (skill.least_gain_hours > 0) is is_better
    assert (skill.error_hours < skill.baseline_error_hours) is is_better


@pytest.mark.parametrize(("label", "rows"), [(9.9, 41), (10.1, 40)])
def test_labels_far_above_all_guesses_do_not_count_for_mean_hours(label: float, rows: int) -> None:
    week = pd.concat([WEEK] * 11).iloc[:41].assign(hours_to_dispatch=[1.0] * 40 + [label])
    guesses = {"low": [OutOfSample(week, np.ones(41))], "high": [OutOfSample(week, np.full(41, 2))]}

    assert measure_skill(guesses["low"], guesses, "mean").rows == rows
