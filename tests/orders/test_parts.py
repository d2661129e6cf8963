"""Which folders hold the parts of one whole week."""

from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.orders.parts import parts_of
from pipeline.stages.errors import DatasetError
from pipeline.stores.base import ObjectStore, open_store
from pipeline.stores.directory import DirectoryStore
from tests.support.order_files import FOLDER, deliver_parts

TWO = {"part-1.csv": b"a", "part-0.csv": b"b"}


@pytest.fixture(params=["folder", "S3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Any) -> ObjectStore:
    """Return an empty store of each kind."""
    is_s3 = request.param == "S3"
    return open_store(request.getfixturevalue("s3_store_url") if is_s3 else str(tmp_path))


def test_parts_are_sorted_and_the_bookkeeping_of_other_programs_is_none(
    any_store: ObjectStore,
) -> None:
    others = ["_committed_1", "_started_1", ".part-0.csv.crc", "_temporary/0/part-2.csv"]
    deliver_parts(any_store, TWO | dict.fromkeys(others, b"x"))

    assert [part.key for part in parts_of(any_store, FOLDER)] == [
        f"{FOLDER}part-0.csv",
        f"{FOLDER}part-1.csv",
    ]


@pytest.mark.parametrize(
    "names",
    [
        ["part-00000-2f9a3c4e-2021-0703-2305-32abcdef0123-c000.csv.gz"],
        ["part-00000-tid-8361234567890123456-c000.snappy.PARQUET", "a.parquet"],
        ["time_to_dispatch_2026-11-20T23-00-00_1.csv", "data_0.csv"],
    ],
)
def test_parts_are_named_as_programs_name_them(names: list[str], store: DirectoryStore) -> None:
    deliver_parts(store, dict.fromkeys(names, b"x"))

    assert [part.name for part in parts_of(store, FOLDER)] == sorted(names)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({}, "it is empty: there are no parts in it"),
        ({"part-0.csv": b"", "part-1.parquet": b""}, "both CSV and Parquet: 'part-0.csv' and"),
        ({"part-0.csv": b"", "part-1.csv.tmp": b""}, "what is no part: 'part-1.csv.tmp'"),
        ({"day=1/part-0.csv": b""}, "folders, whose parts would be left out: 'day=1/'"),
        (
            {"part-0.csv": b"", "time_to_dispatch_2026-11-13T23-00-00.csv": b""},
            "parts of another week: 'time_to_dispatch_2026-11-13T23-00-00.csv'",
        ),
    ],
    ids=["no parts", "two kinds", "another file", "partitions", "two weeks"],
)
def test_what_cannot_be_the_parts_of_one_week_is_named(
    parts: Mapping[str, bytes], reason: str, store: DirectoryStore
) -> None:
    deliver_parts(store, parts)

    with pytest.raises(DatasetError, match=reason):
        parts_of(store, FOLDER)


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (None, "not whole: neither _SUCCESS nor _manifest.json is in it"),
        ([*TWO, "part-2.csv"], "not whole: _manifest.json names what is not there: 'part-2.csv'"),
        (["part-0.csv"], "holds parts that _manifest.json does not name: 'part-1.csv'"),
    ],
    ids=["unfinished", "a part is missing", "a part too many"],
)
def test_a_folder_that_is_not_whole_says_why(
    manifest: list[str] | None, reason: str, store: DirectoryStore
) -> None:
    names = None if manifest is None else [{"name": name} for name in manifest]
    deliver_parts(store, TWO, names, success=False)

    with pytest.raises(DatasetError, match=reason):
        parts_of(store, FOLDER)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"{", "Invalid JSON"),
        (b'["part-0.csv"]', "- Input should be an object"),
        (b'{"parts": ["part-0.csv"]}', "parts.0: "),
        (b'{"parts": [{"name": "part-0.csv", "sha256": "12"}]}', "parts.0.sha256: "),
    ],
)
def test_a_manifest_that_cannot_be_read_says_how_it_should_read(
    content: bytes, fault: str, store: DirectoryStore
) -> None:
    deliver_parts(store, TWO | {"_manifest.json": content})

    with pytest.raises(DatasetError, match="its _manifest.json cannot be read") as refusal:
        parts_of(store, FOLDER)

    assert fault in str(refusal.value)
    assert '{"parts": [{"name": "part-00000.csv"}, …]}' in str(refusal.value)
