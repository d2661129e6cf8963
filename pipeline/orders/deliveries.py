"""Which dataset under `datasets/` is this week's: the one with the newest time in its name.

A dataset is a file, or a folder of parts, whose key ends in a slash.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipeline.orders.parts import MANIFEST, SUCCESS, SUFFIXES, is_folder, why_not_whole
from pipeline.stages.errors import DatasetError, DatasetMissing
from pipeline.stages.messages import Message
from pipeline.stages.wording import first_few
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import (
    NAME_PREFIX,
    TimestampedKey,
    split_by_name,
    timestamp_of,
    warn_of_skipped,
)

DATASETS = "datasets"
"""The weeks, each a file or a folder of parts; the newest timestamp in a name counts."""
EXAMPLE = f"{NAME_PREFIX}_2021-07-03T23-05-32.csv"
NAME_ADVICE = (
    f"Name a week as {EXAMPLE}, with the time of its delivery in UTC to the second, or the same "
    "with .csv.gz or .parquet, or as a folder of parts without any."
)
MAX_AHEAD = timedelta(days=1)
"""How far the time in a name may be ahead of the clock: elsewhere it is tomorrow already."""


class Delivery(NamedTuple):
    """A week, before anybody has looked into it.

    Attributes:
        key: where it is in the store; that of a folder of parts ends in a slash.
        delivered_at: the time in its name, taken as UTC.
        overlooked: keys of files that came no earlier, but are not named as datasets are.
        unfinished: newer folders of parts that are not whole, and what each lacks.
    """

    key: str
    delivered_at: datetime
    overlooked: tuple[str, ...] = ()
    unfinished: tuple[tuple[str, str], ...] = ()

    @property
    def warnings(self) -> tuple[Message, ...]:
        """What people should know of files and folders that were left out."""
        return (
            *([_of_unfinished(self)] if self.unfinished else []),
            *([_of_overlooked(self)] if self.overlooked else []),
        )


def _of_overlooked(delivery: Delivery) -> Message:
    count = len(delivery.overlooked)
    files = "a file that is" if count == 1 else f"{count:,} files that are"
    return Message(
        f"Overlooked {files} newer than the dataset used: {first_few(delivery.overlooked, repr)}.",
        (
            f"Used is {delivery.key}.",
            f"{NAME_ADVICE} Remove what is no dataset.",
        ),
        facts={"overlooked": list(delivery.overlooked), "dataset": delivery.key},
    ).with_short_headline()


def _of_unfinished(delivery: Delivery) -> Message:
    (newest, lacking), *_ = delivery.unfinished
    return Message(
        f"The newest week is not whole, and an older one is used: {newest}.",
        (
            *(f"{key}: {lacks}." for key, lacks in delivery.unfinished),
            f"Used is {delivery.key}.",
            f"Write all parts of a week, and {SUCCESS} or {MANIFEST} last; then run the stage "
            "again.",
        ),
        facts={"unfinished": [key for key, _ in delivery.unfinished], "dataset": delivery.key},
    ).with_short_headline()


def newest_delivery(store: ObjectStore, now: datetime) -> Delivery:
    """Return the dataset with the newest time in its name; folders that are not whole are skipped.

    Args:
        store: holds `datasets/`.
        now: the time; a name may be ahead of it by a day.

    Raises:
        DatasetError: there is none, it is dated ahead, or another has the same time.
        StoreError: the store cannot be listed.
    """
    arrived_at = store.list_times(DATASETS)
    dated, skipped = _dated([*arrived_at, *store.list_folders(DATASETS)])
    unfinished: list[tuple[str, str]] = []
    for moment in sorted({time for time, _ in dated}, reverse=True):
        keys = [key for time, key in dated if time == moment]
        _refuse_ahead(TimestampedKey(moment, max(keys)), now)
        _refuse_others_of_the_time(store, keys, arrived_at)
        (key,) = keys
        lacking = why_not_whole(store, key) if is_folder(key) else None
        if lacking is not None:
            unfinished.append((key, lacking))
            continue
        came = _arrival(store, key, arrived_at)
        overlooked = [key for key in skipped if _arrival(store, key, arrived_at) >= came]
        warn_of_skipped([key for key in skipped if key not in overlooked], EXAMPLE)
        return Delivery(key, moment, tuple(overlooked), tuple(unfinished))
    raise DatasetMissing(
        "There is no dataset in the store.",
        f"Expected a file such as {EXAMPLE} under {store.url}/{DATASETS}/.",
        *([f"Not named like that are {first_few(skipped, repr)}."] if skipped else []),
        *(f"{key} is not whole: {lacking}." for key, lacking in unfinished),
    )


def given_delivery(key: str, now: datetime) -> Delivery:
    """Return the dataset that somebody names, which need not be the newest.

    Args:
        key: where it is in the store; that of a folder may lack its slash.
        now: the time; a name may be ahead of it by a day.

    Raises:
        DatasetError: the name is not one of a dataset, or dated ahead.
    """
    if not is_dataset(key):
        key = f"{key}/"
    if not is_dataset(key):
        raise DatasetError(
            f"Refused {key.rstrip('/')}: a dataset is not named like that.", NAME_ADVICE
        )
    ((named,), _) = _dated([key])
    _refuse_ahead(named, now)
    return Delivery(key, named.moment)


def datasets_as_new_as(store: ObjectStore, delivery: Delivery) -> list[str]:
    """Return the keys of other datasets that are as new as a file, or newer.

    Raises:
        StoreError: the store cannot be listed.
    """
    dated = dated_datasets(store)
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
    dated = dated_datasets(store)
    older = defaultdict(list)
    for moment, key in dated:
        if moment < delivery.delivered_at:
            older[moment].append(Delivery(key, moment))
    return tuple(tuple(older[moment]) for moment in sorted(older, reverse=True)[:most])


def dated_datasets(store: ObjectStore) -> list[TimestampedKey]:
    """Return the keys of all datasets, whole or not, with their times.

    Raises:
        StoreError: the store cannot be listed.
    """
    return _dated([*store.list_keys(DATASETS), *store.list_folders(DATASETS)])[0]


def is_dataset(key: str) -> bool:
    """Tell whether a file or folder is named as datasets are, so that it is looked at."""
    return key.startswith(f"{DATASETS}/") and bool(_dated([key])[0])


def _dated(keys: Sequence[str]) -> tuple[list[TimestampedKey], list[str]]:
    """Return the keys of datasets with their times, and those that are named otherwise.

    Other folders may be anything, unless their name begins as those of datasets do.
    """
    files = sorted(key for key in keys if not is_folder(key))
    dated, skipped = split_by_name(files, SUFFIXES)
    for key in sorted(set(keys) - set(files)):
        if not key.removeprefix(f"{DATASETS}/").startswith(NAME_PREFIX):
            continue
        moment = timestamp_of(key)
        if moment is None:
            skipped.append(key)
        else:
            dated.append(TimestampedKey(moment, key))
    return dated, skipped


def _arrival(store: ObjectStore, key: str, arrived_at: Mapping[str, datetime]) -> datetime:
    """Return when a file, or the last of what is in a folder, was written."""
    if not is_folder(key):
        return arrived_at[key]
    return max(store.list_times(key.rstrip("/")).values(), default=datetime.min.replace(tzinfo=UTC))


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


def _refuse_others_of_the_time(
    store: ObjectStore, keys: Sequence[str], arrived_at: Mapping[str, datetime]
) -> None:
    """Refuse datasets with the newest time in common: copies, parts or corrections."""
    if len(keys) == 1:
        return
    *others, last = sorted(keys, key=lambda key: (_arrival(store, key, arrived_at), key))
    raise DatasetError(
        f"Refused {first_few(sorted(keys), str, len(keys))}: all have the newest time.",
        f"The last to arrive was {last}.",
        f"If it corrects the others, remove {first_few(others, str, len(others))}; if it is a "
        "copy, remove it; if they are parts of one week, deliver them in one folder.",
        facts={"datasets": sorted(keys)},
    )
