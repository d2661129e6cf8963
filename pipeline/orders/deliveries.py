"""Which file under `datasets/` is this week's: the one with the newest time in its name."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from pipeline.stages.errors import DatasetError, DatasetMissing
from pipeline.stages.messages import Message
from pipeline.stages.wording import first_few
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import (
    NAME_PREFIX,
    TimestampedKey,
    split_by_name,
    warn_of_skipped,
)

DATASETS = "datasets"
"""The weekly CSVs; the newest timestamp in a name counts."""
SUFFIXES = (".csv", ".csv.gz")
EXAMPLE = f"{NAME_PREFIX}_2021-07-03T23-05-32.csv"
NAME_ADVICE = (
    f"Name a week as {EXAMPLE}, with the time of its delivery in UTC to the second, or the same "
    "with .csv.gz."
)
MAX_AHEAD = timedelta(days=1)
"""How far the time in a name may be ahead of the clock: elsewhere it is tomorrow already."""


class Delivery(NamedTuple):
    """The file of a week, before anybody has looked into it.

    Attributes:
        key: where it is in the store.
        delivered_at: the time in its name, taken as UTC.
        overlooked: keys of files that came no earlier, but are not named as datasets are.
    """

    key: str
    delivered_at: datetime
    overlooked: tuple[str, ...] = ()

    @property
    def warning(self) -> Message | None:
        """What people should know of the files that were overlooked, if there are any."""
        if not self.overlooked:
            return None
        count = len(self.overlooked)
        files = "a file that is" if count == 1 else f"{count:,} files that are"
        return Message(
            f"Overlooked {files} newer than the dataset used: {first_few(self.overlooked, repr)}.",
            (
                f"Used is {self.key}.",
                f"{NAME_ADVICE} Remove what is no dataset.",
            ),
            facts={"overlooked": list(self.overlooked), "dataset": self.key},
        ).with_short_headline()


def newest_delivery(store: ObjectStore, now: datetime) -> Delivery:
    """Return the file with the newest time in its name.

    Args:
        store: holds `datasets/`.
        now: the time; a name may be ahead of it by a day.

    Raises:
        DatasetError: there is none, it is dated ahead, or another has the same time.
        StoreError: the store cannot be listed.
    """
    arrived_at = store.list_times(DATASETS)
    dated, skipped = split_by_name(sorted(arrived_at), SUFFIXES)
    if not dated:
        raise DatasetMissing(
            "There is no dataset in the store.",
            f"Expected a file such as {EXAMPLE} under {store.url}/{DATASETS}/.",
            *([f"Not named like that are {first_few(skipped, repr)}."] if skipped else []),
        )
    newest = max(dated)
    _refuse_ahead(newest, now)
    _refuse_others_of_the_time([key for time, key in dated if time == newest.moment], arrived_at)
    overlooked = [key for key in skipped if arrived_at[key] >= arrived_at[newest.key]]
    warn_of_skipped([key for key in skipped if key not in overlooked], EXAMPLE)
    return Delivery(newest.key, newest.moment, tuple(overlooked))


def given_delivery(key: str, now: datetime) -> Delivery:
    """Return the file that somebody names, which need not be the newest.

    Args:
        key: where it is in the store.
        now: the time; a name may be ahead of it by a day.

    Raises:
        DatasetError: the name is not one of a dataset, or dated ahead.
    """
    if not is_dataset(key):
        raise DatasetError(f"Refused {key}: a dataset is not named like that.", NAME_ADVICE)
    ((named,), _) = split_by_name([key], SUFFIXES)
    _refuse_ahead(named, now)
    return Delivery(key, named.moment)


def datasets_as_new_as(store: ObjectStore, delivery: Delivery) -> list[str]:
    """Return the keys of other datasets that are as new as a file, or newer.

    Raises:
        StoreError: the store cannot be listed.
    """
    dated, _ = split_by_name(sorted(store.list_keys(DATASETS)), SUFFIXES)
    return [key for time, key in dated if time >= delivery.delivered_at and key != delivery.key]


def deliveries_before(
    store: ObjectStore, delivery: Delivery, most: int
) -> tuple[tuple[Delivery, ...], ...]:
    """Return the last files that are older than one, the newest first; those of a time together.

    Args:
        store: holds `datasets/`.
        delivery: what they are older than.
        most: files of so many times at most.

    Raises:
        StoreError: the store cannot be listed.
    """
    dated, _ = split_by_name(sorted(store.list_keys(DATASETS)), SUFFIXES)
    older = defaultdict(list)
    for moment, key in dated:
        if moment < delivery.delivered_at:
            older[moment].append(Delivery(key, moment))
    return tuple(tuple(older[moment]) for moment in sorted(older, reverse=True)[:most])


def is_dataset(key: str) -> bool:
    """Tell whether a file is named as datasets are, so that it is looked at."""
    return key.startswith(f"{DATASETS}/") and bool(split_by_name([key], SUFFIXES)[0])


def _refuse_ahead(newest: TimestampedKey, now: datetime) -> None:
    """Refuse a name from the future: the file would be the newest until then."""
    if newest.moment > now + MAX_AHEAD:
        raise DatasetError(
            f"Refused {newest.key}: its name is dated {(newest.moment - now).days:,} days ahead of "
            "the clock.",
            f"The clock says {now:%Y-%m-%d %H:%M} UTC. The file would be the newest until then.",
            "Name it after the time of its delivery in UTC, or set the clock right.",
            facts={"dataset": newest.key},
        )


def _refuse_others_of_the_time(keys: Sequence[str], arrived_at: Mapping[str, datetime]) -> None:
    """Refuse files with the newest time in common: they may be copies, parts or corrections."""
    if len(keys) == 1:
        return
    *others, last = sorted(keys, key=lambda key: (arrived_at[key], key))
    raise DatasetError(
        f"Refused {first_few(sorted(keys), str, len(keys))}: all have the newest time.",
        f"The last to arrive was {last}.",
        f"If it corrects the others, remove {first_few(others, str, len(others))}; if it is a "
        "copy, remove it; if they are parts of one week, deliver them as one file.",
        facts={"datasets": sorted(keys)},
    )
