"""A CSV of any size -> blocks of whole lines, in UTF-8, one of which is in memory at a time."""

import io
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.orders.file_kinds import not_utf_8
from pipeline.stages.errors import DatasetError

BLOCK_BYTES = 16 * 2**20
"""Some 700,000 rows."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineBlocks:
    """A place in a file, always at the beginning of a line.

    Attributes:
        line: number of the next line in the file, from 1 on.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Begin at the first line, behind the byte order mark if there is one."""
        self._file = file
        file.seek(0)
        has_mark = file.read(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK
        self._position = len(BYTE_ORDER_MARK) if has_mark else 0
        self.line = 1

    def peek(self) -> bytes:
        """Return the next lines, as many as a block holds; nothing at the end of the file.

        Raises:
            DatasetError: a line is longer than a block, or not UTF-8.
        """
        self._file.seek(self._position)
        block = self._file.read(BLOCK_BYTES)
        if len(block) == BLOCK_BYTES:
            block = _whole_lines(block, self.line)
        if not block.isascii():
            _decoded(block, self.line)
        return block

    def ahead(self) -> Iterator[str]:
        """Yield one line after the other, with their ends, and stay where we are.

        Raises:
            DatasetError: a line is longer than a block, or not UTF-8.
        """
        self._file.seek(self._position)
        number = self.line
        while text := self._file.readline(BLOCK_BYTES):
            lines = _whole_lines(text, number) if len(text) == BLOCK_BYTES else text
            self._file.seek(len(lines) - len(text), io.SEEK_CUR)
            for line in lines.splitlines(keepends=True):
                yield _decoded(line, number)
                number += 1

    def lines(self) -> Iterator[str]:
        """Yield one line after the other, with their ends, and go behind each.

        Raises:
            DatasetError: a line is longer than a block, or not UTF-8.
        """
        for line in self.ahead():
            self._position += len(line.encode())
            self.line += 1
            yield line

    def skip(self, lines: bytes) -> None:
        """Go behind lines that were peeked at."""
        self._position += len(lines)
        self.line += lines.count(b"\n") or lines.count(b"\r")


def _decoded(lines: bytes, first_line: int) -> str:
    try:
        return lines.decode()
    except UnicodeDecodeError as error:
        raise not_utf_8(lines, error, first_line) from error


def _whole_lines(block: bytes, first_line: int) -> bytes:
    """Return the lines of a block without the last, which may go on behind it."""
    end = (block.rfind(b"\n") + 1) or (block.rfind(b"\r") + 1)
    if not end:
        raise DatasetError(f"line {first_line:,} is longer than {BLOCK_BYTES:,} bytes")
    return block[:end]
