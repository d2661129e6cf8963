"""The rules that a model must keep by itself: each on both sides of its limit."""

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.release.rules import behaviour_failures, outlier_failures, r_squared_failures
from pipeline.training.evaluation import GridEstimates
from tests.support.builders import metadata


def grid(*curves: list[float]) -> GridEstimates:
    codes: npt.NDArray[np.object_] = np.array([f"SKU{i}" for i in range(len(curves))], dtype=object)
    orders = np.tile(np.arange(len(curves[0]), dtype=float), (len(curves), 1))
    return GridEstimates(codes, orders, np.array(curves))


@pytest.mark.parametrize(
    ("r_squared", "noise_floor_hours", "failures"),
    [
        (0.8, 0.5, []),
        (0.9, 0.5, []),
        (0.7999, 0.9, ["R² 0.7999 is below min_r_squared 0.8"]),
        (
            0.5,
            0.92,
            [
                "R² 0.5000 is below min_r_squared 0.8, though the mean absolute error of 1.00 h is "
                "at the noise floor of 0.92 h: either the hours of this week vary too little for a "
                "high R², and a lower min_r_squared accepts that, or they depend on something else "
                "than product and orders placed"
            ],
        ),
        (None, 0.5, ["R² is not defined: the hours of all test rows (20) agree"]),
    ],
)
def test_a_low_r_squared_is_a_failure_and_explained_at_the_noise_floor(
    r_squared: float | None, noise_floor_hours: float, failures: list[str]
) -> None:
    metrics = metadata(
        metrics={
            "r_squared": r_squared,
            "mean_absolute_error_hours": 1.0,
            "noise_floor_hours": noise_floor_hours,
            "test_rows": 20,
        }
    ).metrics

    assert r_squared_failures(metrics, 0.8) == failures


@pytest.mark.parametrize(("outliers", "refused"), [(50, False), (51, True)])
def test_too_many_outliers_are_a_failure(outliers: int, refused: bool) -> None:
    found = outlier_failures(np.arange(1_000) < outliers, max_outlier_share=0.05)

    assert found == refused * [
        "51 rows (5.1%) are farther than 6 robust standard deviations from the model, more than "
        "max_outlier_share 0.05 allows"
    ]


@pytest.mark.parametrize(
    ("curves", "failures"),
    [
        ([[0.0, 5.0, 12.5]], []),
        ([[1.0, 1.0, 1.0], [1.0, 2.0, 3.0]], []),
        (
            [[0.0, 1.0, 2.0], [1.0, 2.0, 1.9]],
            ["estimates fall by up to 0.10 h as orders rise for 'SKU1'"],
        ),
        (
            [[0.0, 1.0, 2.0], [-0.1, 2.0, 3.0]],
            ["estimates are negative, down to -0.10 h, for 'SKU1'"],
        ),
        (
            [[0.0, 1.0, 2.0], [1.0, 2.0, 12.6]],
            [
                "estimates reach 12.60 h, more than 1.25 times the largest label (10.00 h), for "
                "'SKU1'"
            ],
        ),
        (
            [[1.0, 1.0], [2.0, 2.0]],
            ["estimates do not depend on orders placed for any product"],
        ),
        (
            [[-1.0, 20.0, 1.0]],
            [
                "estimates fall by up to 19.00 h as orders rise for 'SKU0'",
                "estimates are negative, down to -1.00 h, for 'SKU0'",
                "estimates reach 20.00 h, more than 1.25 times the largest label (10.00 h), for "
                "'SKU0'",
            ],
        ),
    ],
    ids=["at the limit", "one flat", "falls", "negative", "too high", "all flat", "all at once"],
)
def test_every_broken_rule_of_behaviour_is_a_failure_that_names_the_products(
    curves: list[list[float]], failures: list[str]
) -> None:
    assert behaviour_failures(grid(*curves), largest_label_hours=10.0) == failures
