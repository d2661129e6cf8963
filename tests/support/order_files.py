"""Files of orders, read as a week is."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from pipeline.orders.deliveries import Delivery
from pipeline.orders.order_rows import OrderRows
from pipeline.orders.week_reader import WeekReader
from pipeline.orders.weekly_dataset import read_dataset
from pipeline.stores.directory import DirectoryStore

DELIVERY = Delivery("week.csv", datetime(2026, 11, 20, 23, tzinfo=UTC))


def read_order_rows(content: bytes) -> OrderRows:
    """Return the rows of a file with this content."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / DELIVERY.key).write_bytes(content)
        dataset = read_dataset(WeekReader(DirectoryStore(folder), DELIVERY))
    return OrderRows(dataset.orders, dataset.rejected.rows)
