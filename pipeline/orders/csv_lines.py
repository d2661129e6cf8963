"""The lines of a CSV -> its rows as text, with the lines that each takes up in the file.

A row is one line, unless a quoted field goes over several. A stray quote does that by mistake, and
the rows on those lines would be lost in a field without a trace; so this module finds such rows.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pipeline.model.order import BLANKS
from pipeline.stages.errors import DatasetError

BLANKS_BEFORE_QUOTE = re.compile(rb'(?:^|[,\r\n]) +"')
STRAY_QUOTE = "has a stray quote"
BLANKS_AFTER_QUOTE = re.compile(r'"[ \t]+(?=[,\r\n]|$)')


class CsvRow(NamedTuple):
    """A row of a CSV.

    Attributes:
        fields: its fields.
        lines: if there is a quote in it, the lines that it takes up, as they are in the file.
        number: of its first line among those that were given, from 1 on.
    """

    fields: list[str]
    lines: tuple[str, ...]
    number: int


def csv_rows(text: Iterable[str], first_line: int = 1) -> Iterator[CsvRow]:
    """Yield the rows that are not blank, and take no line before it is needed.

    Args:
        text: the lines with their ends, beginning with a row.
        first_line: number of the first of them in the file, for the message.

    Raises:
        DatasetError: a field is so long that its quote cannot be meant.
    """
    lines: list[str] = []
    reader = csv.reader(_kept(text, lines), skipinitialspace=True)
    try:
        for fields in reader:
            row = lines[0] if len(lines) == 1 else "".join(lines)
            number = reader.line_num - len(lines) + 1
            if '"' in row:
                yield CsvRow(fields, tuple(lines), number)
            elif len(fields) > 1 or row.strip(BLANKS):
                yield CsvRow(fields, (), number)
            lines.clear()
    except csv.Error as error:
        number = first_line + reader.line_num - len(lines)
        raise DatasetError(
            f"it is not a CSV file from line {number:,} on: {error}; is there a quote too many?"
        ) from error


def bytes_row_by_row(block: bytes) -> int:
    """Return how many bytes a block begins with of whose lines each is a row.

    Quotes in it are such as RFC 4180 has them; the first other row ends it.
    """
    quote = block.find(b'"')
    if quote < 0:
        return len(block)
    end = block.rfind(b"\n", 0, quote) + 1
    has_blanks = BLANKS_BEFORE_QUOTE.search(block, end) is not None
    lines: list[bytes] = block[end:].splitlines(keepends=True)
    reader = csv.reader((line.decode() for line in lines), strict=True)
    try:
        for number, row in enumerate(reader):
            if number + 1 != reader.line_num or (has_blanks and any(map(_is_quoted_late, row))):
                return end
            end += len(lines[number])
    except csv.Error:
        pass
    return end


def _is_quoted_late(field: str) -> bool:
    return field.startswith(" ") and field.lstrip(" ").startswith('"')


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
        return STRAY_QUOTE
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


def _kept(text: Iterable[str], lines: list[str]) -> Iterator[str]:
    """Yield the lines of a text, and append each to `lines` as well."""
    for line in text:
        lines.append(line)
        yield line
