"""What the comparison with the model in production means: refusals, warnings, and words for it."""

import math
from collections.abc import Sequence

from scipy import stats

from pipeline.curves.noise import SQUARED_VARIATION_OF_NORMAL
from pipeline.model.metadata import ChampionComparison, Failure, ProductShift
from pipeline.release.champion import MIN_HOURS_FOR_RATIO, has_shifted
from pipeline.stages.command_line import option_of
from pipeline.stages.wording import MAX_NAMES, first_few
from pipeline.training.bootstrap import CONFIDENCE

MIN_COMPARED_ROWS = 20
"""With fewer rows the bootstrap interval is too narrow: of two rows, it calls one pair of equally
good models in five different."""
MIN_ERROR_HOURS = 0.01
"""Errors below this count as this much, so that labels without noise do not make every rounding
error of a model a multiple of the last one."""
MAX_SHIFTED_SHARE = 0.1
MAX_ERROR_RATIO = 8.0
"""A week may double or triple the champion's error when all slopes move by a tenth or two."""
MIN_ERROR_RATIO = 0.2
"""No week is so much quieter than the one before it: its labels were computed, not measured."""
MIN_ECHO_ROWS = 10
"""The errors of fewer rows may be small by chance."""

UNLIKE_THE_LAST = "this week is unlike the last"
IF_HOURS_CHANGED = (
    f"If the hours really changed, {option_of('accept_shift')} publishes the new model."
)


def comparison_failures(comparison: ChampionComparison, champion_tolerance: float) -> list[Failure]:
    """Return why the challenger's error is too large beside the champion's, or nothing.

    It may be larger by a share, and by what chance explains. A week that is unlike the last does
    not break this rule: it is the champion that such a week surprises.

    Args:
        comparison: of the two models.
        champion_tolerance: share of the champion's error by which the challenger's may exceed it.
    """
    worse = _error_failures(comparison, champion_tolerance)
    return worse or _few_rows_failures(comparison, champion_tolerance)


def _error_failures(comparison: ChampionComparison, champion_tolerance: float) -> list[Failure]:
    champion_error = comparison.champion_error_hours
    challenger_error = comparison.challenger_error_hours
    least_excess = comparison.least_excess_hours
    if champion_error is None or challenger_error is None or least_excess is None:
        return []
    max_error = (1 + champion_tolerance) * max(champion_error, MIN_ERROR_HOURS)
    is_certain = least_excess > 0 and comparison.compared_rows >= MIN_COMPARED_ROWS
    if challenger_error <= max_error or not is_certain:
        return []
    return [
        Failure(
            rule="champion_error",
            summary=f"the error of {challenger_error:.2f} h is above the {max_error:.2f} h allowed "
            f"by the {champion_error:.2f} h of the model in production",
            value=challenger_error,
            limit=max_error,
            details=(
                f"It is the mean absolute error on {comparison.compared_rows:,} test rows, where "
                f"{_champions_error(comparison)}.",
                "This is no chance: with "
                f"{CONFIDENCE:.0%} confidence it is at least {least_excess:.3f} h more.",
                *_most_moved(comparison),
                "It has learnt less from this week, which may have too few rows.",
            ),
            remedy=f"A larger {option_of('champion_tolerance')} accepts it.",
        )
    ]


def _few_rows_failures(comparison: ChampionComparison, champion_tolerance: float) -> list[Failure]:
    """Return that a small week does not show that its model is as good as the champion.

    What is not known for certain counts for the champion, which has learnt from more rows.
    """
    most_excess = comparison.most_excess_hours
    error = max(comparison.champion_recorded_error_hours, MIN_ERROR_HOURS)
    if most_excess is None or most_excess <= champion_tolerance * error:
        return []
    enough = math.ceil(100 * most_excess / error) / 100
    return [
        Failure(
            rule="few_rows",
            summary=f"{comparison.challenger_rows:,} rows do not show that the new model is as good"
            f" as the one in production, which has {comparison.champion_rows:,}",
            value=most_excess,
            limit=champion_tolerance * error,
            details=(
                f"With {CONFIDENCE:.0%} confidence its error is at most {most_excess:.2f} h more "
                f"than that of {comparison.champion_version} on rows that neither had seen; "
                f"{champion_tolerance * error:.2f} h are allowed.",
                "The week has fewer than half of the last rows: part of it may be missing.",
            ),
            remedy=f"If it is whole, keep the model in production for another week, or accept the "
            f"new one by a {option_of('champion_tolerance')} of {enough:.2f} or more.",
        )
    ]


def shift_failures(comparison: ChampionComparison, max_shift: float) -> list[Failure]:
    """Return why the week is unlike the champion's, or nothing if it is alike.

    The caller asks only where such weeks are not accepted.

    Args:
        comparison: of the two models, made with the same `max_shift`.
        max_shift: factor by which the estimates of most products may grow or shrink.
    """
    return [
        *_movement_failures(comparison, max_shift),
        *_surprise_failures(comparison),
        *_echo_failures(comparison),
    ]


def comparison_warnings(comparison: ChampionComparison) -> list[str]:
    """Return what keeps the comparison from saying much, or nothing; each is one sentence."""
    champion = f"the model in production ({comparison.champion_version})"
    warnings = []
    if comparison.compared_rows == 0:
        warnings.append(
            f"Nothing could be compared with {champion}: it knows none of the products of this "
            "week's test rows. If the products were not renamed or replaced, look at the dataset."
        )
    elif comparison.compared_rows < MIN_COMPARED_ROWS:
        warnings.append(
            f"Only {comparison.compared_rows:,} test rows are of products that {champion} knows, "
            f"fewer than the {MIN_COMPARED_ROWS} that it takes to compare errors."
        )
    if comparison.same_dataset:
        warnings.append(
            f"The newest dataset is the one that {champion} was trained on already: if a new week "
            "should be there, it has not arrived, or its name has an older timestamp."
        )
    return warnings


def movement_in_words(comparison: ChampionComparison) -> str:
    """Return one sentence about how the estimates moved since the champion."""
    champion = f"the model in production ({comparison.champion_version})"
    if comparison.median_ratio is None:
        return (
            f"How the estimates moved since {champion} is unknown: it gives "
            f"{MIN_HOURS_FOR_RATIO:g} h or more for no product and order count of this week."
        )
    return (
        f"The estimates are {comparison.median_ratio:.3g} times those of {champion} in the median "
        f"over products; most moved {first_few(_codes(comparison.shifts))} "
        f"(first {_ratios(comparison.shifts)} times)."
    )


def error_ratio(comparison: ChampionComparison) -> float | None:
    """Return the champion's error now divided by that of its own week, if these are two weeks."""
    if comparison.champion_error_hours is None or comparison.same_dataset:
        return None
    return comparison.champion_error_hours / usual_error(comparison)


def usual_error(comparison: ChampionComparison) -> float:
    """Return the error that is usual: the champion's own, unless its labels were too exact.

    A champion whose labels were computed has next to no error in its own week. Sound weeks are not
    to be refused because of that, so the challenger's error is the usual one then.
    """
    challenger = comparison.challenger_error_hours
    if challenger is not None and is_too_exact(comparison):
        return challenger
    return _own_error(comparison)


def is_too_exact(comparison: ChampionComparison) -> bool:
    """Tell whether the champion's labels seem to have been computed, beside those of this week."""
    challenger = comparison.challenger_error_hours
    return challenger is not None and challenger > MAX_ERROR_RATIO * _own_error(comparison)


def _own_error(comparison: ChampionComparison) -> float:
    return max(_largest_own_error(comparison), MIN_ERROR_HOURS)


def _largest_own_error(comparison: ChampionComparison) -> float:
    """Return the error that the champion may really have had in its own week.

    It was measured on few rows if that week was small, and may have been small by chance.
    """
    recorded = comparison.champion_recorded_error_hours
    if not comparison.champion_test_rows:
        return recorded
    # The mean of n absolute normal values has the coefficient of variation √((π/2 - 1) / n).
    variation = math.sqrt(SQUARED_VARIATION_OF_NORMAL / comparison.champion_test_rows)
    return recorded * (1 + float(stats.norm.ppf(CONFIDENCE)) * variation)


def _movement_failures(comparison: ChampionComparison, max_shift: float) -> list[Failure]:
    share = comparison.shifted_share
    if share <= MAX_SHIFTED_SHARE:
        return []
    moved = [shift for shift in comparison.shifts if has_shifted(shift.ratio, max_shift)]
    return [
        Failure(
            rule="shifted_share",
            summary=f"{UNLIKE_THE_LAST}: for {share:.1%} of its rows (limit {MAX_SHIFTED_SHARE:.0%}"
            f") the estimates moved by more than a factor of {max_shift:g}",
            value=share,
            limit=MAX_SHIFTED_SHARE,
            details=(
                f"They moved since the model in production ({comparison.champion_version}), as "
                "swapped product codes or another unit would make them.",
                f"Products: {first_few(_codes(moved))} (now {_ratios(moved)} times as high).",
            ),
            remedy=IF_HOURS_CHANGED,
        )
    ]


def _surprise_failures(comparison: ChampionComparison) -> list[Failure]:
    ratio = error_ratio(comparison)
    if ratio is None or ratio <= MAX_ERROR_RATIO:
        return []
    return [
        Failure(
            rule="champion_surprise",
            summary=f"{UNLIKE_THE_LAST}: the model in production is off by {ratio:.1f} times its "
            f"usual error (limit {MAX_ERROR_RATIO:g})",
            value=ratio,
            limit=MAX_ERROR_RATIO,
            details=(
                f"{comparison.champion_version} has a mean absolute error of "
                f"{comparison.champion_error_hours:.2f} h on {comparison.compared_rows:,} test "
                f"rows, where {usual_error(comparison):.2f} h are usual.",
                *_most_moved(comparison),
            ),
            remedy=IF_HOURS_CHANGED,
        )
    ]


def _echo_failures(comparison: ChampionComparison) -> list[Failure]:
    """Return that both models are too good to be true on labels of this week, or nothing.

    The estimates of an older model are an echo as well: the challenger alone fits them exactly.
    """
    recorded = comparison.champion_recorded_error_hours
    errors = (comparison.champion_error_hours, comparison.challenger_error_hours)
    least = min((error for error in errors if error is not None), default=None)
    if least is None or comparison.same_dataset or recorded < MIN_ERROR_HOURS:
        return []
    if comparison.compared_rows < MIN_ECHO_ROWS or least >= MIN_ERROR_RATIO * recorded:
        return []
    return [
        Failure(
            rule="echo",
            summary=f"{UNLIKE_THE_LAST}: labels agree with estimates to {least:.2g} h, less than "
            f"{MIN_ERROR_RATIO:g} of the usual error of {recorded:.2f} h",
            value=least / recorded,
            limit=MIN_ERROR_RATIO,
            details=(
                f"On {comparison.compared_rows:,} test rows the model in production has a mean "
                f"absolute error of {errors[0]:.2g} h and the new one of {errors[1]:.2g} h; "
                f"{comparison.champion_version} had {recorded:.2f} h in its own week.",
                "Hours that were measured are not so exact: the labels may be estimates of a "
                "model, and intervals learnt from them would hold next to no orders.",
            ),
            remedy=f"If the hours really are so exact now, {option_of('accept_shift')} publishes "
            "the new model.",
        )
    ]


def _most_moved(comparison: ChampionComparison) -> list[str]:
    """Return which products to look at first; nothing if none could be compared."""
    if not comparison.shifts:
        return []
    return [f"Estimates moved most for {first_few(_codes(comparison.shifts))}."]


def _codes(shifts: Sequence[ProductShift]) -> list[str]:
    return [shift.product_code for shift in shifts]


def _ratios(shifts: Sequence[ProductShift]) -> str:
    """Return the ratios of the products that `first_few` names."""
    return ", ".join(f"{shift.ratio:.3g}" for shift in shifts[:MAX_NAMES])


def _champions_error(comparison: ChampionComparison) -> str:
    """Return what the challenger's error is compared with, and where it comes from."""
    champion = f"the model in production ({comparison.champion_version})"
    error = f"{comparison.champion_error_hours:.2f} h"
    if comparison.same_dataset:
        return f"{champion} recorded {error} on this dataset"
    return f"{champion} has {error}"
