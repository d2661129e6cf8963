"""All rows of a week, fitted and tested bucket by bucket, by one function wherever it runs.

What all products have in common is planned before, on whole products. With that, a bucket is fitted
as if there were no other, and gives the same curves to the last bit in whatever company.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.curves.estimator import DispatchCurve
from pipeline.model.arrays import Floats
from pipeline.model.metadata import RepeatedRows
from pipeline.orders.buckets import Bucket, RowsInMemory
from pipeline.orders.features import features_of
from pipeline.orders.order_rows import concat_orders
from pipeline.orders.scanned_rows import drawn, halvings_for
from pipeline.orders.splits import FOLDS, TEST_FOLD, Split, deal_out
from pipeline.orders.week_rows import WeekRows
from pipeline.stages.logs import LOG
from pipeline.stages.progress import counted
from pipeline.stages.workers import HERE, Workers
from pipeline.training.selection import Candidate, OutOfSample

MAX_TEST_ROWS = 500_000
"""As many are enough to measure the noise of thousands of products, and to calibrate on."""


class PlannedCandidate(NamedTuple):
    """A candidate, and what all products have in common.

    Attributes:
        candidate: the kind of model.
        train_plan: learnt from training rows; None if the candidate plans nothing.
        plan: learnt from all rows.
    """

    candidate: Candidate
    train_plan: Any
    plan: Any


class BucketJob(NamedTuple):
    """What there is to do with each bucket.

    Attributes:
        planned: candidates to test; the first one is fitted to all rows too.
        repeats: whether equal rows stay together.
        halvings: how often the test rows are halved.
        past: rows of earlier weeks that each fit gets as well, see `Candidate.fit`.
    """

    planned: Sequence[PlannedCandidate]
    repeats: RepeatedRows
    halvings: int
    past: pd.DataFrame | None


class FittedBucket(NamedTuple):
    """What came out of a bucket.

    Attributes:
        regressor: the first candidate, fitted on all rows.
        test: test rows, as many as were asked for.
        estimates: for them by the fits on the training rows, shape (n_candidates, n_rows).
        train_rows: number of training rows.
    """

    regressor: DispatchCurve
    test: pd.DataFrame
    estimates: Floats
    train_rows: int


class FittedWeek(NamedTuple):
    """A candidate fitted on all rows of a week, and how a fit on some of them does on the others.

    Attributes:
        regressor: fitted on all rows.
        test: test rows with estimates of a fit on the training rows, at most half a million.
        guesses: the same rows with what each guess says, by its name.
        train_rows: number of training rows.
        repeats: how many rows of the week repeat others.
    """

    regressor: DispatchCurve
    test: OutOfSample
    guesses: dict[str, OutOfSample]
    train_rows: int
    repeats: RepeatedRows


def fit_week(
    candidates: Sequence[Candidate],
    week: WeekRows,
    split: Split,
    past: pd.DataFrame | None,
    workers: Workers = HERE,
) -> FittedWeek:
    """Fit and test a candidate on all rows of a week, and test guesses beside it.

    Args:
        candidates: the candidate, and the guesses.
        week: its rows.
        split: of whole products of the week, to plan on.
        past: rows of earlier weeks that each fit gets as well, see `Candidate.fit`.
        workers: fit the buckets, if there are several.

    Raises:
        WorkersError: the workers are lost.
    """
    planned = [_planned(candidate, split, past) for candidate in candidates]
    halvings = halvings_for(week.n_rows // FOLDS, MAX_TEST_ROWS)
    job = BucketJob(planned, split.repeats, halvings, past)
    buckets = week.buckets
    if planned[0].plan is None and len(buckets) > 1:
        buckets = [RowsInMemory(concat_orders([bucket.rows() for bucket in buckets]))]
    fitted = _merged(list(_fit_buckets(job, buckets, workers)))
    tested = [OutOfSample(fitted.test, own) for own in fitted.estimates]
    return FittedWeek(
        regressor=fitted.regressor,
        test=tested[0],
        guesses={each.name: test for each, test in zip(candidates[1:], tested[1:])},
        train_rows=fitted.train_rows,
        repeats=split.repeats,
    )


def _merged(fitted: Sequence[FittedBucket]) -> FittedBucket:
    """Return what came out of all buckets as if there had been one."""
    if len(fitted) == 1:
        return fitted[0]
    regressors: list[Any] = [each.regressor for each in fitted]
    return FittedBucket(
        regressors[0].merge(regressors),
        concat_orders([each.test for each in fitted]),
        np.concatenate([each.estimates for each in fitted], axis=1),
        sum(each.train_rows for each in fitted),
    )


def _planned(candidate: Candidate, split: Split, past: pd.DataFrame | None) -> PlannedCandidate:
    """Learn from whole products what a candidate needs to know of all of them."""
    return PlannedCandidate(
        candidate,
        candidate.plan(split.train, past),
        candidate.plan(split.orders, past),
    )


def _fit_buckets(
    job: BucketJob, buckets: Sequence[Bucket], workers: Workers
) -> Iterator[FittedBucket]:
    """Yield what comes out of each bucket; a single one is here, or as good as all rows."""
    if len(buckets) == 1:
        return iter([fit_bucket(job, buckets[0])])
    LOG.info(f"Fitting {len(buckets):,} buckets of products {workers.place}.")
    return counted(workers.map(partial(fit_bucket, job), buckets), len(buckets), "buckets")


def fit_bucket(job: BucketJob, bucket: Bucket) -> FittedBucket:
    """Fit and test candidates on the rows of a bucket."""
    orders, hashes, folds = deal_out(bucket.rows(), job.repeats)
    is_test = folds == TEST_FOLD
    train = orders[~is_test]
    test = orders[is_test & drawn(hashes, job.halvings)]
    estimates = [
        each.candidate.fit(train, job.past, each.train_plan).predict(features_of(test))
        for each in job.planned
    ]
    first = job.planned[0]
    regressor = first.candidate.fit(orders, job.past, first.plan)
    return FittedBucket(regressor, test, np.array(estimates), len(train))
