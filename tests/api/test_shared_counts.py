"""Workers tell each other what they count, and what one tells is the sum of all."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import BinaryIO

import pytest

from pipeline.api.counts import ServiceCounts
from pipeline.api.metrics import ServiceMetrics
from pipeline.api.shared_counts import SharedCounts, files_for
from tests.support.service_fixtures import V0_1, V0_2, HandMadeModel


def worker(files: Sequence[BinaryIO], place: int, version: str = "by_hand") -> ServiceMetrics:
    """Return the metrics of a new worker in a place."""
    metrics = ServiceMetrics()
    metrics.describe_model(HandMadeModel(version=version))
    metrics.share(SharedCounts(files, place))
    return metrics


@pytest.fixture
def files() -> Iterator[Sequence[BinaryIO]]:
    """Return the files of four workers."""
    with ExitStack() as stack:
        yield [stack.enter_context(file) for file in files_for(4)]


def told(metrics: ServiceMetrics) -> set[str]:
    """Return the lines that metrics tell of the service."""
    lines = metrics.exposition().decode().splitlines()
    return {line for line in lines if line.startswith("ttd_")}


def count_something(metrics: ServiceMetrics) -> None:
    """Count one of each."""
    metrics.count_request(V0_1, 200, 0.0003)
    metrics.count_request(V0_2, 422, 2.0)
    metrics.count_prediction("SKU001", True)
    metrics.count_predictions({"SKU002": 3, "unknown": 4}, 5)
    metrics.count_refusal("too_slow")
    metrics.count_reload("refused")
    metrics.counts.in_progress += 1


@pytest.mark.parametrize("n_workers", [1, 2, 3])
def test_each_worker_tells_the_sum_of_all(n_workers: int, files: Sequence[BinaryIO]) -> None:
    workers = [worker(files, place) for place in range(n_workers)]
    alone = ServiceMetrics()
    alone.describe_model(HandMadeModel())
    for metrics in workers:
        count_something(metrics)
        count_something(alone)
        metrics.tell_others()
    for metrics in workers:
        assert told(metrics) == told(alone)


def test_who_is_asked_next_knows_at_least_as_much(files: Sequence[BinaryIO]) -> None:
    first, second = worker(files, 1), worker(files, 2)
    count_something(first)
    assert 'ttd_predictions_total{product_code="SKU001"} 1.0' in told(first)
    assert 'ttd_predictions_total{product_code="SKU001"} 1.0' in told(second)


def test_a_worker_goes_on_with_the_counts_of_the_one_before_it_and_not_with_its_work(
    files: Sequence[BinaryIO],
) -> None:
    before, other = worker(files, 1), worker(files, 2)
    count_something(before)
    before.tell_others()
    other.tell_others()
    after = worker(files, 1, version="newer")
    count_something(after)
    lines = told(after)
    assert 'ttd_predictions_total{product_code="SKU002"} 6.0' in lines
    assert "ttd_requests_in_progress 1.0" in lines
    assert told(other) == lines
    assert len([line for line in lines if line.startswith("ttd_model_info")]) == 2


def test_the_oldest_model_of_any_worker_gives_the_time(files: Sequence[BinaryIO]) -> None:
    old = worker(files, 1)
    new = ServiceMetrics()
    new.share(SharedCounts(files, 2))
    assert b"ttd_model_trained_timestamp_seconds" not in new.exposition()
    old.tell_others()
    assert b"ttd_model_trained_timestamp_seconds" in new.exposition()


def test_what_is_read_is_what_was_told(files: Sequence[BinaryIO]) -> None:
    metrics = worker(files, 1)
    count_something(metrics)
    metrics.tell_others()
    (read,) = SharedCounts(files, 2).of_others()
    assert read == metrics.counts
    assert SharedCounts(files, 3).inherited() == ServiceCounts()


def test_a_worker_that_was_killed_while_it_told_has_told_what_it_told_before(
    files: Sequence[BinaryIO],
) -> None:
    metrics = worker(files, 1)
    for _ in range(2):
        count_something(metrics)
        metrics.tell_others()
    os.pwrite(files[1].fileno(), b"half of", 2**26 * 2)  # where the next telling goes
    (read,) = SharedCounts(files, 2).of_others()
    assert read == metrics.counts
