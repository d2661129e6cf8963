"""A delivered week -> chunks of its valid rows, one part after the other, in bounded memory.

What is held meanwhile: one block of one part as bytes (16 MiB), its rows, and the bad rows so far.
"""

import hashlib
import io
import reprlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import pandas as pd

from pipeline.orders.csv_layout import NO_ROWS, unused_columns
from pipeline.orders.csv_rows import CsvOrders
from pipeline.orders.deliveries import Delivery
from pipeline.orders.file_kinds import COPIED_BYTES, is_parquet, unpacked
from pipeline.orders.findings import Findings
from pipeline.orders.parquet_rows import ParquetOrders
from pipeline.orders.parts import Part, is_folder, parts_of
from pipeline.stages.errors import DatasetError
from pipeline.stages.logs import LOG
from pipeline.stages.progress import counted
from pipeline.stages.wording import first_few
from pipeline.stores.base import ObjectStore

PART = "part"
"""The column of bad rows that names their part."""


class WeekReader:
    """One pass over a dataset.

    Attributes:
        delivery: the dataset.
        found: what is known of the parts that were read so far.
    """

    def __init__(self, store: ObjectStore, delivery: Delivery, key: str | None = None) -> None:
        """Prepare to read; nothing is read yet.

        Args:
            store: holds the dataset.
            delivery: what it is called.
            key: where it is in the store, if not where its name says.
        """
        self.delivery = delivery
        self.found = Findings()
        self._store = store
        self._key = key or delivery.key

    @property
    def place(self) -> tuple[str, Delivery, str]:
        """The URL of the store, the dataset, and its key in the store."""
        return self._store.url, self.delivery, self._key

    @property
    def sha256(self) -> str:
        """Hash of the dataset in hex digits, once all chunks were read.

        That of the file, unpacked; or of the names and hashes of all parts in order.
        """
        if not is_folder(self._key):
            (only,) = self.found.hashes.values()
            return only
        lines = [f"{sha256}  {name}\n" for name, sha256 in sorted(self.found.hashes.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def parts(self) -> Sequence[Part]:
        """Return the parts of the dataset.

        Raises:
            DatasetError: it is not whole.
            StoreError: the store cannot be listed or read.
        """
        with self._named():
            return parts_of(self._store, self._key)

    def chunks(self, parts: Sequence[Part] | None = None) -> Iterator[pd.DataFrame]:
        """Yield the valid rows, some 700,000 at a time at most; see `OrderRows.valid`.

        Args:
            parts: all parts of the dataset, if they are known.

        Raises:
            DatasetError: the dataset is not whole, or a part of it is no file of orders, damaged,
                not what the manifest says, or there twice.
            StoreError: the store cannot be listed or read.
        """
        parts = self.parts() if parts is None else parts
        for part in counted(parts, len(parts), "parts"):
            yield from self.rows_of(part)
        self.finish()

    def rows_of(self, part: Part) -> Iterator[pd.DataFrame]:
        """Yield the valid rows of a part; see `chunks`."""
        with self._named(part), self._store.open(part.key) as file:
            yield from self._rows_of(part, file)

    def take(self, part: Part, found: Findings) -> None:
        """Take what another reader found in a part.

        Raises:
            DatasetError: the part is a copy of one before it.
        """
        with self._named(part):
            for sha256 in found.with_rows:
                self._refuse_copy(sha256)
        self.found.merge(found)

    def finish(self) -> None:
        """Say what there is to say once all parts are read.

        Raises:
            DatasetError: there are no rows.
        """
        with self._named():
            if not self.found.rows:
                raise DatasetError(NO_ROWS)
        if self.found.unused:
            LOG.info(f"Columns not used: {first_few(sorted(self.found.unused))}.")

    def _rows_of(self, part: Part, file: BinaryIO) -> Iterator[pd.DataFrame]:
        """Yield the valid rows of a part, and note its bad ones."""
        _check_bytes(part, file)
        before = self.found.rows
        with unpacked(file) as content:
            sha256 = _sha256(content)
            self._refuse_copy(sha256)
            orders = self._opened(content)
            self.found.unused.update(unused_columns(orders.columns))
            for rows in orders.chunks():
                self.found.valid_rows += len(rows.valid)
                self.found.rejected.add(self._with_part(part, rows.rejected))
                yield rows.valid
        self.found.hashes[part.name] = sha256
        read = self.found.rows - before
        if read:
            self.found.with_rows[sha256] = part.name
        _check_rows(part, read)

    def _opened(self, content: BinaryIO) -> ParquetOrders | CsvOrders:
        if is_parquet(content):
            return ParquetOrders(content)
        if is_folder(self._key):
            _check_end(content)
        return CsvOrders(content)

    @contextmanager
    def _named(self, part: Part | None = None) -> Iterator[None]:
        """Put the name of the dataset, and of a part, before what is wrong with it."""
        name, details = self.delivery.key, []
        if part is not None and is_folder(self._key):
            name = f"{name}, {reprlib.repr(part.name)}"
            details = [f"The part is {self.delivery.key}{part.name}."]
        try:
            yield
        except DatasetError as error:
            message = error.message
            end = "" if message.headline.endswith("?") else "."
            raise DatasetError(
                f"Refused {name}: {message.headline}{end}",
                *message.details,
                *details,
                links={"Dataset": f"{self._store.url}/{self._key}"},
                facts={"dataset": self.delivery.key},
            ) from error

    def _with_part(self, part: Part, rejected: pd.DataFrame) -> pd.DataFrame:
        """Name the part of bad rows; a column that is called so already is no part."""
        if not is_folder(self._key) or rejected.empty:
            return rejected
        rejected = rejected.rename(columns={PART: f"{PART}_of_the_file"})
        rejected.insert(0, PART, part.name)
        return rejected

    def _refuse_copy(self, sha256: str) -> None:
        """Refuse a part with the content of another: its orders would count twice."""
        if sha256 in self.found.with_rows:
            raise DatasetError(
                f"it has the content of {self.found.with_rows[sha256]}",
                "A part that is there twice counts its orders twice: remove one of them.",
            )


def _sha256(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while content := file.read(COPIED_BYTES):
        digest.update(content)
    return digest.hexdigest()


def _check_end(content: BinaryIO) -> None:
    """Refuse a part whose last line has no end, as programs that write parts always do."""
    size = content.seek(0, io.SEEK_END)
    content.seek(max(size - 1, 0))
    if size and content.read() not in b"\r\n":
        raise DatasetError(
            "its last line has no end",
            "Was it cut off? Deliver it again; if not, end it with a line break.",
        )


def _check_bytes(part: Part, file: BinaryIO) -> None:
    """Refuse a part that is not the file that the manifest promises."""
    promised = part.promised
    if promised is None:
        return
    size = file.seek(0, io.SEEK_END)
    if promised.bytes is not None and size != promised.bytes:
        raise DatasetError(
            f"it has {size:,} bytes, and the manifest says {promised.bytes:,}",
            "Was it cut off, or written again? Deliver it again.",
        )
    if promised.sha256 is not None and _sha256(file) != promised.sha256.lower():
        raise DatasetError(
            "its SHA-256 is not that of the manifest",
            "Was it damaged, or written again? Deliver it again, or the manifest.",
        )


def _check_rows(part: Part, rows: int) -> None:
    """Refuse a part with more or fewer rows than the manifest promises."""
    promised = part.promised
    if promised is not None and promised.rows is not None and promised.rows != rows:
        raise DatasetError(
            f"it has {rows:,} rows, and the manifest says {promised.rows:,}",
            "Was it cut off, or written again? Deliver it again.",
        )
