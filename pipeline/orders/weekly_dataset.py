"""A weekly dataset of a store, validated and ready for training."""

import reprlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from pipeline.orders.deliveries import Delivery
from pipeline.orders.rejected_rows import RejectedRows, judge_rejected, keep_rejected
from pipeline.orders.week_parts import read_rows
from pipeline.orders.week_reader import WeekReader
from pipeline.orders.week_rows import WeekRows
from pipeline.stages.errors import ObjectChanged
from pipeline.stages.logs import LOG
from pipeline.stages.wording import first_few
from pipeline.stages.workers import HERE, Workers
from pipeline.stores.base import ObjectStore


@dataclass(frozen=True)
class WeeklyDataset:
    """One week of orders; nothing changes it after validation.

    Attributes:
        key: where it is in the store.
        sha256: hash of the file, unpacked, or of the names and hashes of all parts, in hex digits.
        delivered_at: the time in its name, taken as UTC.
        week: the valid rows.
        rejected: the bad rows, which were set aside.
    """

    key: str
    sha256: str
    delivered_at: datetime
    week: WeekRows
    rejected: RejectedRows

    @property
    def orders(self) -> pd.DataFrame:
        """All valid rows, or of a large week a sample, see `WeekRows`; the products sorted."""
        return self.week.sample

    @property
    def rejected_share(self) -> float:
        """Share of the rows of the file that are bad."""
        return len(self.rejected) / max(self.week.n_rows + len(self.rejected), 1)

    @property
    def rows_sha256(self) -> str:
        """Hash of the valid rows in any order, in hex digits."""
        return self.week.hash.hexdigest()


def load_dataset(
    store: ObjectStore, delivery: Delivery, max_rejected_share: float, workers: Workers = HERE
) -> WeeklyDataset:
    """Read a delivered dataset, again if it is changed meanwhile, and set its bad rows aside.

    Args:
        store: holds the dataset, and gets `rejected/<dataset name>.csv` if rows are bad.
        delivery: where the dataset is.
        max_rejected_share: refuse the dataset if a larger share of its rows is bad.
        workers: read the parts of a folder.

    Raises:
        DatasetError: it is no dataset of orders, or too many rows are bad.
        StoreError: the store cannot be read or written.
        WorkersError: the workers are lost.
    """
    place = f"{store.url}/{delivery.key}"
    try:
        dataset = read_dataset(WeekReader(store, delivery), workers)
    except ObjectChanged as change:
        LOG.warning(f"{change.message.headline} It is read again now, once.")
        dataset = read_dataset(WeekReader(store, delivery), workers)
    bad_rows_at = None
    if len(dataset.rejected):
        kept = keep_rejected(store, dataset.key, dataset.sha256, dataset.rejected)
        bad_rows_at = f"{store.url}/{kept}"
    judge_rows(dataset, max_rejected_share, place, bad_rows_at)
    LOG.info(f"Read {dataset.week.n_rows:,} valid rows of {place}.")
    return dataset


def read_dataset(reader: WeekReader, workers: Workers = HERE) -> WeeklyDataset:
    """Read all rows of a dataset, the valid and the bad ones.

    Args:
        reader: of the dataset.
        workers: read the parts of a folder.

    Raises:
        DatasetError: it is no dataset of orders.
        StoreError: the store cannot be read.
        WorkersError: the workers are lost.
    """
    week = read_rows(reader, workers)
    warn_of_cases(week.products.index)
    delivery, rejected = reader.delivery, reader.found.rejected
    return WeeklyDataset(delivery.key, reader.sha256, delivery.delivered_at, week, rejected)


def judge_rows(
    dataset: WeeklyDataset, max_rejected_share: float, place: str, bad_rows_at: str | None
) -> None:
    """Refuse a dataset with too many bad rows, and warn of fewer; see `judge_rejected`."""
    judge_rejected(
        dataset.rejected,
        dataset.week.n_rows,
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
