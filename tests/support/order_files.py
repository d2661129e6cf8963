"""Files and folders of orders, written as programs do and read as a week is."""

import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from pipeline.orders.deliveries import Delivery
from pipeline.orders.order_rows import OrderRows
from pipeline.orders.week_reader import WeekReader
from pipeline.orders.weekly_dataset import WeeklyDataset, read_dataset
from pipeline.stages.workers import HERE, Workers
from pipeline.stores.base import ObjectStore
from pipeline.stores.directory import DirectoryStore

DELIVERED_AT = datetime(2026, 11, 20, 23, tzinfo=UTC)
FOLDER = "datasets/time_to_dispatch_2026-11-20T23-00-00/"
HEADER = "product_code,orders_placed,hours_to_dispatch\n"


def read_order_rows(content: bytes) -> OrderRows:
    """Return the rows of a file with this content."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "week").write_bytes(content)
        delivery = Delivery("week", DELIVERED_AT)
        dataset = read_dataset(WeekReader(DirectoryStore(folder), delivery))
    return OrderRows(dataset.orders, dataset.rejected.rows)


def csv(*rows: str) -> bytes:
    """Return a CSV of rows such as `SKU001,112,8.28`."""
    return (HEADER + "".join(f"{row}\n" for row in rows)).encode()


def in_parquet(**columns: Any) -> bytes:
    """Return a Parquet file of two orders, with other columns if a test says so."""
    sound = {
        "product_code": ["SKU001", "SKU002"],
        "orders_placed": [112, 7],
        "hours_to_dispatch": [8.28, 0.5],
    }
    content = io.BytesIO()
    parquet.write_table(pa.table(sound | columns), content)
    return content.getvalue()


def deliver_parts(
    store: ObjectStore,
    parts: Mapping[str, bytes],
    manifest: Sequence[Mapping[str, Any]] | None = None,
    success: bool = True,
    folder: str = FOLDER,
) -> None:
    """Write a folder of parts, and last what says that it is whole: a manifest, or `_SUCCESS`."""
    for name, content in parts.items():
        store.write_new(folder + name, content)
    if manifest is not None:
        store.write_new(f"{folder}_manifest.json", json.dumps({"parts": manifest}).encode())
    elif success:
        store.write_new(f"{folder}_SUCCESS", b"")


def read_folder(store: ObjectStore, folder: str = FOLDER, workers: Workers = HERE) -> WeeklyDataset:
    """Return the rows of a folder of parts."""
    return read_dataset(WeekReader(store, Delivery(folder, DELIVERED_AT)), workers)
