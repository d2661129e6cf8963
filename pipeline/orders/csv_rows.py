"""A CSV of orders -> its valid rows, and its bad rows with the reason for each, in chunks.

Each block of lines is first read in one typed pass, which is all that sound rows need. Only where
that finds something wrong, the lines that are not sound are read again as text, by `csv_text`.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import compress, islice
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from pipeline.model.order import OPTIONAL, PRODUCT
from pipeline.orders.csv_layout import check_layout, names_of
from pipeline.orders.csv_lines import bytes_row_by_row, csv_rows
from pipeline.orders.csv_text import separate
from pipeline.orders.file_kinds import check_kind
from pipeline.orders.line_blocks import BLOCK_BYTES, LineBlocks
from pipeline.orders.order_rows import (
    NO_ORDERS,
    NONE_REJECTED,
    OrderRows,
    concat_orders,
    concat_rejected,
    orders_of,
)
from pipeline.orders.row_rules import COLUMNS, broken_rules
from pipeline.stages.errors import DatasetError

CHUNK_ROWS = 50_000
"""Rows in memory as text at a time."""
ODD_ROWS = 10_000
"""So many rows are read as text from one on that goes over several lines."""
NUMBER = r'"?[ \t]*(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?[ \t]*"?'
ANY_FIELD = r'(?:"(?:[^"\r\n]|"")*"|[^",\r\n][^,\r\n]*|)'
"""A field of a line that is a row."""


class CsvOrders:
    """The rows of one CSV with a header; columns that we do not know are not read.

    Attributes:
        columns: the names in its header.
    """

    def __init__(self, file: BinaryIO, block_bytes: int = BLOCK_BYTES) -> None:
        """Read the header.

        Args:
            file: the CSV.
            block_bytes: so much of it is in memory at a time.

        Raises:
            DatasetError: this is not a CSV of orders; the message lists all faults at once.
        """
        check_kind(file)
        self._lines = LineBlocks(file, block_bytes)
        header = next(csv_rows(self._lines.lines()), None)
        if header is None:
            raise DatasetError("it is empty")
        check_layout(header, next(csv_rows(self._lines.ahead()), None))
        self.columns = names_of(header)
        self._places = {n: self.columns.index(n) for n in COLUMNS if n in self.columns}
        self._looks_sound = re.compile(self._line_pattern().encode()).fullmatch

    def chunks(self) -> Iterator[OrderRows]:
        """Yield the rows, those of some 16 MiB at a time.

        Raises:
            DatasetError: from some line on this is not a CSV.
        """
        while block := self._lines.peek():
            tidy = block[: bytes_row_by_row(block)]
            if tidy:
                yield self._rows_of(tidy)
                self._lines.skip(tidy)
            if len(tidy) < len(block):
                rows = csv_rows(self._lines.lines(), self._lines.line)
                yield separate([*islice(rows, ODD_ROWS)], self.columns)

    def _rows_of(self, block: bytes) -> OrderRows:
        """Read a block, each line of which is a row."""
        rows = self._typed(block)
        if rows is not None and not broken_rules(rows):
            return OrderRows(rows, NONE_REJECTED)
        return self._separated(block.splitlines(keepends=True))

    def _typed(self, block: bytes) -> pd.DataFrame | None:
        """Read all rows of a block in one pass, or return None if there is no sense in one."""
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(block),
                arrow_csv.ReadOptions(
                    use_threads=False,
                    block_size=len(block) + 1,
                    column_names=[*map(str, range(len(self.columns)))],
                ),
                convert_options=self._conversion(),
            )
        except pa.ArrowInvalid:
            return None
        table = table.rename_columns([*self._places])
        if any(pc.any(pc.is_nan(table[n])).as_py() for n in OPTIONAL if n in self._places):
            return None
        return orders_of(table)

    def _conversion(self) -> arrow_csv.ConvertOptions:
        code, number = pa.dictionary(pa.int32(), pa.string()), pa.float64()
        places = {name: str(place) for name, place in self._places.items()}
        return arrow_csv.ConvertOptions(
            include_columns=[*places.values()],
            column_types={p: code if n == PRODUCT else number for n, p in places.items()},
            null_values=[""],
        )

    def _separated(self, lines: Sequence[bytes]) -> OrderRows:
        """Separate the valid from the bad among lines, and keep the order of both."""
        valid, is_odd = self._sound_rows(lines)
        odd = np.flatnonzero(is_odd)
        text = csv_rows(lines[number].decode() for number in odd.tolist())
        found, rejected = [valid], []
        while chunk := list(islice(text, CHUNK_ROWS)):
            rows = separate(chunk, self.columns)
            numbers = odd[[row.number - 1 for row in chunk]]
            found.append(rows.valid.set_axis(numbers[rows.valid.index]))
            rejected.append(rows.rejected)
        order = np.argsort(np.concatenate([rows.index for rows in found]))
        return OrderRows(
            concat_orders(found).iloc[order], concat_rejected([NONE_REJECTED, *rejected])
        )

    def _sound_rows(self, lines: Sequence[bytes]) -> tuple[pd.DataFrame, npt.NDArray[np.bool_]]:
        """Return the rows of the sound lines, indexed by line, and which lines are others."""
        is_odd = np.array([self._looks_sound(line) is None for line in lines])
        rows = self._typed(b"".join(compress(lines, ~is_odd)))
        if rows is None or len(rows) != len(lines) - is_odd.sum():
            return NO_ORDERS, np.ones(len(lines), dtype=bool)
        rows.index = pd.Index(np.flatnonzero(~is_odd))
        broken = pd.Index([row for *_, row in broken_rules(rows)], dtype=int).unique()
        is_odd[broken] = True
        return rows.drop(index=broken), is_odd

    def _line_pattern(self) -> str:
        """Return what a sound line looks like, but for the sizes of its numbers."""
        fields = [ANY_FIELD] * len(self.columns)
        for name, place in self._places.items():
            if name in OPTIONAL:
                fields[place] = f"(?:{NUMBER}|)"
            elif name != PRODUCT:
                fields[place] = NUMBER
        return ",".join(fields) + r"\r?\n?"
