"""A CSV of any size -> blocks of whole lines, in UTF-8, one of which is in memory at a time."""

import io
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.orders.file_kinds import not_utf_8, number_of_lines
from pipeline.stages.errors import DatasetError

BLOCK_BYTES = 16 * 2**20
"""Some 700,000 rows."""
MAX_LINE_BYTES = 2**17
"""What Python's `csv` takes as one field. A longer line is no order, but a mistake."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineBlocks:
    """A place in a file, always at the beginning of a line.

    Attributes:
        line: number of the next line in the file, from 1 on.
    """

    def __init__(self, file: BinaryIO, block_bytes: int = BLOCK_BYTES) -> None:
        """Begin at the first line, behind the byte order mark if there is one.

        Args:
            file: the CSV.
            block_bytes: the largest block; no line may be longer than half of it.
        """
        self._file = file
        self._block_bytes = block_bytes
        self._max_line_bytes = min(MAX_LINE_BYTES, block_bytes // 2)
        file.seek(0)
        has_mark = file.read(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK
        self._position = len(BYTE_ORDER_MARK) if has_mark else 0
        self.line = 1

    def peek(self) -> bytes:
        """Return the next lines, as many as a block holds; nothing at the end of the file.

        Raises:
            DatasetError: a line is too long, or not UTF-8.
        """
        self._file.seek(self._position)
        block = self._file.read(self._block_bytes)
        if len(block) == self._block_bytes:
            block = _whole_lines(block)
        self._check_lengths(block, self.line)
        if not block.isascii():
            _decoded(block, self.line)
        return block

    def ahead(self) -> Iterator[str]:
        """Yield one line after the other, with their ends, and stay where we are.

        Raises:
            DatasetError: a line is too long, or not UTF-8.
        """
        self._file.seek(self._position)
        number = self.line
        longest = self._max_line_bytes + len(b"\r\n")
        while text := self._file.readline(longest):
            lines = _whole_lines(text) if len(text) == longest else text
            self._check_lengths(lines, number)
            self._file.seek(len(lines) - len(text), io.SEEK_CUR)
            for line in lines.splitlines(keepends=True):
                yield _decoded(line, number)
                number += 1

    def lines(self) -> Iterator[str]:
        """Yield one line after the other, with their ends, and go behind each.

        Raises:
            DatasetError: a line is too long, or not UTF-8.
        """
        for line in self.ahead():
            self._position += len(line.encode())
            self.line += 1
            yield line

    def skip(self, lines: bytes) -> None:
        """Go behind lines that were peeked at."""
        self._position += len(lines)
        self.line += number_of_lines(lines)

    def _check_lengths(self, lines: bytes, first_line: int) -> None:
        """Refuse a line that is too long; looks at no more than one end of a line in so many."""
        start, most = 0, self._max_line_bytes
        while len(lines) - start > most:
            window = start, start + most + 1
            end = lines.rfind(b"\n", *window) + 1 or lines.rfind(b"\r", *window) + 1
            if not end:
                number = first_line + number_of_lines(lines[:start])
                raise DatasetError(
                    f"line {number:,} is longer than {most:,} bytes",
                    "Is it damaged there, or a line break missing?",
                )
            start = end


def _decoded(lines: bytes, first_line: int) -> str:
    try:
        return lines.decode()
    except UnicodeDecodeError as error:
        raise not_utf_8(lines, error, first_line) from error


def _whole_lines(block: bytes) -> bytes:
    """Return the lines of a block without the last, which may go on behind it, if it has several.

    A carriage return as the last byte may belong to a line feed.
    """
    end = block.rfind(b"\n") + 1 or block.rfind(b"\r", 0, -1) + 1
    return block[:end] if end else block
