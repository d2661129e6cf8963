"""Which file is the newest week: names from the future, equal times, and files nobody looks at."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.orders.deliveries import given_delivery, newest_delivery
from pipeline.stages.errors import DatasetError, DatasetMissing
from pipeline.stores.base import ObjectStore, open_store
from pipeline.stores.directory import DirectoryStore
from tests.support.helpers import logged
from tests.support.order_files import csv, deliver_parts

NOW = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
OLDER = "datasets/time_to_dispatch_2026-11-13T23-00-00.csv"
PARTS = {"part-0.csv": csv("SKU001,1,2")}
NEWEST = "datasets/time_to_dispatch_2026-11-20T23-00-00"


@pytest.fixture(params=["folder", "S3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Return an empty store of each kind."""
    is_s3 = request.param == "S3"
    return open_store(request.getfixturevalue("s3_store_url") if is_s3 else str(tmp_path))


def deliver(store: ObjectStore, *keys: str) -> None:
    """Put files into a store, one after the other."""
    for key in keys:
        store.write_new(key, key.encode())


def test_a_store_without_dataset_is_an_error_that_shows_what_there_is(
    store: DirectoryStore,
) -> None:
    deliver(store, "datasets/orders.xlsx")

    with pytest.raises(
        DatasetError, match=r"(?s)time_to_dispatch_2021.*like that are 'datasets/orders.xlsx'"
    ):
        newest_delivery(store, NOW)


@pytest.mark.parametrize("name", ["2026-11-21T23-30-01", "20621120T230000"])
def test_a_name_dated_more_than_a_day_ahead_is_refused(name: str, store: DirectoryStore) -> None:
    key = f"datasets/time_to_dispatch_{name}.csv"
    deliver(store, key)

    with pytest.raises(
        DatasetError, match=rf"^Refused {key}: its name is dated [\d,]+ days ahead"
    ) as refusal:
        newest_delivery(store, NOW)

    assert refusal.value.message.facts == {"dataset": key}


def test_a_name_dated_in_a_zone_where_it_is_tomorrow_counts(store: DirectoryStore) -> None:
    key = "datasets/time_to_dispatch_2026-11-21T23-30-00.csv"
    deliver(store, key)

    assert newest_delivery(store, NOW).key == key


@pytest.mark.parametrize(
    "end", [".csv", ".CSV", ".csv.gz", ".parquet", " (1).csv", "-v2.csv", "_final.csv.gz"]
)
def test_the_newest_time_counts_whatever_stands_behind_it(end: str, store: DirectoryStore) -> None:
    deliver(store, NEWEST + end, OLDER)

    delivery = newest_delivery(store, NOW)

    assert delivery.key == NEWEST + end
    assert delivery.delivered_at == datetime(2026, 11, 20, 23, tzinfo=UTC)
    assert delivery.warnings == ()


@pytest.mark.parametrize(
    "end", [" (1).csv", "-v2.csv", "_corrected.csv", "_part2.csv", ".csv.gz", ".CSV", "-2.csv"]
)
def test_files_with_the_newest_time_in_common_are_refused_by_their_names(
    end: str, any_store: ObjectStore
) -> None:
    deliver(any_store, OLDER, f"{NEWEST}.csv", NEWEST + end)

    with pytest.raises(DatasetError) as refusal:
        newest_delivery(any_store, NOW)

    headline = refusal.value.message.headline
    assert headline.startswith("Refused datasets/") and headline.endswith("have the newest time.")
    assert f"{NEWEST}.csv" in headline and NEWEST + end in headline
    assert OLDER not in str(refusal.value)
    assert refusal.value.message.facts == {"datasets": sorted([f"{NEWEST}.csv", NEWEST + end])}


def test_of_files_with_the_newest_time_it_is_said_which_to_remove(
    store: DirectoryStore, tmp_path: Path
) -> None:
    names = [f"{NEWEST}_v3.csv", f"{NEWEST}.csv", f"{NEWEST}_v2.csv"]
    deliver(store, *names)
    for minutes, name in enumerate(names):
        arrive(tmp_path / name, NOW + timedelta(minutes=minutes))

    with pytest.raises(DatasetError) as refusal:
        newest_delivery(store, NOW)

    assert refusal.value.message.details[-2:] == (
        f"The last to arrive was {names[2]}.",
        f"If it corrects the others, remove {names[0]}, {names[1]}; if it is a copy, remove it; if "
        "they are parts of one week, deliver them in one folder.",
    )


def test_an_older_time_in_common_refuses_nothing(store: DirectoryStore) -> None:
    deliver(store, OLDER, OLDER.replace(".csv", "-v2.csv"), f"{NEWEST}.csv")

    assert newest_delivery(store, NOW).key == f"{NEWEST}.csv"


@pytest.mark.parametrize(
    "name",
    ["time_to_dispatch_2026-11-20T23-00.csv", "week 47.csv", NEWEST[9:] + ".orc", "a.csv.zip"],
)
def test_a_file_that_came_later_and_is_not_named_as_a_week_is_told_of(
    name: str, any_store: ObjectStore
) -> None:
    deliver(any_store, OLDER, f"datasets/{name}")

    delivery = newest_delivery(any_store, NOW)

    assert delivery.key == OLDER
    (warning,) = delivery.warnings
    assert warning.headline == (
        f"Overlooked a file that is newer than the dataset used: 'datasets/{name}'."
    )
    assert "time_to_dispatch_2021-07-03T23-05-32.csv" in str(warning)


def test_a_file_that_came_before_the_week_is_only_logged(
    store: DirectoryStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(store, OLDER, "datasets/README.md")
    arrive(tmp_path / "datasets/README.md", NOW - timedelta(days=1))

    assert newest_delivery(store, NOW).warnings == ()
    (warning,) = logged(caplog, "WARNING")
    assert warning.endswith("'datasets/README.md'")


def arrive(path: Path, moment: datetime) -> None:
    """Let a file have been written at some time."""
    os.utime(path, (moment.timestamp(), moment.timestamp()))


@pytest.mark.parametrize("lacking", ["neither", "names what is not there"])
def test_the_newest_whole_folder_counts_and_a_newer_one_that_is_not_whole_is_told_of(
    lacking: str, any_store: ObjectStore
) -> None:
    manifest = [{"name": "part-1.csv"}] if lacking.startswith("names") else None
    deliver(any_store, "datasets/time_to_dispatch_2026-11-06T23-00-00.csv")
    deliver_parts(any_store, PARTS, folder="datasets/time_to_dispatch_2026-11-13T23-00-00/")
    deliver_parts(any_store, PARTS, manifest, success=False, folder=f"{NEWEST}/")

    delivery = newest_delivery(any_store, NOW)

    assert delivery.key == "datasets/time_to_dispatch_2026-11-13T23-00-00/"
    (warning,) = delivery.warnings
    assert warning.headline == (
        f"The newest week is not whole, and an older one is used: {NEWEST}/."
    )
    assert lacking in warning.details[0] and "_SUCCESS or _manifest.json last" in str(warning)
    assert warning.facts == {"unfinished": [f"{NEWEST}/"], "dataset": delivery.key}


def test_a_whole_folder_is_taken_without_a_word(any_store: ObjectStore) -> None:
    deliver(any_store, OLDER)
    deliver_parts(any_store, PARTS, folder=f"{NEWEST}/")

    delivery = newest_delivery(any_store, NOW)

    assert (delivery.key, delivery.warnings) == (f"{NEWEST}/", ())
    assert delivery.delivered_at == datetime(2026, 11, 20, 23, tzinfo=UTC)


def test_a_store_with_no_whole_folder_says_what_each_lacks(store: DirectoryStore) -> None:
    deliver_parts(store, PARTS, success=False, folder=f"{NEWEST}/")

    with pytest.raises(DatasetMissing, match=f"{NEWEST}/ is not whole: neither _SUCCESS"):
        newest_delivery(store, NOW)


def test_a_file_and_a_folder_with_the_newest_time_are_refused(any_store: ObjectStore) -> None:
    deliver(any_store, f"{NEWEST}.csv")
    deliver_parts(any_store, PARTS, folder=f"{NEWEST}/")

    with pytest.raises(DatasetError, match=rf"^Refused {NEWEST}.csv, {NEWEST}/: all have"):
        newest_delivery(any_store, NOW)


@pytest.mark.parametrize(
    ("folder", "is_told_of"),
    [("time_to_dispatch_2026-11-27/", True), ("archive_2026-11-20T23-30-00/", False)],
)
def test_a_folder_that_is_nearly_named_as_a_week_is_told_of_and_others_are_not(
    folder: str, is_told_of: bool, store: DirectoryStore
) -> None:
    deliver(store, OLDER)
    deliver_parts(store, PARTS, folder=f"datasets/{folder}")

    delivery = newest_delivery(store, NOW)

    assert (delivery.key, bool(delivery.warnings)) == (OLDER, is_told_of)


@pytest.mark.parametrize("end", ["", "/"])
def test_a_folder_can_be_asked_for_with_its_slash_or_without(end: str) -> None:
    assert given_delivery(NEWEST + end, NOW).key == f"{NEWEST}/"


@pytest.mark.parametrize("key", ["datasets/week/", "reports/a_2026-11-20T23-00-00", "x"])
def test_what_is_not_named_as_a_dataset_cannot_be_asked_for(key: str) -> None:
    with pytest.raises(DatasetError, match="a dataset is not named like that"):
        given_delivery(key, NOW)
