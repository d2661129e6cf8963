"""Keys of objects that carry a timestamp in their name, and which of them is the newest."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import NamedTuple

from pipeline.stages.logs import LOG
from pipeline.stages.wording import first_few

NAME_PREFIX = "time_to_dispatch"
TIMESTAMP = re.compile(
    r"(?<!\d)(\d{4})\D?(\d\d)\D?(\d\d)\D?(\d\d)\D?(\d\d)\D?(\d\d)(?:\D(\d{6}))?(?!\d)"
)
"""Date and time with any separators or none, such as `2021-07-01T16|45|38`, `20210703T230532`."""


class TimestampedKey(NamedTuple):
    """A key and the time in its name; of two, the newer is the greater."""

    moment: datetime
    key: str


def name_of(key: str) -> str:
    """Return a key's last part without its suffix: `models/a.onnx` and `b/a.csv.gz` are `a`."""
    path = PurePosixPath(key)
    return PurePosixPath(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


def timestamp_of(key: str) -> datetime | None:
    """Return the time in a key's name, taken as UTC, to the microsecond if it says so.

    None if there is no time in the name, or an impossible one such as hour 25.
    """
    found = TIMESTAMP.search(PurePosixPath(key).name)
    if found is None:
        return None
    try:
        year, month, day, hour, minute, second, microsecond = map(int, found.groups("0"))
        return datetime(year, month, day, hour, minute, second, microsecond, tzinfo=UTC)
    except ValueError:
        return None


def format_timestamp(moment: datetime) -> str:
    """Return a time as it stands in names that we make: `2021-07-03T23-05-32-000000`."""
    return moment.strftime("%Y-%m-%dT%H-%M-%S-%f")


def find_newest(keys: Sequence[str], suffix: str) -> TimestampedKey | None:
    """Return the key with the newest timestamp in its name, or None if no name has one.

    Names with another suffix or without a timestamp are skipped, and one warning lists them.
    """
    dated, skipped = split_by_name(keys, (suffix,))
    warn_of_skipped(skipped, f"{NAME_PREFIX}_2021-07-03T23-05-32{suffix}")
    return max(dated, default=None)


def split_by_name(
    keys: Sequence[str], suffixes: tuple[str, ...]
) -> tuple[list[TimestampedKey], list[str]]:
    """Return the keys with a timestamp and one of the suffixes, capitals or not, and the others."""
    dated = [
        TimestampedKey(moment, key)
        for key in keys
        if key.lower().endswith(suffixes) and (moment := timestamp_of(key)) is not None
    ]
    return dated, sorted(set(keys) - {found.key for found in dated})


def warn_of_skipped(keys: Sequence[str], example: str) -> None:
    """Log one warning that lists keys whose names are not like an example, if there are any."""
    if keys:
        LOG.warning(
            f"Skipped {len(keys)} keys, whose names are not like {example}: {first_few(keys, repr)}"
        )
