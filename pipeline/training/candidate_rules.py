"""The rules by which a candidate is passed over for the next one: behaviour, and skill."""

import numpy as np

from pipeline.model.arrays import Floats
from pipeline.model.metadata import Failure, Skill
from pipeline.stages.wording import first_few
from pipeline.training.bootstrap import CONFIDENCE
from pipeline.training.evaluation import ROUNDING_HOURS, GridEstimates, is_flat

MAX_RATIO_TO_LARGEST_LABEL = 1.25


def behaviour_failures(grid: GridEstimates, largest_label_hours: float) -> list[Failure]:
    """Return the rules of behaviour that a model breaks.

    Estimates must not fall as orders rise, be negative or exceed 1.25 times the largest label.

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
    return [
        *_extreme_failures(
            "falling_estimates",
            "estimates fall as orders rise, by {:.2f} h",
            falls,
            ROUNDING_HOURS,
            grid,
        ),
        *_extreme_failures(
            "negative_estimates", "estimates are negative, down to -{:.2f} h", -smallest, 0, grid
        ),
        *_extreme_failures(
            "too_high_estimates",
            f"estimates reach {{:.2f}} h, more than {of_the_largest_label}",
            largest,
            max_hours + ROUNDING_HOURS,
            grid,
        ),
    ]


def skill_failures(skill: Skill, grid: GridEstimates) -> list[Failure]:
    """Return that a model is no better than a guess, or nothing if it is, or is a guess itself.

    Args:
        skill: of the model.
        grid: estimates of the model; if none depends on the orders placed, it is a guess.
    """
    if skill.least_gain_hours > 0 or is_flat(grid):
        return []
    return [
        Failure(
            rule="skill",
            summary=f"the model is no better than the {skill.baseline}: its error is "
            f"{skill.error_hours:.2f} h, that of the guess {skill.baseline_error_hours:.2f} h",
            value=skill.least_gain_hours,
            limit=0.0,
            details=(
                f"On {skill.rows:,} rows that it had not seen it gains at least "
                f"{skill.least_gain_hours:.3f} h with {CONFIDENCE:.0%} confidence; more than "
                "nothing would do.",
            ),
        )
    ]


def _extreme_failures(
    rule: str, summary: str, hours: Floats, limit: float, grid: GridEstimates
) -> list[Failure]:
    """Return that some number of hours is above its limit for some products, or nothing."""
    products = [str(code) for code in grid.products[hours > limit]]
    if not products:
        return []
    return [
        Failure(
            rule=rule,
            summary=summary.format(hours.max()),
            value=float(hours.max()),
            limit=limit,
            details=(f"Products: {first_few(products)}.",),
        )
    ]
