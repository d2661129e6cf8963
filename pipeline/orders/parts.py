"""What a dataset consists of: one file, or the parts in a folder, once the folder is whole.

A folder is whole when it holds an empty file `_SUCCESS`, as Spark and others write it last, or a
manifest that names all parts:

    {"parts": [{"name": "part-00000.csv", "rows": 1000, "bytes": 23456, "sha256": "…"}, …]}

Rows, bytes and hash (of the file as it stands there) may be left out. If there are both, the
manifest counts.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from pydantic import BaseModel, Field, ValidationError

from pipeline.stages.errors import DatasetError
from pipeline.stages.wording import first_few
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import timestamp_of

CSV_SUFFIXES = (".csv", ".csv.gz")
PARQUET_SUFFIX = ".parquet"
SUFFIXES = (*CSV_SUFFIXES, PARQUET_SUFFIX)
SUCCESS = "_SUCCESS"
MANIFEST = "_manifest.json"
BOOKKEEPING = ("_", ".")
"""Names that begin so are those of programs, such as `_committed_…`, `_temporary`, `.crc`."""
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""Spark puts one into the names of parts; its digits are no time."""


class ManifestPart(BaseModel):
    """A part, as the manifest has it."""

    name: str
    rows: int | None = Field(default=None, ge=0)
    bytes: int | None = Field(default=None, ge=0)
    sha256: str | None = Field(default=None, pattern="^[0-9a-fA-F]{64}$")


class Manifest(BaseModel):
    """The names of all parts of a folder, and what is known of each."""

    parts: tuple[ManifestPart, ...]


class Part(NamedTuple):
    """A file of a dataset.

    Attributes:
        key: where it is in the store.
        promised: what the manifest says of it, if there is one.
    """

    key: str
    promised: ManifestPart | None = None

    @property
    def name(self) -> str:
        """Its name in the folder."""
        return PurePosixPath(self.key).name


def is_folder(key: str) -> bool:
    """Tell the key of a folder of parts from that of a file."""
    return key.endswith("/")


def why_not_whole(store: ObjectStore, folder: str) -> str | None:
    """Return what shows that a folder is not whole yet, or None if it is.

    Raises:
        DatasetError: its manifest cannot be read.
        StoreError: the store cannot be listed or read.
    """
    names = _names(store, folder)
    if MANIFEST not in names:
        return None if SUCCESS in names else f"neither {SUCCESS} nor {MANIFEST} is in it"
    missing = [p.name for p in _manifest(store, folder).parts if p.name not in names]
    return f"{MANIFEST} names what is not there: {first_few(missing, repr)}" if missing else None


def parts_of(store: ObjectStore, key: str) -> tuple[Part, ...]:
    """Return the parts of a dataset, sorted by name; a file is its only part.

    Args:
        store: holds the dataset.
        key: of the file, or of the folder, which ends in a slash.

    Raises:
        DatasetError: the folder is not whole, or holds what cannot be the parts of one week.
        StoreError: the store cannot be listed or read.
    """
    if not is_folder(key):
        return (Part(key),)
    lacking = why_not_whole(store, key)
    if lacking:
        raise DatasetError(
            f"it is not whole: {lacking}",
            f"Write all parts, and {SUCCESS} or {MANIFEST} last.",
        )
    names = [name for name in _names(store, key) if not name.startswith(BOOKKEEPING)]
    promised = {}
    if MANIFEST in _names(store, key):
        promised = {part.name: part for part in _manifest(store, key).parts}
    faults = [*_faults(store, key, names, promised)]
    if faults:
        raise DatasetError(*faults)
    return tuple(Part(f"{key}{name}", promised.get(name)) for name in sorted(names))


def _names(store: ObjectStore, folder: str) -> Sequence[str]:
    return [key.removeprefix(folder) for key in store.list_keys(folder.rstrip("/"))]


def _manifest(store: ObjectStore, folder: str) -> Manifest:
    try:
        return Manifest.model_validate_json(store.read(folder + MANIFEST))
    except ValidationError as error:
        reasons = [": ".join([*_place(e["loc"]), e["msg"]]) for e in error.errors()]
        raise DatasetError(
            f"its {MANIFEST} cannot be read",
            *reasons[:5],
            'It should read {"parts": [{"name": "part-00000.csv"}, …]}, with rows, bytes and '
            "sha256 of a part if you like.",
        ) from error


def _place(location: tuple[int | str, ...]) -> list[str]:
    return [".".join(map(str, location))] if location else []


def _faults(
    store: ObjectStore, folder: str, names: Sequence[str], promised: dict[str, ManifestPart]
) -> Iterator[str]:
    """Say what shows that files are not the parts of one week."""
    folders = [key.removeprefix(folder) for key in store.list_folders(folder.rstrip("/"))]
    nested = [name for name in folders if not name.startswith(BOOKKEEPING)]
    if nested:
        yield f"it holds folders, whose parts would be left out: {first_few(nested, repr)}"
        yield "Write parts without partitions by a column, directly into the folder."
    strange = [name for name in names if not name.lower().endswith(SUFFIXES)]
    if strange:
        yield f"it holds what is no part: {first_few(strange, repr)}"
        yield f"Names of parts end in {', '.join(SUFFIXES)}; remove what else is there."
    others = [name for name in names if _is_of_another_time(folder, name)]
    if others:
        yield f"it holds parts of another week: {first_few(others, repr)}"
    parquet = [name for name in names if name.lower().endswith(PARQUET_SUFFIX)]
    csv = [name for name in names if name.lower().endswith(CSV_SUFFIXES)]
    if parquet and csv:
        yield f"it holds both CSV and Parquet: {csv[0]!r} and {parquet[0]!r}"
        yield "Were they written twice? Remove one kind."
    unnamed = [name for name in names if promised and name not in promised]
    if unnamed:
        yield f"it holds parts that {MANIFEST} does not name: {first_few(unnamed, repr)}"
    if not names:
        yield "it is empty: there are no parts in it"


def _is_of_another_time(folder: str, name: str) -> bool:
    moment = timestamp_of(UUID.sub("", name))
    return moment is not None and moment != timestamp_of(folder)
