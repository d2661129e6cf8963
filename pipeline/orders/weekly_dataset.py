"""A weekly dataset of a store, validated and ready for training: all of its rows in memory."""

import reprlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import pandas as pd

from pipeline.model.order import PRODUCT
from pipeline.orders.deliveries import Delivery
from pipeline.orders.hashes import hash_of_rows
from pipeline.orders.order_rows import concat_orders
from pipeline.orders.rejected_rows import RejectedRows, judge_rejected, keep_rejected
from pipeline.orders.week_reader import WeekReader
from pipeline.stages.logs import LOG
from pipeline.stages.wording import first_few
from pipeline.stores.base import ObjectStore


@dataclass(frozen=True)
class WeeklyDataset:
    """One week of orders; nothing changes it after validation.

    Attributes:
        key: where it is in the store.
        sha256: hash of the file, unpacked, or of the names and hashes of all parts, in hex digits.
        delivered_at: the time in its name, taken as UTC.
        orders: the valid rows, see `OrderRows`, the products sorted.
        rejected: the bad rows, which were set aside.
    """

    key: str
    sha256: str
    delivered_at: datetime
    orders: pd.DataFrame
    rejected: RejectedRows

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
        DatasetError: it is no dataset of orders, or too many rows are bad.
        StoreError: the store cannot be read or written.
    """
    place = f"{store.url}/{delivery.key}"
    dataset = read_dataset(WeekReader(store, delivery))
    bad_rows_at = None
    if len(dataset.rejected):
        kept = keep_rejected(store, dataset.key, dataset.sha256, dataset.rejected)
        bad_rows_at = f"{store.url}/{kept}"
    judge_rows(dataset, max_rejected_share, place, bad_rows_at)
    LOG.info(f"Read {len(dataset.orders):,} valid rows of {place}.")
    return dataset


def read_dataset(week: WeekReader) -> WeeklyDataset:
    """Read all rows of a dataset into memory, the valid and the bad ones.

    Raises:
        DatasetError: it is no dataset of orders.
        StoreError: the store cannot be read.
    """
    orders = concat_orders([*week.chunks()])
    warn_of_cases(orders[PRODUCT].cat.categories)
    delivery = week.delivery
    return WeeklyDataset(delivery.key, week.sha256, delivery.delivered_at, orders, week.rejected)


def judge_rows(
    dataset: WeeklyDataset, max_rejected_share: float, place: str, bad_rows_at: str | None
) -> None:
    """Refuse a dataset with too many bad rows, and warn of fewer; see `judge_rejected`."""
    judge_rejected(
        dataset.rejected,
        len(dataset.orders),
        max_rejected_share,
        dataset.key,
        place,
        bad_rows_at,
    )


def warn_of_cases(codes: Iterable[str]) -> None:
    """Name the codes that may be one product, since only their case differs."""
    by_case = defaultdict(list)
    for code in codes:
        by_case[code.casefold()].append(code)
    alike = [" and ".join(map(reprlib.repr, group)) for group in by_case.values() if len(group) > 1]
    if alike:
        LOG.warning(
            "Some product codes differ only in upper and lower case, and count as different "
            f"products: {first_few(alike, write=str)}."
        )
