"""The rules that a model must keep by itself: each on both sides of its limit."""

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.model.metadata import Failure
from pipeline.release.rules import behaviour_failures, outlier_failures, r_squared_failures
from pipeline.training.evaluation import GridEstimates
from tests.support.builders import metadata


def grid(*curves: list[float]) -> GridEstimates:
    codes: npt.NDArray[np.object_] = np.array([f"SKU{i}" for i in range(len(curves))], dtype=object)
    orders = np.tile(np.arange(len(curves[0]), dtype=float), (len(curves), 1))
    return GridEstimates(codes, orders, np.array(curves))


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
        (None, 0.5, ["R² is not defined: the hours of all test rows (20) agree"], ()),
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


@pytest.mark.parametrize(
    ("curves", "failures"),
    [
        ([[0.0, 5.0, 12.5]], []),
        ([[1.0, 1.0, 1.0], [1.0, 2.0, 3.0]], []),
        (
            [[0.0, 1.0, 2.0], [1.0, 2.0, 1.9]],
            ["estimates fall as orders rise, by 0.10 h Products: 'SKU1'."],
        ),
        (
            [[0.0, 1.0, 2.0], [-0.1, 2.0, 3.0]],
            ["estimates are negative, down to -0.10 h Products: 'SKU1'."],
        ),
        (
            [[0.0, 1.0, 2.0], [1.0, 2.0, 12.6]],
            [
                "estimates reach 12.60 h, more than 1.25 times the largest label (10.00 h) "
                "Products: 'SKU1'."
            ],
        ),
        (
            [[1.0, 1.0], [2.0, 2.0]],
            ["estimates do not depend on orders placed for any product"],
        ),
        (
            [[-1.0, 20.0, 1.0]],
            [
                "estimates fall as orders rise, by 19.00 h Products: 'SKU0'.",
                "estimates are negative, down to -1.00 h Products: 'SKU0'.",
                "estimates reach 20.00 h, more than 1.25 times the largest label (10.00 h) "
                "Products: 'SKU0'.",
            ],
        ),
    ],
    ids=["at the limit", "one flat", "falls", "negative", "too high", "all flat", "all at once"],
)
def test_every_broken_rule_of_behaviour_is_a_failure_that_names_the_products(
    curves: list[list[float]], failures: list[str]
) -> None:
    found = behaviour_failures(grid(*curves), largest_label_hours=10.0)

    assert [" ".join([failure.summary, *failure.explanation]) for failure in found] == failures
