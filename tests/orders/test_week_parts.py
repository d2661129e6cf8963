"""Parts read by workers: the same week, and the same refusals, as one after the other."""

from collections.abc import Mapping

import pandas as pd
import pytest

from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.stages.errors import DatasetError
from pipeline.stages.workers import HERE, LocalWorkers, Workers
from pipeline.stores.directory import DirectoryStore
from tests.support.order_files import HEADER, csv, deliver_parts, read_folder

A, B, C = csv("SKU001,1,2", "SKU002,3,4"), csv("SKU003,5,6"), csv("SKU001,1,2", "SKU000,-1,1")
EMPTY = HEADER.encode()


def told_of(store: DirectoryStore, workers: Workers) -> WeeklyDataset | str:
    """Return the dataset, or all that is told of a refusal."""
    try:
        return read_folder(store, workers=workers)
    except DatasetError as error:
        return str(error)


@pytest.mark.parametrize(
    "parts",
    [
        {"part-0.csv": A, "part-1.csv": EMPTY, "part-2.csv": C, "part-3.csv": B, "4.csv": EMPTY},
        {"part-0.csv": C, "part-1.csv": B + b"SKU001,x,1\n", "part-2.csv": A},
    ],
)
def test_the_week_is_the_same(parts: Mapping[str, bytes], store: DirectoryStore) -> None:
    deliver_parts(store, parts)

    here, apart = told_of(store, HERE), told_of(store, LocalWorkers(2))

    assert isinstance(here, WeeklyDataset) and isinstance(apart, WeeklyDataset)
    assert (apart.sha256, apart.rows_sha256) == (here.sha256, here.rows_sha256)
    pd.testing.assert_frame_equal(apart.orders, here.orders, check_exact=True)
    pd.testing.assert_frame_equal(apart.week.products, here.week.products, check_exact=True)
    pd.testing.assert_frame_equal(apart.rejected.rows, here.rejected.rows)
    assert apart.rejected.reasons == here.rejected.reasons


@pytest.mark.parametrize(
    "parts",
    [
        {"part-0.csv": A, "part-1.csv": B, "part-2.csv": A, "part-3.csv": b""},
        {"part-0.csv": A, "part-1.csv": b"", "part-2.csv": A},
        {"part-0.csv": EMPTY, "part-1.csv": EMPTY},
    ],
    ids=["copy", "empty file", "no rows"],
)
def test_the_first_fault_refuses_it(parts: Mapping[str, bytes], store: DirectoryStore) -> None:
    deliver_parts(store, parts)

    refusal = told_of(store, LocalWorkers(2))

    assert isinstance(refusal, str)
    assert refusal == told_of(store, HERE)
