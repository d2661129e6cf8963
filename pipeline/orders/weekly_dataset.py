"""A weekly dataset of a store, validated and ready for training."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from pipeline.orders.csv_rows import OrderRows, read_order_rows
from pipeline.orders.deliveries import Delivery
from pipeline.orders.file_kinds import REMEDY, unpacked
from pipeline.orders.row_rules import DECIMAL_COMMA, REASON
from pipeline.stages.command_line import option_of
from pipeline.stages.errors import DatasetError, ObjectExists
from pipeline.stages.logs import LOG
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import name_of

REJECTED = "rejected"
"""Rows that could not be used, as CSV, with the reason for each."""


@dataclass(frozen=True)
class WeeklyDataset:
    """One week of orders; nothing changes it after validation.

    Attributes:
        key: where it is in the store.
        sha256: hash of the file, unpacked, in hex digits.
        delivered_at: the time in its name, taken as UTC.
        orders: the valid rows, see `OrderRows`.
        rejected: the bad rows, which were set aside: their text, and a column `reason`.
    """

    key: str
    sha256: str
    delivered_at: datetime
    orders: pd.DataFrame
    rejected: pd.DataFrame


def load_dataset(
    store: ObjectStore, delivery: Delivery, max_rejected_share: float
) -> WeeklyDataset:
    """Read a delivered dataset, and set its bad rows aside.

    Args:
        store: holds the dataset, and gets `rejected/<dataset name>.csv` if rows are bad.
        delivery: where the dataset is.
        max_rejected_share: refuse the dataset if a larger share of its rows is bad.

    Raises:
        DatasetError: it is not a CSV of orders, or too many rows are bad.
        StoreError: the store cannot be read or written.
    """
    key = delivery.key
    content = store.read(key)
    try:
        content = unpacked(content)
        rows = read_order_rows(content)
    except DatasetError as error:
        message = error.message
        raise DatasetError(
            f"Refused {key}: {message.headline}.",
            *message.details,
            links={"Dataset": f"{store.url}/{key}"},
            facts={"dataset": key},
        ) from error
    sha256 = hashlib.sha256(content).hexdigest()
    if len(rows.rejected):
        _set_aside(store, key, sha256, rows, max_rejected_share)
    LOG.info(f"Read {len(rows.valid):,} valid rows of {store.url}/{key}.")
    return WeeklyDataset(key, sha256, delivery.delivered_at, rows.valid, rows.rejected)


def _set_aside(
    store: ObjectStore, key: str, sha256: str, rows: OrderRows, max_rejected_share: float
) -> None:
    """Keep the bad rows in the store, and refuse the dataset if they are too many."""
    rejected = rows.rejected
    rejected_key = _keep(store, key, sha256, rejected.to_csv(index=False).encode())
    total = len(rows.valid) + len(rejected)
    share = len(rejected) / total
    counts = Counter(fault for reason in rejected[REASON] for fault in reason.split("; "))
    faults = ", ".join(f"{fault} ({count:,})" for fault, count in counts.most_common())
    bad_rows = f"{len(rejected):,} of {total:,} rows ({share:.2%}) of {name_of(key)} are bad"
    where = f"{store.url}/{rejected_key}"
    if share > max_rejected_share:
        raise DatasetError(
            f"Refused: {bad_rows}, more than the limit of {max_rejected_share:.3g}.",
            f"Reasons: {faults}.",
            *([REMEDY] if DECIMAL_COMMA in faults else []),
            f"A larger {option_of('max_rejected_share')} sets them aside and trains on the others.",
            links={"Bad rows": where, "Dataset": f"{store.url}/{key}"},
            facts={
                "dataset": key,
                "rejected_share": share,
                "max_rejected_share": max_rejected_share,
            },
        )
    LOG.warning(f"{bad_rows} and were set aside in {where}: {faults}.")


def _keep(store: ObjectStore, key: str, sha256: str, rejected: bytes) -> str:
    """Write the bad rows, unless an earlier run on the same dataset did; return their key.

    A corrected dataset may come under the same name: then its own hash tells the two apart.
    """
    rejected_key = f"{REJECTED}/{name_of(key)}.csv"
    try:
        store.write_new(rejected_key, rejected)
    except ObjectExists:
        if store.read(rejected_key) == rejected:
            return rejected_key
        rejected_key = f"{REJECTED}/{name_of(key)}_{sha256[:16]}.csv"
        if rejected_key not in store.list_keys(REJECTED):
            store.write_new(rejected_key, rejected)
    return rejected_key
