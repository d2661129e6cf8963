"""The rules that a model must keep by itself, each as a function of what it looks at."""

import numpy as np
import numpy.typing as npt

from pipeline.curves.noise import OUTLIER_DISTANCE
from pipeline.model.arrays import Floats
from pipeline.model.metadata import Failure, Metrics
from pipeline.stages.command_line import option_of
from pipeline.stages.wording import first_few
from pipeline.training.evaluation import ROUNDING_HOURS, GridEstimates, flat_products

MAX_RATIO_TO_LARGEST_LABEL = 1.25
MAX_RATIO_TO_NOISE_FLOOR = 1.1
"""A model whose error is within this factor of the noise floor cannot be made much better."""


def r_squared_failures(metrics: Metrics, min_r_squared: float, setting: str) -> list[Failure]:
    """Return why R² is too low, or nothing if it is not.

    R² measures the error against how much the hours of the week vary. In a quiet week they vary
    little, and even a perfect model has a low R²; the details then say so.

    Args:
        metrics: of the model.
        min_r_squared: smallest R² that is good enough.
        setting: name of the setting that it comes from.
    """
    rule = "r_squared"
    if metrics.r_squared is None:
        agree = f"the hours of all test rows ({metrics.test_rows:,}) agree"
        return [Failure(rule=rule, summary=f"R² is not defined: {agree}", limit=min_r_squared)]
    if metrics.r_squared >= min_r_squared:
        return []
    failure = Failure(
        rule=rule,
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


def outlier_failures(is_outlier: npt.NDArray[np.bool_], max_outlier_share: float) -> list[Failure]:
    """Return that too many rows are outliers, or nothing if they are few.

    Args:
        is_outlier: whether each row of the week is too far from the model, shape (n_rows,).
        max_outlier_share: largest share of them that is fine.
    """
    share = float(is_outlier.mean())
    if share <= max_outlier_share:
        return []
    outliers = f"{is_outlier.sum():,} rows ({share:.1%}) are outliers"
    return [
        Failure(
            rule="outlier_share",
            summary=f"{outliers}, more than the limit of {max_outlier_share:.3g}",
            value=share,
            limit=max_outlier_share,
            details=(
                f"They are farther than {OUTLIER_DISTANCE:g} robust standard deviations from the "
                "model.",
            ),
            remedy=f"A larger {option_of('max_outlier_share')} accepts them.",
        )
    ]


def behaviour_failures(grid: GridEstimates, largest_label_hours: float) -> list[Failure]:
    """Return the rules of behaviour that a model breaks.

    Estimates must not fall as orders rise, be negative, exceed 1.25 times the largest label, or
    be flat for all products.

    Args:
        grid: estimates of the model.
        largest_label_hours: of the week's rows that are no outliers.
    """
    falls = -np.diff(grid.hours, axis=1).min(axis=1)
    smallest, largest = grid.hours.min(axis=1), grid.hours.max(axis=1)
    max_hours = MAX_RATIO_TO_LARGEST_LABEL * largest_label_hours
    of_the_largest_label = (
        f"{MAX_RATIO_TO_LARGEST_LABEL:g} times the largest label ({largest_label_hours:.2f} h)"
    )
    failures = [
        *_extreme_failures(
            "falling_estimates", "fall as orders rise, by {:.2f} h", falls, ROUNDING_HOURS, grid
        ),
        *_extreme_failures(
            "negative_estimates", "are negative, down to -{:.2f} h", -smallest, 0, grid
        ),
        *_extreme_failures(
            "too_high_estimates",
            f"reach {{:.2f}} h, more than {of_the_largest_label}",
            largest,
            max_hours + ROUNDING_HOURS,
            grid,
        ),
    ]
    if len(flat_products(grid)) == len(grid.products):
        summary = "estimates do not depend on orders placed for any product"
        failures.append(Failure(rule="flat_estimates", summary=summary))
    return failures


def _extreme_failures(
    rule: str, what: str, hours: Floats, limit: float, grid: GridEstimates
) -> list[Failure]:
    """Return that some number of hours is above its limit for some products, or nothing."""
    products = [str(code) for code in grid.products[hours > limit]]
    if not products:
        return []
    return [
        Failure(
            rule=rule,
            summary=f"estimates {what.format(hours.max())}",
            value=float(hours.max()),
            limit=limit,
            details=(f"Products: {first_few(products)}.",),
        )
    ]
