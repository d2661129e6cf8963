"""A weekly dataset of a store, validated and ready for training."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import pandas as pd

from pipeline.orders.csv_rows import read_order_rows
from pipeline.orders.deliveries import Delivery
from pipeline.orders.file_kinds import REMEDY, unpacked
from pipeline.orders.hashes import hash_of_rows
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

    @property
    def rejected_share(self) -> float:
        """Share of the rows of the file that are bad."""
        return len(self.rejected) / max(len(self.orders) + len(self.rejected), 1)

    @cached_property
    def rows_sha256(self) -> str:
        """Hash of the valid rows in any order, in hex digits."""
        return hash_of_rows(self.orders)


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
    place = f"{store.url}/{delivery.key}"
    dataset = parse_dataset(delivery, store.read(delivery.key), place)
    bad_rows_at = f"{store.url}/{_keep(store, dataset)}" if len(dataset.rejected) else None
    judge_rows(dataset, max_rejected_share, place, bad_rows_at)
    LOG.info(f"Read {len(dataset.orders):,} valid rows of {place}.")
    return dataset


def parse_dataset(delivery: Delivery, content: bytes, place: str) -> WeeklyDataset:
    """Return the rows of a dataset, the valid and the bad ones.

    Args:
        delivery: whose content it is.
        content: of the file.
        place: where people find it.

    Raises:
        DatasetError: it is not a CSV of orders.
    """
    try:
        content = unpacked(content)
        rows = read_order_rows(content)
    except DatasetError as error:
        message = error.message
        end = "" if message.headline.endswith("?") else "."
        raise DatasetError(
            f"Refused {delivery.key}: {message.headline}{end}",
            *message.details,
            links={"Dataset": place},
            facts={"dataset": delivery.key},
        ) from error
    sha256 = hashlib.sha256(content).hexdigest()
    return WeeklyDataset(delivery.key, sha256, delivery.delivered_at, rows.valid, rows.rejected)


def judge_rows(
    dataset: WeeklyDataset, max_rejected_share: float, place: str, bad_rows_at: str | None
) -> None:
    """Refuse a dataset with too many bad rows, and warn of fewer.

    Args:
        dataset: with its bad rows.
        max_rejected_share: the largest share of them that is allowed.
        place: where people find the dataset.
        bad_rows_at: where they find its bad rows, if those are kept.

    Raises:
        DatasetError: too many rows are bad.
    """
    if not len(dataset.rejected):
        return
    total = len(dataset.orders) + len(dataset.rejected)
    share = dataset.rejected_share
    counts = Counter(fault for reason in dataset.rejected[REASON] for fault in reason.split("; "))
    faults = ", ".join(f"{fault} ({count:,})" for fault, count in counts.most_common())
    bad_rows = (
        f"{len(dataset.rejected):,} of {total:,} rows ({share:.2%}) of {name_of(dataset.key)} are "
        "bad"
    )
    if share > max_rejected_share:
        raise DatasetError(
            f"Refused: {bad_rows}, more than the limit of {max_rejected_share:.3g}.",
            f"Reasons: {faults}.",
            *([REMEDY] if DECIMAL_COMMA in faults else []),
            f"A larger {option_of('max_rejected_share')} sets them aside and trains on the others.",
            links={"Dataset": place} | ({"Bad rows": bad_rows_at} if bad_rows_at else {}),
            facts={
                "dataset": dataset.key,
                "rejected_share": share,
                "max_rejected_share": max_rejected_share,
            },
        )
    LOG.warning(
        f"{bad_rows} and are set aside{f' in {bad_rows_at}' if bad_rows_at else ''}: {faults}."
    )


def _keep(store: ObjectStore, dataset: WeeklyDataset) -> str:
    """Write the bad rows, unless an earlier run on the same dataset did; return their key.

    A corrected dataset may come under the same name: then its own hash tells the two apart.
    """
    rejected = dataset.rejected.to_csv(index=False).encode()
    rejected_key = f"{REJECTED}/{name_of(dataset.key)}.csv"
    try:
        store.write_new(rejected_key, rejected)
    except ObjectExists:
        if store.read(rejected_key) == rejected:
            return rejected_key
        rejected_key = f"{REJECTED}/{name_of(dataset.key)}_{dataset.sha256[:16]}.csv"
        if rejected_key not in store.list_keys(REJECTED):
            store.write_new(rejected_key, rejected)
    return rejected_key
