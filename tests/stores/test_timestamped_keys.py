"""Timestamps in the names of objects, and which of them is the newest."""

from datetime import UTC, datetime

import pytest

from pipeline.stores.timestamped_keys import find_newest, format_timestamp, name_of, timestamp_of
from tests.support.helpers import logged

OLD = "models/time_to_dispatch_2021-07-01T16|45|38.onnx"
NEW = "models/time_to_dispatch_2021-07-03T23-05-32-000000.onnx"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2021-07-03T23:05:32", datetime(2021, 7, 3, 23, 5, 32, tzinfo=UTC)),
        ("2021-07-01T16|45|38", datetime(2021, 7, 1, 16, 45, 38, tzinfo=UTC)),
        ("2021_07_03 23_05_32", datetime(2021, 7, 3, 23, 5, 32, tzinfo=UTC)),
        ("20210703T230532", datetime(2021, 7, 3, 23, 5, 32, tzinfo=UTC)),
        ("2021-07-03T23-05-32-000417", datetime(2021, 7, 3, 23, 5, 32, 417, tzinfo=UTC)),
        ("2021-07-03T23:05:32.987654", datetime(2021, 7, 3, 23, 5, 32, 987654, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_with_any_separators(name: str, expected: datetime) -> None:
    assert timestamp_of(f"models/time_to_dispatch_{name}.onnx") == expected
    assert timestamp_of(name) == expected


@pytest.mark.parametrize(
    "key",
    [
        "2021-07-03T25:05:32.onnx",
        "2021-02-29T23:05:32.onnx",
        "0000-01-01T00:00:00.onnx",
        "model.onnx",
        "2021-07-03T23:05.onnx",
        "12021-07-03T23:05:32.onnx",
        "2021-07-03T23:05:321.onnx",
        "2021-07-03T23:05:32/model.onnx",
    ],
)
def test_impossible_times_and_other_numbers_are_no_time(key: str) -> None:
    assert timestamp_of(f"models/{key}") is None


def test_a_name_is_the_last_part_of_a_key_without_its_suffix() -> None:
    assert name_of(OLD) == "time_to_dispatch_2021-07-01T16|45|38"
    assert name_of("datasets/a.b.csv.GZ") == name_of("datasets/a.b.csv") == "a.b"


def test_a_formatted_time_reads_as_in_the_docstring() -> None:
    assert format_timestamp(datetime(2021, 7, 3, 23, 5, 32, tzinfo=UTC)) == (
        "2021-07-03T23-05-32-000000"
    )


@pytest.mark.parametrize("microsecond", [0, 1, 417, 999_999])
def test_a_formatted_time_is_read_back_exactly(microsecond: int) -> None:
    moment = datetime(2021, 7, 3, 23, 5, 32, microsecond, tzinfo=UTC)

    assert timestamp_of(f"models/{format_timestamp(moment)}.onnx") == moment


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        # As texts, all but the first sort the other way round.
        (OLD.replace("onnx", "csv"), NEW.replace("onnx", "csv")),
        ("z_2021-07-01T16:45:38.csv", "a_2021-07-03T23:05:32.csv"),
        ("2021|07|01T16|45|38.csv", "2021-07-03T23-05-32.csv"),
        ("2021-07-03T23-05-32.csv", "2021-07-03T23-05-32-000001.csv"),
    ],
)
def test_the_newest_key_is_found_by_time_and_not_by_text(older: str, newer: str) -> None:
    assert newest([newer, older], ".csv") == newer
    assert newest([older, newer], ".csv") == newer


def test_of_keys_with_the_same_time_the_choice_is_always_the_same() -> None:
    keys = ["2021-07-03T23:05:32.csv", "2021-07-03T23-05-32.csv"]

    assert newest(keys, ".csv") == newest(keys[::-1], ".csv")


@pytest.mark.parametrize("keys", [[], ["models/model.onnx"], ["2021-07-03T25:05:32.onnx"], [OLD]])
def test_without_a_usable_name_there_is_no_newest(keys: list[str]) -> None:
    assert newest(keys, ".csv") is None


@pytest.mark.parametrize(
    ("keys", "expected", "skipped"),
    [
        ([OLD, NEW], NEW, None),
        (
            [OLD, f"{NEW}.bak", "2022-07-03T23-05-32.csv"],
            OLD,
            f"'2022-07-03T23-05-32.csv', '{NEW}.bak'",
        ),
        (["b.onnx", NEW, "2021-07-03T25:05:32.onnx"], NEW, "'2021-07-03T25:05:32.onnx', 'b.onnx'"),
    ],
    ids=["none", "another suffix", "no time"],
)
def test_other_names_are_skipped_with_one_warning(
    keys: list[str], expected: str, skipped: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert newest(keys, ".onnx") == expected

    start = "Skipped 2 keys, whose names are not like time_to_dispatch_2021-07-03T23-05-32.onnx"
    assert logged(caplog, "WARNING") == ([f"{start}: {skipped}"] if skipped else [])


def newest(keys: list[str], suffix: str) -> str | None:
    """Return the newest key alone."""
    found = find_newest(keys, suffix)
    assert found is None or found.moment == timestamp_of(found.key)
    return found and found.key
