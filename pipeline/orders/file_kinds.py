"""What kind of file was delivered: gzip is unpacked, Parquet told, and what else it is named."""

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from pipeline.stages.errors import DatasetError, StoreError

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
OTHER_KINDS = {
    b"ARROW1": "an Arrow file",
    b"Obj\x01": "an Avro file",
    b"PK\x03\x04": "an Excel workbook (xlsx) or another zip archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook (xls)",
    b"BZh": "packed with bzip2",
    b"\xfd7zXZ": "packed with xz",
    b"\x28\xb5\x2f\xfd": "packed with Zstandard",
    b"%PDF": "a PDF document",
    b"<": "a document in HTML or XML",
    b"{": "a document in JSON",
    b"[": "a document in JSON",
}
"""Other kinds of files, by the bytes that they begin with."""
REMEDY = (
    "Save it as CSV in UTF-8 with commas between fields and decimal points in numbers, packed with "
    "gzip or not."
)
MAX_SHOWN_LETTERS = 80
COPIED_BYTES = 2**20
"""At a time."""


def is_parquet(file: BinaryIO) -> bool:
    """Tell a Parquet file, whatever its name."""
    return _start_of(file, len(PARQUET)) == PARQUET


@contextmanager
def unpacked(file: BinaryIO) -> Iterator[BinaryIO]:
    """Give the content of a file that is packed with gzip, whatever its name, or of any other.

    It is unpacked into a temporary file, so that a damaged one is found before a row is read.

    Raises:
        DatasetError: it is packed, and damaged.
        StoreError: there is no room to unpack it.
    """
    if _start_of(file, len(GZIP)) != GZIP:
        yield file
        return
    with tempfile.TemporaryFile() as content:
        try:
            with gzip.open(file) as packed:
                shutil.copyfileobj(packed, content, COPIED_BYTES)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DatasetError(
                "it is a damaged gzip file", f"{error}.", "Deliver it again."
            ) from error
        except OSError as error:
            raise StoreError(
                f"Cannot unpack a file into {tempfile.gettempdir()}: {error.strerror}.",
                "Make room for the largest part, unpacked, or set TMPDIR to another folder.",
            ) from error
        with unpacked(content) as inner:
            yield inner


def check_kind(file: BinaryIO) -> None:
    """Raise a `DatasetError` if a file is of a kind that is known, and no CSV."""
    start = _start_of(file, 200).removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, kind in OTHER_KINDS.items():
        if start.startswith(magic):
            raise DatasetError(f"it is {kind}, not a CSV or Parquet file", REMEDY)
    if _is_utf_16(start):
        raise DatasetError("it is text in UTF-16, not in UTF-8", REMEDY)


def _start_of(file: BinaryIO, size: int) -> bytes:
    file.seek(0)
    start = file.read(size)
    file.seek(0)
    return start


def _is_utf_16(start: bytes) -> bool:
    """Tell UTF-16, or UTF-32, by the byte order mark or by many a byte being zero."""
    return start.startswith((b"\xff\xfe", b"\xfe\xff")) or 3 * start.count(0) > len(start)


def number_of_lines(block: bytes) -> int:
    """Return how many lines end in a block, be it with a line feed, a carriage return or both."""
    returns = block.count(b"\r")
    return block.count(b"\n") + (returns and returns - block.count(b"\r\n"))


def not_utf_8(block: bytes, error: UnicodeDecodeError, first_line: int) -> DatasetError:
    """Return the error that names the first line of a file that is not in UTF-8.

    Args:
        block: of lines of the file.
        error: the first that was found in it.
        first_line: number of its first line in the file.
    """
    before = block[: error.start]
    lines = before.splitlines(keepends=True)
    start = sum(map(len, lines[: number_of_lines(before)]))
    line = block[start:].splitlines()[0]
    shown = line.decode("cp1252", errors="replace").strip()[:MAX_SHOWN_LETTERS]
    number = first_line + number_of_lines(before)
    return DatasetError(
        f"it is not UTF-8 text in line {number:,}",
        f"In Windows-1252, which Excel writes, the line reads {shown!r}.",
        REMEDY,
    )
