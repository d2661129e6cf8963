"""The newly trained model (the challenger) against the one in production (the champion)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from pipeline.artifact_format import MODELS, SUFFIX
from pipeline.artifact_reader import DispatchModel, load_model
from pipeline.model_checks import GridEstimates, listed
from pipeline.model_lineage import ChampionComparison, Floats, ProductShift
from pipeline.object_store import ObjectStore
from pipeline.order_rows import HOURS, ORDERS, PRODUCT
from pipeline.stage_errors import ArtifactError, StoreError
from pipeline.timestamped_keys import find_newest

CONFIDENCE = 0.99
"""There is a comparison each week, and a sound week should hardly ever fail one."""
RESAMPLES = 999
RESAMPLES_AT_ONCE = 50
"""Keeps the bootstrap within a few megabytes."""
MAX_BOOTSTRAP_ROWS = 10_000
BOOTSTRAP_SEED = 20210705

MIN_COMPARED_ROWS = 20
"""With fewer rows the bootstrap interval is too narrow: of two rows, it calls one pair of equally
good models in five different."""
NEGLIGIBLE_HOURS = 0.01
"""Errors below this count as this much, so that labels without noise do not make every rounding
error of a model a multiple of the last one."""
LEAST_HOURS_FOR_RATIO = 1.0
"""Below this estimate of the champion's, a difference of minutes would be a large ratio."""
MAX_SHIFTED_SHARE = 0.1
MAX_ERROR_GROWTH = 8.0
"""A week may double or triple the champion's error when all slopes move by a tenth or two."""
MAX_SHIFTS = 100


class Challenger(NamedTuple):
    """What the comparison needs to know of the new model and its week.

    Attributes:
        test: test rows without outliers, with `product_code`, `orders_placed` and
            `hours_to_dispatch`; n_rows of them.
        test_estimates: hours for them by the model that was fitted on the training rows only,
            shape (n_rows,).
        grid: estimates of the model that is to be published, for all its products.
        rows: rows of this week's dataset of each product of the grid, shape (n_products,).
    """

    test: pd.DataFrame
    test_estimates: Floats
    grid: GridEstimates
    rows: npt.NDArray[np.int64]


def load_champion(store: ObjectStore) -> DispatchModel | None:
    """Return the model in production, which is the newest of a store, or None if there is none.

    Raises:
        ArtifactError: there is one, and it cannot be read or does not pass a check.
        StoreError: the store cannot be listed.
    """
    newest = find_newest(store.list_keys(MODELS), SUFFIX)
    if newest is None:
        return None
    try:
        return load_model(store, newest.key)
    except (ArtifactError, StoreError) as error:
        raise ArtifactError(
            f"Cannot compare the new model with the one in production, {store.url}/{newest.key}: "
            f"{error} Nothing is published. If the model in production is lost, --ignore-champion "
            "publishes without comparing."
        ) from error


def compare_with_champion(
    champion: DispatchModel, challenger: Challenger, dataset_sha256: str, max_shift: float
) -> ChampionComparison:
    """Compare errors on this week's test rows, and estimates over this week's order counts.

    Args:
        champion: the model in production.
        challenger: the new model and its week.
        dataset_sha256: hash of the dataset that the challenger was trained on, in hex digits.
        max_shift: a product has shifted if its estimates grew or shrank by a larger factor.
    """
    same_dataset = champion.lineage.dataset.sha256 == dataset_sha256
    errors = _errors_on_known_rows(champion, challenger, same_dataset)
    shifts = _shifts(champion, challenger)
    shifted_rows = sum(shift.rows for shift in shifts if _is_outside(shift.ratio, max_shift))
    return ChampionComparison(
        champion_version=champion.version,
        same_dataset=same_dataset,
        compared_rows=len(errors.champion),
        champion_error_hours=_mean(errors.champion),
        challenger_error_hours=_mean(errors.challenger),
        least_excess_hours=_least_mean(errors.challenger - errors.champion),
        champion_recorded_error_hours=champion.lineage.metrics.mean_absolute_error_hours,
        shifted_share=shifted_rows / int(challenger.rows.sum()),
        median_ratio=_median_ratio(shifts),
        shifts=tuple(shifts[:MAX_SHIFTS]),
    )


def champion_on_grid(champion: DispatchModel, grid: GridEstimates) -> Floats:
    """Return the champion's hours at the points of a grid, shape (n_products, n_points).

    The rows of products that the champion does not know are NaN. All points are asked for in one
    call, which takes less than 0.1 s for 10,000 products of 41 points.
    """
    codes = [str(code) for code in np.repeat(grid.products, grid.orders.shape[1])]
    return champion.estimate(codes, grid.orders.ravel()).reshape(grid.orders.shape)


def comparison_failures(comparison: ChampionComparison, champion_tolerance: float) -> list[str]:
    """Return why the challenger's error is too large beside the champion's, or nothing.

    It may be larger by a share, and by what chance explains. A week that is unlike the last does
    not break this rule: it is the champion that such a week surprises.

    Args:
        comparison: of the two models.
        champion_tolerance: share of the champion's error by which the challenger's may exceed it.
    """
    champion_error = comparison.champion_error_hours
    challenger_error = comparison.challenger_error_hours
    least_excess = comparison.least_excess_hours
    if champion_error is None or challenger_error is None or least_excess is None:
        return []
    limit = (1 + champion_tolerance) * max(champion_error, NEGLIGIBLE_HOURS)
    is_certain = least_excess > 0 and comparison.compared_rows >= MIN_COMPARED_ROWS
    if challenger_error <= limit or not is_certain:
        return []
    return [
        f"the new model's mean absolute error on {comparison.compared_rows:,} test rows is "
        f"{challenger_error:.2f} h, {challenger_error - champion_error:.2f} h more than the "
        f"{champion_error:.2f} h that {_champion_and_rows(comparison)}, "
        f"by no chance (at least {least_excess:.3f} h more with {CONFIDENCE:.0%} confidence) and "
        f"above the {limit:.2f} h that --champion-tolerance {champion_tolerance:g} allows"
        f"{_most_moved(comparison)}: it has learnt less from this week, which may have too few "
        "rows; a larger --champion-tolerance accepts it"
    ]


def shift_failures(comparison: ChampionComparison, max_shift: float) -> list[str]:
    """Return why the week is unlike the champion's, or nothing if it is alike.

    `--accept-shift` lets such weeks pass, so the caller ignores these failures then.

    Args:
        comparison: of the two models, made with the same `max_shift`.
        max_shift: factor by which the estimates of most products may grow or shrink.
    """
    return [*_movement_failures(comparison, max_shift), *_surprise_failures(comparison)]


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
            f"{LEAST_HOURS_FOR_RATIO:g} h or more for no product and order count of this week."
        )
    ratios = ", ".join(f"{shift.ratio:.3g}" for shift in comparison.shifts[:5])
    return (
        f"The estimates are {comparison.median_ratio:.3g} times those of {champion} in the median "
        f"over products; most moved {listed(_codes(comparison.shifts))} (first {ratios} times)."
    )


class _Errors(NamedTuple):
    """Absolute errors on the test rows whose product the champion knows, both in hours."""

    champion: Floats
    challenger: Floats


def _errors_on_known_rows(
    champion: DispatchModel, challenger: Challenger, same_dataset: bool
) -> _Errors:
    """Return the errors of both models on the rows that both can estimate.

    Of rows that the champion was fitted on, its own record is the fair error.
    """
    known = challenger.test[PRODUCT].isin(list(champion.products)).to_numpy()
    test = challenger.test[known]
    truth = test[HOURS].to_numpy(dtype=float)
    challenger_errors = np.abs(challenger.test_estimates[known] - truth)
    if same_dataset:
        recorded = champion.lineage.metrics.mean_absolute_error_hours
        return _Errors(np.full(len(truth), recorded), challenger_errors)
    estimates = champion.estimate(test[PRODUCT].astype(str).tolist(), test[ORDERS].to_numpy())
    return _Errors(np.abs(estimates - truth), challenger_errors)


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _median_ratio(shifts: list[ProductShift]) -> float | None:
    return float(np.median([shift.ratio for shift in shifts])) if shifts else None


def _least_mean(differences: Floats) -> float | None:
    """Return the lower end of a one-sided percentile bootstrap interval of a mean, or None.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3. Pairs of errors
    that are resampled together matter only by their difference, so those are resampled.
    """
    if not len(differences):
        return None
    taken = min(len(differences), MAX_BOOTSTRAP_ROWS)
    sample = differences[np.arange(taken) * len(differences) // taken]
    if np.ptp(sample) == 0:
        return float(sample[0])  # every resample is the same, and SciPy refuses a single row
    bootstrap = stats.bootstrap(
        (sample,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=RESAMPLES_AT_ONCE,
        vectorized=True,
        confidence_level=CONFIDENCE,
        alternative="greater",
        method="percentile",
        rng=BOOTSTRAP_SEED,
    )
    return float(bootstrap.confidence_interval.low)


def _shifts(champion: DispatchModel, challenger: Challenger) -> list[ProductShift]:
    """Return how much each product moved that can be compared, those that moved most first."""
    before = champion_on_grid(champion, challenger.grid)
    usable = before >= LEAST_HOURS_FOR_RATIO  # no NaN is
    comparable = np.flatnonzero(usable.any(axis=1))
    after = np.maximum(challenger.grid.hours, 0.0)  # no logarithm of what other rules refuse
    quotients = np.divide(after, before, out=np.full_like(before, np.nan), where=usable)
    ratios = np.nanmedian(quotients[comparable], axis=1)
    with np.errstate(divide="ignore"):
        farthest_first = np.argsort(-np.abs(np.log(ratios)), kind="stable")
    return [
        ProductShift(
            product_code=str(challenger.grid.products[position]),
            ratio=float(ratio),
            rows=int(challenger.rows[position]),
        )
        for position, ratio in zip(comparable[farthest_first], ratios[farthest_first])
    ]


def _champion_and_rows(comparison: ChampionComparison) -> str:
    """Return whose error the challenger's is compared with, and where it comes from."""
    where = "recorded on this dataset" if comparison.same_dataset else "has on the same rows"
    return f"the model in production ({comparison.champion_version}) {where}"


def _movement_failures(comparison: ChampionComparison, max_shift: float) -> list[str]:
    if comparison.shifted_share <= MAX_SHIFTED_SHARE:
        return []
    moved = [shift for shift in comparison.shifts if _is_outside(shift.ratio, max_shift)]
    ratios = ", ".join(f"{shift.ratio:.3g}" for shift in moved[:5])
    return [
        f"this week is unlike the last: {comparison.shifted_share:.1%} of its rows (more than "
        f"{MAX_SHIFTED_SHARE:.0%}) are of products whose estimates grew or shrank by more than "
        f"--max-shift {max_shift:g} since the model in production "
        f"({comparison.champion_version}), namely {listed(_codes(moved))} (now {ratios} times as "
        "high), as swapped product codes or another unit would do; if the hours really changed, "
        "--accept-shift publishes the new model"
    ]


def _surprise_failures(comparison: ChampionComparison) -> list[str]:
    error = comparison.champion_error_hours
    recorded = max(comparison.champion_recorded_error_hours, NEGLIGIBLE_HOURS)
    if error is None or comparison.same_dataset or error <= MAX_ERROR_GROWTH * recorded:
        return []
    return [
        f"this week is unlike the last: the model in production ({comparison.champion_version}) "
        f"is off by {error:.2f} h in the mean of {comparison.compared_rows:,} test rows, "
        f"{error / recorded:.1f} times its error of {recorded:.2f} h in its own week (more than "
        f"{MAX_ERROR_GROWTH:g} times){_most_moved(comparison)}; if the hours really changed, "
        "--accept-shift publishes the new model"
    ]


def _is_outside(ratio: float, max_shift: float) -> bool:
    return not 1 / max_shift <= ratio <= max_shift


def _most_moved(comparison: ChampionComparison) -> str:
    """Return which products to look at first, in brackets; nothing if none could be compared."""
    if not comparison.shifts:
        return ""
    return f" (estimates moved most for {listed(_codes(comparison.shifts))})"


def _codes(shifts: list[ProductShift] | tuple[ProductShift, ...]) -> list[str]:
    return [shift.product_code for shift in shifts]
