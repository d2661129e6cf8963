"""The newest weekly dataset of a store, validated and ready for training."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from pipeline.orders.csv_rows import REASON, OrderRows, read_order_rows
from pipeline.stages.command_line import option_of
from pipeline.stages.errors import DatasetError, DatasetMissing, ObjectExists
from pipeline.stages.logs import LOG
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import find_newest, name_of

DATASETS = "datasets"
"""The weekly CSVs; the newest timestamp in a name counts."""
MAX_AHEAD = timedelta(days=1)
"""How far the time in a name may be ahead of the clock: elsewhere it is tomorrow already."""
REJECTED = "rejected"
"""Rows that could not be used, as CSV, with the reason for each."""


@dataclass(frozen=True)
class WeeklyDataset:
    """One week of orders; nothing changes it after validation.

    Attributes:
        key: where it is in the store.
        sha256: hash of the file, in hex digits.
        delivered_at: the time in its name, taken as UTC.
        orders: the valid rows, see `OrderRows`.
        rejected: the bad rows, which were set aside: their text, and a column `reason`.
    """

    key: str
    sha256: str
    delivered_at: datetime
    orders: pd.DataFrame
    rejected: pd.DataFrame


def load_newest_dataset(
    store: ObjectStore, max_rejected_share: float, now: datetime
) -> WeeklyDataset:
    """Read the dataset with the newest timestamp in its name, and set its bad rows aside.

    Args:
        store: holds `datasets/`, and gets `rejected/<dataset name>.csv` if rows are bad.
        max_rejected_share: refuse the dataset if a larger share of its rows is bad.
        now: the time; a name may be ahead of it by a day.

    Raises:
        DatasetError: there is no dataset, its name is dated ahead, it is not a CSV of orders, or
            too many rows are bad.
        StoreError: the store cannot be listed, read or written.
    """
    newest = find_newest(store.list_keys(DATASETS), suffix=".csv")
    if newest is None:
        raise DatasetMissing(
            "There is no dataset in the store.",
            f"Expected a file such as time_to_dispatch_2021-07-03T23-05-32.csv under "
            f"{store.url}/{DATASETS}/.",
        )
    delivered_at, key = newest
    if delivered_at > now + MAX_AHEAD:
        raise DatasetError(
            f"Refused {key}: its name is dated {(delivered_at - now).days:,} days ahead of the "
            f"clock.",
            f"The clock says {now:%Y-%m-%d %H:%M} UTC. The file would be the newest until then.",
            "Name it after the time of its delivery in UTC, or set the clock right.",
        )
    content = store.read(key)
    try:
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
    return WeeklyDataset(key, sha256, delivered_at, rows.valid, rows.rejected)


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
