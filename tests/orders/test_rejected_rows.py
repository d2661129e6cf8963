"""The tally of bad rows, which stays small however many there are."""

import pandas as pd
import pytest

from pipeline.orders.rejected_rows import MAX_KEPT_ROWS, REJECTED, RejectedRows, keep_rejected
from pipeline.stores.directory import DirectoryStore


def test_rows_are_counted_by_reason_and_columns_that_a_chunk_lacks_are_empty() -> None:
    rejected = RejectedRows(
        pd.DataFrame({"a": ["1"], "reason": ["x; y"]}),
        pd.DataFrame({"a": ["2"], "b": ["3"], "reason": ["x"]}),
    )

    assert (len(rejected), rejected.reasons) == (2, {"x": 2, "y": 1})
    assert rejected.rows.to_numpy().tolist() == [["1", "", "x; y"], ["2", "3", "x"]]


def test_of_many_bad_rows_the_first_are_kept_and_all_are_counted(
    store: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    rejected = RejectedRows(*[pd.DataFrame({"reason": ["x"] * (MAX_KEPT_ROWS - 1)})] * 2)

    key = keep_rejected(store, "datasets/week.csv", "ab" * 32, rejected)

    assert key == f"{REJECTED}/week.csv"
    assert store.read(key).count(b"\n") == MAX_KEPT_ROWS + 1
    assert rejected.reasons == {"x": 2 * MAX_KEPT_ROWS - 2}
    assert "Of 1,999,998 bad rows the first 1,000,000 are kept." in caplog.text
