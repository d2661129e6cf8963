"""The bytes of a CSV -> its rows as text, with the lines that each takes up in the file.

A row is one line, unless a quoted field goes over several. A stray quote does that by mistake, and
the rows on those lines would be lost in a field without a trace; so this module finds such rows.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pipeline.stages.errors import DatasetError

BLANKS_AFTER_QUOTE = re.compile(r'"[ \t]+(?=[,\r\n]|$)')


class CsvRow(NamedTuple):
    """A row of a CSV.

    Attributes:
        fields: its fields.
        lines: if there is a quote in it, the lines that it takes up, as they are in the file.
    """

    fields: list[str]
    lines: tuple[str, ...]


def csv_rows(content: bytes) -> Iterator[CsvRow]:
    """Yield the rows that are not blank; the first is the header.

    Raises:
        DatasetError: a field is so long that its quote cannot be meant.
        UnicodeDecodeError: the content is not UTF-8.
    """
    lines: list[str] = []
    reader = csv.reader(_kept(_text(content), lines), skipinitialspace=True)
    try:
        for fields in reader:
            text = lines[0] if len(lines) == 1 else "".join(lines)
            if '"' in text:
                yield CsvRow(fields, tuple(lines))
            elif len(fields) > 1 or text.strip():
                yield CsvRow(fields, ())
            lines.clear()
    except csv.Error as error:
        raise DatasetError(
            f"it is not a CSV file from line {reader.line_num - len(lines) + 1:,} on: {error}; "
            "is there a quote too many?"
        ) from error


def has_odd_quotes(content: bytes) -> bool:
    """Tell whether a field goes over several lines, or a quote is not closed or in mid-field."""
    if b'"' not in content:
        return False
    reader = csv.reader(_text(content), skipinitialspace=True, strict=True)
    try:
        return sum(1 for _ in reader) != reader.line_num
    except csv.Error:
        return True


def quote_fault(row: CsvRow, numbers: Sequence[int]) -> str | None:
    """Return what shows that the quotes of a row are not meant as they are, or None.

    Args:
        row: of one line or more.
        numbers: the positions of the fields that hold numbers in every row.
    """
    if not row.lines:
        return None
    tidy = (BLANKS_AFTER_QUOTE.sub('"', line) for line in row.lines)
    try:
        list(csv.reader(tidy, skipinitialspace=True, strict=True))
    except csv.Error:
        return "has a stray quote"
    holds_rows = sum(_reads_as_row(line, numbers) for line in row.lines) > 1
    return "holds other rows in its quotes" if holds_rows else None


def _reads_as_row(line: str, numbers: Sequence[int]) -> bool:
    fields = line.split(",")
    try:
        for position in numbers:
            float(fields[position].strip(' "\r\n'))
    except (IndexError, ValueError):
        return False
    return True


def _text(content: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")


def _kept(text: Iterable[str], lines: list[str]) -> Iterator[str]:
    """Yield the lines of a text, and append each to `lines` as well."""
    for line in text:
        lines.append(line)
        yield line
