"""The new model (the challenger) measured beside the one in production (the champion)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.model.arrays import Floats
from pipeline.model.artifact import MODELS, PUBLISHED_KEY
from pipeline.model.decisions import newest_not_withdrawn, newest_usable_model
from pipeline.model.metadata import ChampionComparison, ProductShift
from pipeline.model.order import PRODUCT
from pipeline.model.reader import DispatchModel, load_model, read_artifact
from pipeline.stages.errors import ArtifactError, ObjectMissing, StoreError
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import name_of
from pipeline.training.bootstrap import least_mean
from pipeline.training.evaluation import GridEstimates
from pipeline.training.selection import OutOfSample

MIN_HOURS_FOR_RATIO = 1.0
"""Below this estimate of the champion's, a difference of minutes would be a large ratio."""
MAX_LISTED_SHIFTS = 100
MIN_ROWS_SHARE = 0.5
"""A week with a smaller share of the champion's rows may teach less than the champion knows."""


class Challenger(NamedTuple):
    """What the comparison needs to know of the new model and its week.

    Attributes:
        test: test rows without outliers, estimated by a fit on the training rows only.
        grid: estimates of the model that is to be published, for all its products.
        rows: rows of this week's dataset of each product of the grid, shape (n_products,).
        noise: standard deviation of a label of each product in hours, shape (n_products,).
        unseen: rows of the week, outliers included, each estimated by a fit that had not seen it.
    """

    test: OutOfSample
    grid: GridEstimates
    rows: npt.NDArray[np.int64]
    noise: Floats
    unseen: OutOfSample


def load_champion(store: ObjectStore) -> DispatchModel | None:
    """Return the model in production, which is the one that would be served, or None.

    Raises:
        ArtifactError: there is one, and it cannot be read or does not pass a check; or there is
            none any more.
        StoreError: the store cannot be listed.
    """
    newest = newest_usable_model(store)
    if newest is None:
        _check_that_none_is_missing(store)
        return None
    try:
        return load_model(store, newest.key)
    except (ArtifactError, StoreError) as error:
        raise ArtifactError(
            f"Cannot compare the new model with the one in production, {store.url}/{newest.key}: "
            f"{error} Nothing is published. If the model in production is lost, --ignore-champion "
            "publishes without comparing."
        ) from error


def _check_that_none_is_missing(store: ObjectStore) -> None:
    """Refuse a store from which all models have gone, so that nothing is published unjudged."""
    if store.list_keys(MODELS):
        return  # all of them are withdrawn, or are named otherwise
    try:
        first = store.read(PUBLISHED_KEY).decode(errors="replace").strip()
    except ObjectMissing:
        return
    raise ArtifactError(
        f"There is no model in {store.url}/{MODELS} any more: {first} was the first.",
        "Bring the models back, or publish without comparing with --ignore-champion.",
    )


def newest_beside(store: ObjectStore, champion: DispatchModel) -> DispatchModel:
    """Return the newest model that is not withdrawn: the champion, unless people pinned another.

    One that cannot be read may be why they did: then it is the champion, too.

    Raises:
        StoreError: the store cannot be listed or read.
    """
    newest = newest_not_withdrawn(store)
    if newest is None or name_of(newest.key) == champion.version:
        return champion
    try:
        return read_artifact(newest.key, store.read(newest.key))
    except ArtifactError:
        return champion


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
    same_dataset = champion.metadata.dataset.sha256 == dataset_sha256
    errors = _errors_on_known_rows(champion, challenger, same_dataset)
    ratios = estimate_ratios(champion, challenger.grid)
    known = ratios[np.isfinite(ratios)]
    n_rows = int(challenger.rows.sum())
    is_small = n_rows < MIN_ROWS_SHARE * champion.metadata.dataset.rows and not same_dataset
    is_shifted = (ratios < 1 / max_shift) | (ratios > max_shift)
    return ChampionComparison(
        champion_version=champion.version,
        same_dataset=same_dataset,
        compared_rows=len(errors.champion),
        champion_error_hours=_mean(errors.champion),
        challenger_error_hours=_mean(errors.challenger),
        least_excess_hours=least_mean(errors.challenger - errors.champion),
        champion_recorded_error_hours=champion.metadata.metrics.mean_absolute_error_hours,
        champion_test_rows=champion.metadata.metrics.test_rows,
        champion_rows=champion.metadata.dataset.rows,
        challenger_rows=n_rows,
        most_excess_hours=_most_excess(champion, challenger.unseen) if is_small else None,
        shifted_share=int(challenger.rows[is_shifted].sum()) / n_rows,
        median_ratio=float(np.median(known)) if len(known) else None,
        shifts=tuple(_farthest(challenger, ratios)),
    )


def champion_on_grid(champion: DispatchModel, grid: GridEstimates) -> Floats:
    """Return the champion's hours at the points of a grid, shape (n_products, n_points).

    The rows of products that the champion does not know are NaN.
    """
    return grid.filled(champion.estimate).hours


def estimate_ratios(earlier: DispatchModel, grid: GridEstimates) -> Floats:
    """Return how many times as high the estimates of each product are as an earlier model's.

    It is the median over a grid of order counts, where the earlier model says an hour or more, and
    at least the step in which the hours of its week came; shape (n_products,), NaN for products of
    which it never does, or which it does not know.
    """
    return ratios_to(champion_on_grid(earlier, grid), earlier, grid)


def ratios_to(before: Floats, earlier: DispatchModel, grid: GridEstimates) -> Floats:
    """Return the same as `estimate_ratios`, from hours of the earlier model on the grid."""
    least = max(MIN_HOURS_FOR_RATIO, earlier.metadata.dataset.step_hours or 0.0)
    is_usable = before >= least  # no NaN is
    after = np.maximum(grid.hours, 0.0)  # no logarithm of what other rules refuse
    quotients = np.divide(after, before, out=np.full_like(before, np.nan), where=is_usable)
    ratios = np.full(len(before), np.nan)
    comparable = is_usable.any(axis=1)
    ratios[comparable] = np.nanmedian(quotients[comparable], axis=1)
    return ratios


def has_shifted(ratio: float, max_shift: float) -> bool:
    """Tell whether estimates grew or shrank by more than a factor."""
    return not 1 / max_shift <= ratio <= max_shift


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
    test = _known(champion, challenger.test)
    if same_dataset:
        recorded = champion.metadata.metrics.mean_absolute_error_hours
        return _Errors(np.full(len(test.rows), recorded), np.abs(test.residuals))
    champion_test = test._replace(estimates=champion.estimate(test.rows))
    return _Errors(np.abs(champion_test.residuals), np.abs(test.residuals))


def _most_excess(champion: DispatchModel, unseen: OutOfSample) -> float | None:
    """Return by how many hours the challenger may be worse at most, or None without rows."""
    known = _known(champion, unseen)
    champions = known._replace(estimates=champion.estimate(known.rows))
    least_gain = least_mean(np.abs(champions.residuals) - np.abs(known.residuals))
    return None if least_gain is None else -least_gain


def _known(champion: DispatchModel, part: OutOfSample) -> OutOfSample:
    """Return the rows whose product the champion knows."""
    return part.where(part.rows[PRODUCT].isin(list(champion.products)).to_numpy())


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _farthest(challenger: Challenger, ratios: Floats) -> Iterator[ProductShift]:
    """Yield the products that moved most; those whose ratio is NaN could not be compared."""
    with np.errstate(divide="ignore"):  # |ln ratio|: doubled and halved are equally far
        farthest_first = np.argsort(-np.abs(np.log(ratios)), kind="stable")
    for position in farthest_first[: min(MAX_LISTED_SHIFTS, np.isfinite(ratios).sum())].tolist():
        yield ProductShift(
            product_code=str(challenger.grid.products[position]),
            ratio=float(ratios[position]),
            rows=int(challenger.rows[position]),
        )
