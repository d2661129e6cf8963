"""Reading a week part by part: the same rows as from one file, and what refuses it."""

import gzip
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from pipeline.orders.deliveries import Delivery
from pipeline.orders.simulator import simulate_orders
from pipeline.orders.week_reader import WeekReader
from pipeline.stages.errors import DatasetError
from pipeline.stages.messages import MAX_HEADLINE_CHARACTERS
from pipeline.stores.directory import DirectoryStore
from tests.support.helpers import logged
from tests.support.order_files import FOLDER, HEADER, csv, deliver_parts, in_parquet, read_folder

WEEK = simulate_orders(300, seed=1).assign(hours_to_dispatch=lambda rows: rows.orders_placed / 7)
PARTS = [WEEK[start : start + 100] for start in (0, 100, 200)]
A, B = csv("SKU001,1,2", "SKU002,3,4"), csv("SKU003,5,6")


def as_csv(orders: pd.DataFrame) -> bytes:
    return orders.to_csv(index=False).encode()


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        ("csv", as_csv),
        ("csv.gz", lambda orders: gzip.compress(as_csv(orders))),
        ("csv", lambda orders: gzip.compress(as_csv(orders))),
        ("csv.gz", as_csv),
        ("parquet", lambda orders: orders.to_parquet()),
        ("parquet", lambda orders: orders.assign(note="x").iloc[:, ::-1].to_parquet()),
        ("parquet", as_csv),
    ],
    ids=["csv", "gzip", "gzip unsaid", "no gzip", "parquet", "other columns", "misnamed"],
)
def test_parts_hold_the_rows_of_the_whole_file_bit_by_bit(
    suffix: str, write: Callable[[pd.DataFrame], bytes], store: DirectoryStore
) -> None:
    deliver_parts(store, {f"part-{n}.{suffix}": write(part) for n, part in enumerate(PARTS)})
    deliver_parts(store, {"part-0.csv": as_csv(WEEK)}, folder="datasets/one/")

    found, whole = read_folder(store), read_folder(store, "datasets/one/")

    pd.testing.assert_frame_equal(found.orders, whole.orders, check_exact=True)
    assert found.rows_sha256 == whole.rows_sha256


def test_the_hash_is_of_the_names_and_contents_of_the_parts(store: DirectoryStore) -> None:
    deliver_parts(store, {"part-1.csv": gzip.compress(B), "part-0.csv": A})
    lines = [f"{hashlib.sha256(part).hexdigest()}  part-{n}.csv\n" for n, part in enumerate([A, B])]

    week = WeekReader(store, Delivery(FOLDER, datetime.now(UTC)))
    list(week.chunks())

    assert week.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_bad_rows_name_their_part_and_stand_beside_those_of_others(store: DirectoryStore) -> None:
    deliver_parts(
        store,
        {
            "part-0.csv": A + b"SKU001,-1,2\n",
            "part-1.csv": B,
            "part-2.csv": b"part,hours_to_dispatch,orders_placed,product_code\n9,x,2,SKU001\n",
        },
    )

    dataset = read_folder(store)

    assert (len(dataset.orders), len(dataset.rejected)) == (3, 2)
    assert dataset.rejected.rows.to_dict("records") == [
        {
            "part": "part-0.csv",
            "product_code": "SKU001",
            "orders_placed": "-1",
            "hours_to_dispatch": "2",
            "part_of_the_file": "",
            "reason": "orders_placed is negative",
        },
        {
            "part": "part-2.csv",
            "product_code": "SKU001",
            "orders_placed": "2",
            "hours_to_dispatch": "x",
            "part_of_the_file": "9",
            "reason": "hours_to_dispatch is not a number",
        },
    ]


def test_a_part_without_rows_is_no_fault_as_programs_write_such(store: DirectoryStore) -> None:
    empty = HEADER.encode()
    deliver_parts(store, {"part-0.csv": empty, "part-1.csv": A, "part-2.csv": empty})

    assert len(read_folder(store).orders) == 2


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"part-1.csv": b""}, "'part-1.csv': it is empty"),
        ({"part-1.csv": B[:-1]}, "'part-1.csv': its last line has no end"),
        ({"part-1.csv.gz": gzip.compress(B)[:-9]}, "'part-1.csv.gz': it is a damaged gzip file"),
        ({"part-1.csv": b"product_code,orders_placed\nA,1\n"}, "the column hours_to_dispatch is m"),
        ({"part-1.csv": A}, "'part-1.csv': it has the content of part-0.csv"),
        ({"part-1.csv.gz": gzip.compress(A)}, "it has the content of part-0.csv"),
        ({"part-1.csv": B + b"\xff,1,2\n"}, "'part-1.csv': it is not UTF-8 text in line 3"),
    ],
)
def test_a_part_that_cannot_be_used_refuses_the_week_by_name(
    parts: Mapping[str, bytes], reason: str, store: DirectoryStore
) -> None:
    deliver_parts(store, {"part-0.csv": A, **parts})

    with pytest.raises(DatasetError) as refusal:
        read_folder(store)

    assert refusal.value.message.headline.startswith(f"Refused {FOLDER}, ")
    assert reason in refusal.value.message.headline
    assert f"The part is {FOLDER}{[*parts][0]}." in refusal.value.message.details


def test_a_damaged_parquet_part_refuses_the_week(store: DirectoryStore) -> None:
    deliver_parts(store, {"a.parquet": in_parquet(), "b.parquet": in_parquet()[:-5]})

    with pytest.raises(DatasetError, match="'b.parquet': it is a damaged Parquet file"):
        read_folder(store)


def test_a_week_whose_parts_are_all_without_rows_is_refused(store: DirectoryStore) -> None:
    deliver_parts(store, {"part-0.csv": HEADER.encode()})

    with pytest.raises(DatasetError, match="there are no rows below the header"):
        read_folder(store)


def test_a_long_name_of_a_part_is_shortened_in_the_headline(store: DirectoryStore) -> None:
    name = f"part-00000-tid-{'0123456789' * 8}-c000.snappy.csv"
    deliver_parts(store, {name: b""})

    with pytest.raises(DatasetError, match=name) as refusal:
        read_folder(store)

    assert len(refusal.value.message.headline) <= MAX_HEADLINE_CHARACTERS


@pytest.mark.parametrize(
    ("promise", "reason"),
    [
        ({"rows": 2, "bytes": len(A), "sha256": hashlib.sha256(A).hexdigest().upper()}, None),
        ({"rows": 3}, "it has 2 rows, and the manifest says 3"),
        ({"bytes": 99}, f"it has {len(A)} bytes, and the manifest says 99"),
        ({"sha256": "0" * 64}, "its SHA-256 is not that of the manifest"),
    ],
)
def test_what_the_manifest_says_of_a_part_must_be_so(
    promise: Mapping[str, Any], reason: str | None, store: DirectoryStore
) -> None:
    deliver_parts(store, {"part-0.csv": A}, [{"name": "part-0.csv", **promise}])

    if reason is None:
        assert len(read_folder(store).orders) == 2
    else:
        with pytest.raises(DatasetError, match=f"'part-0.csv': {reason}"):
            read_folder(store)


def test_columns_that_are_not_used_are_named_once_for_all_parts(
    store: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    deliver_parts(store, {f"{n}.parquet": in_parquet(note=[n, n]) for n in range(3)})

    read_folder(store)

    assert logged(caplog, "INFO") == ["Columns not used: 'note'."]
