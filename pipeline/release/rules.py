"""The rules that a model must keep by itself, each as a function of what it looks at."""

import numpy as np
import numpy.typing as npt

from pipeline.curves.noise import MIN_OUTLIER_HOURS, OUTLIER_DISTANCE
from pipeline.model.arrays import Floats
from pipeline.model.metadata import Failure, Metrics
from pipeline.stages.command_line import option_of
from pipeline.training.evaluation import ROUNDING_HOURS, GridEstimates, is_flat
from pipeline.training.fitting import ModelNoise

MAX_RATIO_TO_NOISE_FLOOR = 1.1
"""A model whose error is within this factor of the noise floor cannot be made much better."""


def constant_failures(metrics: Metrics) -> list[Failure]:
    """Return that all orders took equally long, so that there is nothing to learn or to judge."""
    if metrics.r_squared is not None:
        return []
    apart = "" if metrics.r_squared_with_outliers is None else ", outliers apart"
    agree = f"the hours of all test rows ({metrics.test_rows:,}) agree{apart}"
    return [Failure(rule="constant_hours", summary=f"R² is not defined: {agree}")]


def flat_failures(grid: GridEstimates, champion_hours: Floats) -> list[Failure]:
    """Return that a model says the same for every number of orders, and the champion does not.

    Args:
        grid: estimates of the model.
        champion_hours: of the model in production at the same points, in hours, shape
            (n_products, n_points); NaN for products that it does not know.
    """
    rises = np.ptp(champion_hours, axis=1) > ROUNDING_HOURS  # no NaN does
    if not is_flat(grid) or not rises.any():
        return []
    return [
        Failure(
            rule="flat_estimates",
            summary="estimates do not depend on orders placed for any product, and those of the "
            "model in production do",
            details=(
                "The orders placed may be all the same this week, or may not belong to their rows.",
            ),
            remedy=f"If they matter no more, {option_of('accept_shift')} publishes the new model.",
        )
    ]


def r_squared_failures(metrics: Metrics, min_r_squared: float, setting: str) -> list[Failure]:
    """Return why R² is too low, or nothing if it is not.

    R² measures the error against how much the hours of the week vary. In a quiet week they vary
    little, and even a perfect model has a low R²; the details then say so.

    Args:
        metrics: of the model.
        min_r_squared: smallest R² that is good enough.
        setting: name of the setting that it comes from.
    """
    if metrics.r_squared is None or metrics.r_squared >= min_r_squared:
        return []
    failure = Failure(
        rule="r_squared",
        summary=f"R² {metrics.r_squared:.4f} is below the limit of {min_r_squared:g}",
        value=metrics.r_squared,
        limit=min_r_squared,
    )
    error, floor = metrics.mean_absolute_error_hours, metrics.noise_floor_hours
    if error > MAX_RATIO_TO_NOISE_FLOOR * floor:
        return [failure]
    at_the_floor = (
        f"The mean absolute error of {error:.2f} h is at the noise floor of {floor:.2f} h: either "
        "the hours of this week vary too little for a high R², or they depend on something else "
        "than product and orders placed."
    )
    remedy = f"If they vary too little, a lower {option_of(setting)} accepts that."
    return [failure.model_copy(update={"details": (at_the_floor,), "remedy": remedy})]


def far_outliers(noise: ModelNoise) -> npt.NDArray[np.bool_]:
    """Return which rows of the week are outliers that count against a model, shape (n_rows,)."""
    is_far: npt.NDArray[np.bool_] = np.abs(noise.distances) * noise.hours >= MIN_OUTLIER_HOURS
    return noise.is_outlier & is_far


def outlier_failures(is_outlier: npt.NDArray[np.bool_], max_outlier_share: float) -> list[Failure]:
    """Return that too many rows are outliers, or nothing if they are few.

    Args:
        is_outlier: whether each row of the week is too far from the model, shape (n_rows,).
        max_outlier_share: largest share of them that is fine.
    """
    share = float(is_outlier.mean())
    if share <= max_outlier_share:
        return []
    return [
        Failure(
            rule="outlier_share",
            summary=f"{is_outlier.sum():,} rows ({share:.1%}) are outliers, more than the limit of "
            f"{max_outlier_share:.3g}",
            value=share,
            limit=max_outlier_share,
            details=(
                f"They are farther than {OUTLIER_DISTANCE:g} robust standard deviations from the "
                "model.",
            ),
            remedy=f"A larger {option_of('max_outlier_share')} accepts them.",
        )
    ]
