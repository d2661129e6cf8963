"""What kind of file was delivered: gzip is unpacked, and what is no text in UTF-8 is named."""

import gzip
import zlib

from pipeline.stages.errors import DatasetError

GZIP = b"\x1f\x8b"
OTHER_KINDS = {
    b"PAR1": "a Parquet file",
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


def unpacked(content: bytes) -> bytes:
    """Return the content of a file that is packed with gzip, whatever its name, or of any other.

    Raises:
        DatasetError: it is packed, and damaged.
    """
    while content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DatasetError(
                "it is a damaged gzip file", f"{error}.", "Deliver it again."
            ) from error
    return content


def check_kind(content: bytes) -> None:
    """Raise a `DatasetError` if a file is of a kind that is known, and no CSV."""
    start = content[:200].removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, kind in OTHER_KINDS.items():
        if start.startswith(magic):
            raise DatasetError(f"it is {kind}, not a CSV file", REMEDY)
    if _is_utf_16(start):
        raise DatasetError("it is text in UTF-16, not in UTF-8", REMEDY)


def _is_utf_16(start: bytes) -> bool:
    """Tell UTF-16, or UTF-32, by the byte order mark or by many a byte being zero."""
    return start.startswith((b"\xff\xfe", b"\xfe\xff")) or 3 * start.count(0) > len(start)


def not_utf_8(content: bytes, error: UnicodeDecodeError) -> DatasetError:
    """Return the error that names the first line of a file that is not in UTF-8.

    Args:
        content: of the file.
        error: what a reader, perhaps of a part of the file, found.
    """
    try:
        content.decode()
    except UnicodeDecodeError as first:
        error = first
    before, after = content[: error.start], content[error.start :]
    line = before.rpartition(b"\n")[2] + after.partition(b"\n")[0]
    shown = line.decode("cp1252", errors="replace").strip()[:MAX_SHOWN_LETTERS]
    number = before.count(b"\n") + 1
    return DatasetError(
        f"it is not UTF-8 text in line {number:,}",
        f"In Windows-1252, which Excel writes, the line reads {shown!r}.",
        REMEDY,
    )
