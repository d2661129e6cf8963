"""The rules that a model must keep by itself: each on both sides of its limit."""

import numpy as np
import pytest

from pipeline.model.metadata import Failure
from pipeline.release.rules import (
    constant_failures,
    flat_failures,
    outlier_failures,
    r_squared_failures,
)
from tests.support.builders import grid, metadata


@pytest.mark.parametrize(
    ("r_squared", "noise_floor_hours", "summaries", "details"),
    [
        (0.8, 0.5, [], ()),
        (0.9, 0.5, [], ()),
        (0.7999, 0.9, ["R² 0.7999 is below the limit of 0.8"], ()),
        (
            0.5,
            0.92,
            ["R² 0.5000 is below the limit of 0.8"],
            (
                "The mean absolute error of 1.00 h is at the noise floor of 0.92 h: either the "
                "hours of this week vary too little for a high R², or they depend on something "
                "else than product and orders placed.",
                "If they vary too little, a lower --r2-error-threshold accepts that.",
            ),
        ),
    ],
)
def test_a_low_r_squared_is_a_failure_and_explained_at_the_noise_floor(
    r_squared: float | None, noise_floor_hours: float, summaries: list[str], details: tuple[str]
) -> None:
    metrics = metadata(
        metrics={
            "r_squared": r_squared,
            "mean_absolute_error_hours": 1.0,
            "noise_floor_hours": noise_floor_hours,
            "test_rows": 20,
        }
    ).metrics

    failures = r_squared_failures(metrics, 0.8, "r2_error_threshold")

    assert [failure.summary for failure in failures] == summaries
    assert sum((failure.explanation for failure in failures), ()) == details


@pytest.mark.parametrize(("outliers", "refused"), [(50, False), (51, True)])
def test_too_many_outliers_are_a_failure(outliers: int, refused: bool) -> None:
    found = outlier_failures(np.arange(1_000) < outliers, max_outlier_share=0.05)

    assert found == refused * [
        Failure(
            rule="outlier_share",
            summary="51 rows (5.1%) are outliers, more than the limit of 0.05",
            value=0.051,
            limit=0.05,
            details=("They are farther than 6 robust standard deviations from the model.",),
            remedy="A larger --max-outlier-share accepts them.",
        )
    ]


@pytest.mark.parametrize(("r_squared", "rules"), [(None, ["constant_hours"]), (0.0, [])])
def test_hours_that_all_agree_are_a_failure(r_squared: float | None, rules: list[str]) -> None:
    metrics = metadata(metrics={"r_squared": r_squared}).metrics

    assert [failure.rule for failure in constant_failures(metrics)] == rules


@pytest.mark.parametrize(
    ("with_outliers", "words"), [(0.1, "agree, outliers apart"), (None, "agree")]
)
def test_hours_that_agree_but_for_outliers_are_said_to(
    with_outliers: float | None, words: str
) -> None:
    facts = {"r_squared": None, "r_squared_with_outliers": with_outliers}

    (failure,) = constant_failures(metadata(metrics=facts).metrics)

    assert failure.summary.endswith(words)


@pytest.mark.parametrize(
    ("curves", "champion", "rules"),
    [
        ([[1.0, 1.0], [2.0, 2.0]], [[1.0, 1.1], [2.0, 2.0]], ["flat_estimates"]),
        ([[1.0, 1.0], [2.0, 2.0]], [[1.0, 1.0], [2.0, 2.0]], []),
        ([[1.0, 1.0], [2.0, 2.0]], [[np.nan, np.nan], [2.0, 2.0]], []),
        ([[1.0, 1.0], [2.0, 2.1]], [[1.0, 1.1], [2.0, 2.0]], []),
    ],
    ids=["champion rises", "champion is flat", "champion does not know it", "not all flat"],
)
def test_only_a_champion_that_rises_keeps_a_flat_model_from_release(
    curves: list[list[float]], champion: list[list[float]], rules: list[str]
) -> None:
    failures = flat_failures(grid(*curves), np.array(champion))

    assert [failure.rule for failure in failures] == rules
