"""What every store must do: the same tests for a folder and for S3."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest

from pipeline.stages.errors import ObjectExists, ObjectMissing
from pipeline.stores.base import ObjectStore, open_store
from pipeline.stores.directory import DirectoryStore
from pipeline.stores.s3 import S3Store

KEY = "models/a.onnx"


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Return an empty store of each kind."""
    if request.param == "folder":
        return open_store(str(tmp_path))
    return open_store(request.getfixturevalue("s3_store_url"))


@pytest.mark.parametrize("size", [0, 1_000, 20_000_000])
def test_an_object_of_any_size_is_read_as_it_was_written(store: ObjectStore, size: int) -> None:
    content = os.urandom(size)

    store.write_new(KEY, content)

    assert store.read(KEY) == content


def test_keys_directly_in_the_folder_are_listed_in_order(store: ObjectStore) -> None:
    names = ["B", "a", "a|b c+d:e", "b", "ä"]
    for key in [*(f"models/{name}" for name in reversed(names)), "models2/c", "datasets/d.csv"]:
        store.write_new(key, b"content")
    store.write_new("models/old/b.onnx", b"content")

    assert store.list_keys("models") == [f"models/{name}" for name in names]
    assert store.list_keys("models/old") == ["models/old/b.onnx"]


def test_folders_directly_in_the_folder_are_listed_in_order(store: ObjectStore) -> None:
    for key in ["datasets/b/part-0.csv", "datasets/a/part-0.csv", "datasets/a/x/y", "datasets/c"]:
        store.write_new(key, b"content")

    assert store.list_folders("datasets") == ["datasets/a/", "datasets/b/"]
    assert store.list_keys("datasets/a") == ["datasets/a/part-0.csv"]
    assert store.list_folders("nowhere") == []


@pytest.mark.parametrize("size", [0, 20_000_000])
def test_an_opened_object_is_read_from_any_position(store: ObjectStore, size: int) -> None:
    content = os.urandom(size)
    store.write_new(KEY, content)

    with store.open(KEY) as file:
        assert file.read() == content
        assert file.seek(size // 2) == size // 2
        assert file.read(10) == content[size // 2 :][:10]


def test_each_key_has_the_time_when_it_was_written(store: ObjectStore) -> None:
    before = datetime.now(UTC).replace(microsecond=0)  # S3 tells no fractions of seconds
    for name in "ab":
        store.write_new(f"datasets/{name}", b"content")

    times = store.list_times("datasets")

    assert times.keys() == {"datasets/a", "datasets/b"}
    assert all(before <= time <= datetime.now(UTC) for time in times.values())
    assert store.list_times("nowhere") == {}


def test_an_absent_key_cannot_be_read(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing) as failure:
        store.read(KEY)
    with pytest.raises(ObjectMissing, match="^Cannot read "), store.open(KEY):
        pass

    assert str(failure.value).startswith(f"Cannot read {store.url}/{KEY}: ")


@pytest.mark.parametrize("content", [b"second", b"first"], ids=["other", "the same"])
def test_a_taken_key_is_never_overwritten(store: ObjectStore, content: bytes) -> None:
    store.write_new(KEY, b"first")

    with pytest.raises(ObjectExists) as failure:
        store.write_new(KEY, content)

    assert str(failure.value).startswith(f"Cannot write {store.url}/{KEY}: ")
    assert "nothing is ever overwritten" in str(failure.value)
    assert store.read(KEY) == b"first"


def test_one_of_many_writers_of_a_key_wins(store: ObjectStore) -> None:
    contents = [os.urandom(100_000) for _ in range(8)]
    start = Barrier(len(contents))

    def wins(content: bytes) -> bool:
        start.wait()
        try:
            store.write_new(KEY, content)
        except ObjectExists:
            return False
        return True

    with ThreadPoolExecutor(len(contents)) as pool:
        winners = [content for content, won in zip(contents, pool.map(wins, contents)) if won]

    assert winners == [store.read(KEY)]


def test_a_url_that_is_a_path_opens_a_folder(tmp_path: Path) -> None:
    store = open_store(f"{tmp_path}/")

    assert isinstance(store, DirectoryStore)
    assert store.url == str(tmp_path)


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/a/b"])
def test_a_url_of_s3_opens_a_bucket(url: str) -> None:
    assert isinstance(open_store(url), S3Store)
    assert open_store(url).url == open_store(f"{url}/").url == url
