"""A dataset of a store: what is read of it, and what becomes of its bad rows."""

import gzip
import hashlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import boto3
import pandas as pd
import pytest

from pipeline.orders.deliveries import newest_delivery
from pipeline.orders.weekly_dataset import WeeklyDataset, load_dataset
from pipeline.stages.errors import DatasetError, ObjectChanged
from pipeline.stores.base import ObjectStore, open_store
from pipeline.stores.directory import DirectoryStore

HEADER = "product_code,orders_placed,hours_to_dispatch\n"
SOUND = "SKU001,112,8.28\n"
BAD = "SKU001,-1,2\n"
NOW = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
KEY = "datasets/time_to_dispatch_2026-11-20T23-00-00.csv"
REJECTED = "rejected/time_to_dispatch_2026-11-20T23-00-00.csv"


def read(store: ObjectStore, max_rejected_share: float) -> WeeklyDataset:
    return load_dataset(store, newest_delivery(store, NOW), max_rejected_share)


def test_the_dataset_with_the_newest_time_in_its_name_is_read(store: DirectoryStore) -> None:
    store.write_new("datasets/time_to_dispatch_2026-11-20T23:00:00.csv", (HEADER + SOUND).encode())
    store.write_new("datasets/time_to_dispatch_2026-11-13T23|00|00.csv", HEADER.encode())
    store.write_new("datasets/zzz_newest.csv", HEADER.encode())

    dataset = read(store, max_rejected_share=0.0)

    assert dataset.key == "datasets/time_to_dispatch_2026-11-20T23:00:00.csv"
    assert dataset.delivered_at.isoformat() == "2026-11-20T23:00:00+00:00"
    assert dataset.sha256 == hashlib.sha256((HEADER + SOUND).encode()).hexdigest()
    assert (len(dataset.orders), len(dataset.rejected)) == (1, 0)


@pytest.mark.parametrize("key", [KEY, f"{KEY}.gz"])
def test_a_packed_dataset_is_the_same_as_the_unpacked_one(store: DirectoryStore, key: str) -> None:
    content = (HEADER + SOUND).encode()
    store.write_new(key, gzip.compress(content))

    dataset = read(store, max_rejected_share=0.0)

    assert (dataset.key, len(dataset.orders)) == (key, 1)
    assert dataset.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.slow
def test_a_dataset_that_s3_keeps_with_a_content_encoding_is_unpacked_once(
    s3_store_url: str,
) -> None:
    content = gzip.compress((HEADER + SOUND).encode())
    bucket, prefix = s3_store_url.removeprefix("s3://").split("/")
    with closing(boto3.client("s3")) as client:
        key = f"{prefix}/{KEY}"
        client.put_object(Bucket=bucket, Key=key, Body=content, ContentEncoding="gzip")

    assert len(read(open_store(s3_store_url), max_rejected_share=0.0).orders) == 1


def test_a_damaged_dataset_is_refused_by_name(store: DirectoryStore) -> None:
    store.write_new(KEY, gzip.compress((HEADER + SOUND).encode())[:-1])

    with pytest.raises(DatasetError, match=f"{KEY}: it is a damaged gzip file"):
        read(store, max_rejected_share=0.0)


def test_a_dataset_with_decimal_commas_is_refused_with_what_to_do(store: DirectoryStore) -> None:
    store.write_new(KEY, (HEADER + SOUND + 'SKU001,1,"2,5"\n').encode())

    with pytest.raises(DatasetError, match=r"(?s)decimal comma .* \(1\).*UTF-8 with commas"):
        read(store, max_rejected_share=0.01)


def test_an_unusable_dataset_is_named_with_all_its_faults(store: DirectoryStore) -> None:
    store.write_new(KEY, b"orders_placed\n")

    with pytest.raises(
        DatasetError, match=f"(?s){KEY}: .*product_code.*hours_to_dispatch.*no rows"
    ):
        read(store, max_rejected_share=0.0)


def test_bad_rows_are_kept_and_counted_when_they_are_few(
    store: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.write_new(KEY, (HEADER + SOUND * 99 + BAD).encode())

    dataset = read(store, max_rejected_share=0.01)

    assert (len(dataset.orders), len(dataset.rejected)) == (99, 1)
    assert store.read(REJECTED).decode().splitlines() == [
        "product_code,orders_placed,hours_to_dispatch,reason",
        "SKU001,-1,2,orders_placed is negative",
    ]
    assert "1 of 100 rows (1.00%)" in caplog.text
    assert "orders_placed is negative (1)" in caplog.text


def test_bad_rows_are_kept_and_the_dataset_is_refused_when_they_are_many(
    store: DirectoryStore,
) -> None:
    store.write_new(KEY, (HEADER + SOUND * 98 + BAD * 2).encode())

    with pytest.raises(DatasetError) as refusal:
        read(store, max_rejected_share=0.01)

    assert "2 of 100 rows (2.00%)" in str(refusal.value)
    assert "more than the limit of 0.01" in str(refusal.value)
    assert f"{store.url}/{REJECTED}" in str(refusal.value)
    assert len(store.read(REJECTED).splitlines()) == 3


def test_rows_that_stray_quotes_swallow_are_counted_and_refuse_the_dataset(
    store: DirectoryStore,
) -> None:
    rows = SOUND * 299 + '"' + SOUND * 400 + 'SKU"001,1,2\n' + SOUND * 300
    store.write_new(KEY, (HEADER + rows).encode())

    with pytest.raises(
        DatasetError, match=r"401 of 1,000 rows \(40\.10%\) (.|\n)* line break \(1\)"
    ):
        read(store, max_rejected_share=0.01)

    assert len(store.read(REJECTED).splitlines()) == 402


def test_bad_rows_of_a_dataset_are_kept_once_and_those_of_a_corrected_one_beside_them(
    store: DirectoryStore, tmp_path: Path
) -> None:
    store.write_new(KEY, (HEADER + SOUND + BAD).encode())
    for _ in range(2):
        read(store, max_rejected_share=0.5)
    assert store.list_keys("rejected") == [REJECTED]
    corrected = (HEADER + SOUND * 2 + "SKU001,x,2\n").encode()
    (tmp_path / KEY).write_bytes(corrected)

    for _ in range(2):
        read(store, max_rejected_share=0.5)

    first, second = sorted(store.list_keys("rejected"), key=len)
    assert first == REJECTED
    assert hashlib.sha256(corrected).hexdigest()[:16] in second
    assert "not a number" in pd.read_csv(tmp_path / second)["reason"][0]


class ChangingStore(DirectoryStore):
    """A store in which somebody writes into files while they are read, so many times."""

    def __init__(self, root: str, times: int, line: str) -> None:
        """Open a folder."""
        super().__init__(root)
        self._times = times
        self._line = line

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Open a file, and change it."""
        with super().open(key) as file:
            if self._times:
                self._times -= 1
                with (Path(self.url) / key).open("a") as other:
                    other.write(self._line)
            yield file


@pytest.mark.parametrize("line", [SOUND, '"half of a'])
def test_a_dataset_that_is_changed_while_it_is_read_is_read_again(
    line: str, store: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.write_new(KEY, (HEADER + SOUND).encode())
    changing = ChangingStore(store.url, 1, SOUND)
    assert len(read(changing, max_rejected_share=0.0).orders) == 2
    assert f"Cannot read {store.url}/{KEY}: it was changed meanwhile. It is read again" in (
        caplog.text
    )

    with pytest.raises(ObjectChanged, match="rename it when it is whole"):
        read(ChangingStore(store.url, 2, line), max_rejected_share=0.0)
