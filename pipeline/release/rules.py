"""The rules that a model must keep by itself, each as a function of what it looks at."""

import numpy as np
import numpy.typing as npt

from pipeline.curves.noise import OUTLIER_DISTANCE
from pipeline.model.metadata import Metrics
from pipeline.stages.wording import first_few
from pipeline.training.evaluation import ROUNDING_HOURS, GridEstimates, flat_products

MAX_RATIO_TO_LARGEST_LABEL = 1.25
MAX_RATIO_TO_NOISE_FLOOR = 1.1
"""A model whose error is within this factor of the noise floor cannot be made much better."""


def r_squared_failures(metrics: Metrics, min_r_squared: float) -> list[str]:
    """Return why R² is too low, or nothing if it is not.

    R² measures the error against how much the hours of the week vary. In a quiet week they vary
    little, and even a perfect model has a low R²; the reason then says so.

    Args:
        metrics: of the model.
        min_r_squared: smallest R² that is good enough.
    """
    if metrics.r_squared is None:
        return [f"R² is not defined: the hours of all test rows ({metrics.test_rows:,}) agree"]
    if metrics.r_squared >= min_r_squared:
        return []
    failure = f"R² {metrics.r_squared:.4f} is below min_r_squared {min_r_squared:g}"
    error, floor = metrics.mean_absolute_error_hours, metrics.noise_floor_hours
    if error > MAX_RATIO_TO_NOISE_FLOOR * floor:
        return [failure]
    return [
        f"{failure}, though the mean absolute error of {error:.2f} h is at the noise floor of "
        f"{floor:.2f} h: either the hours of this week vary too little for a high R², and a lower "
        "min_r_squared accepts that, or they depend on something else than product and orders "
        "placed"
    ]


def outlier_failures(is_outlier: npt.NDArray[np.bool_], max_outlier_share: float) -> list[str]:
    """Return that too many rows are outliers, or nothing if they are few.

    Args:
        is_outlier: whether each row of the week is too far from the model, shape (n_rows,).
        max_outlier_share: largest share of them that is fine.
    """
    share = is_outlier.mean()
    if share <= max_outlier_share:
        return []
    return [
        f"{is_outlier.sum():,} rows ({share:.1%}) are farther than {OUTLIER_DISTANCE:g} "
        f"robust standard deviations from the model, more than max_outlier_share "
        f"{max_outlier_share:g} allows"
    ]


def behaviour_failures(grid: GridEstimates, largest_label_hours: float) -> list[str]:
    """Return the rules of behaviour that a model breaks.

    Estimates must not fall as orders rise, be negative, exceed 1.25 times the largest label, or
    be flat for all products.

    Args:
        grid: estimates of the model.
        largest_label_hours: of the week's rows that are no outliers.
    """
    max_hours = MAX_RATIO_TO_LARGEST_LABEL * largest_label_hours
    largest_fall = -np.diff(grid.hours, axis=1).min(axis=1)
    smallest, largest = grid.hours.min(axis=1), grid.hours.max(axis=1)
    broken = {
        f"estimates fall by up to {largest_fall.max():.2f} h as orders rise": (
            largest_fall > ROUNDING_HOURS
        ),
        f"estimates are negative, down to {smallest.min():.2f} h,": smallest < 0,
        f"estimates reach {largest.max():.2f} h, more than {MAX_RATIO_TO_LARGEST_LABEL:g} times "
        f"the largest label ({largest_label_hours:.2f} h),": largest > max_hours + ROUNDING_HOURS,
    }
    failures = [
        f"{rule} for {first_few([str(code) for code in grid.products[where]])}"
        for rule, where in broken.items()
        if where.any()
    ]
    if len(flat_products(grid)) == len(grid.products):
        failures.append("estimates do not depend on orders placed for any product")
    return failures
