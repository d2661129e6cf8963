"""The rules that a model must keep by itself, as pure functions."""

import numpy as np

from pipeline.curves.noise import OUTLIER_DISTANCE
from pipeline.model.metadata import Metrics, Outliers
from pipeline.stages.wording import first_few
from pipeline.training.evaluation import ROUNDING_HOURS, GridEstimates, flat_products

MAX_OVERSHOOT = 1.25
NEAR_NOISE_FLOOR = 1.1
"""A model whose error is within this factor of the noise floor cannot be made much better."""


def r_squared_failures(metrics: Metrics, threshold: float, option: str) -> list[str]:
    """Return why R² does not reach a threshold, or nothing if it does.

    R² measures the error against how much the hours of the week vary. In a quiet week they vary
    little, and even a perfect model has a low R²; the reason then says so.

    Args:
        metrics: of the model.
        threshold: smallest R² that is good enough.
        option: of the command line that sets the threshold, for the message.
    """
    if metrics.r_squared is None:
        return [f"R² is not defined: the hours of all test rows ({metrics.test_rows:,}) agree"]
    if metrics.r_squared >= threshold:
        return []
    failure = f"R² {metrics.r_squared:.4f} is below {option} {threshold:g}"
    error, floor = metrics.mean_absolute_error_hours, metrics.noise_floor_hours
    if error > NEAR_NOISE_FLOOR * floor:
        return [failure]
    return [
        f"{failure}, though the mean absolute error of {error:.2f} h is at the noise floor of "
        f"{floor:.2f} h: either the hours of this week vary too little for a high R², and a lower "
        f"{option} accepts that, or they depend on something else than product and orders placed"
    ]


def outlier_failures(outliers: Outliers, max_share: float) -> list[str]:
    """Return that too many labels are far from the model, or nothing if they are few."""
    if outliers.share <= max_share:
        return []
    return [
        f"{outliers.rows:,} rows ({outliers.share:.1%}) are farther than {OUTLIER_DISTANCE:g} "
        f"robust standard deviations from the model, more than --max-outlier-share {max_share:g} "
        "allows"
    ]


def behaviour_failures(grid: GridEstimates, largest_label_hours: float) -> list[str]:
    """Return the rules of behaviour that a model breaks.

    Estimates must not fall as orders rise, be negative, exceed 1.25 times the largest label, or
    be flat for all products.
    """
    limit = MAX_OVERSHOOT * largest_label_hours
    largest_fall = -np.diff(grid.hours, axis=1).min(axis=1)
    least, most = grid.hours.min(axis=1), grid.hours.max(axis=1)
    broken = {
        f"estimates fall by up to {largest_fall.max():.2f} h as orders rise": (
            largest_fall > ROUNDING_HOURS
        ),
        f"estimates are negative, down to {least.min():.2f} h,": least < 0,
        f"estimates reach {most.max():.2f} h, more than {MAX_OVERSHOOT:g} times the largest label "
        f"({largest_label_hours:.2f} h),": most > limit + ROUNDING_HOURS,
    }
    failures = [
        f"{rule} for {first_few([str(code) for code in grid.products[where]])}"
        for rule, where in broken.items()
        if where.any()
    ]
    if len(flat_products(grid)) == len(grid.products):
        failures.append("estimates do not depend on orders placed for any product")
    return failures
