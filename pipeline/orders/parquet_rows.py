"""A Parquet file of orders -> its valid rows, and its bad rows with the reason for each, in chunks.

Only the columns of orders are read. A column of another type is refused: codes that became numbers
have lost their leading zeros, and a time is no number of hours.
"""

from collections.abc import Iterator
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet
from pyarrow import types as kinds

from pipeline.model.order import PRODUCT
from pipeline.orders.csv_layout import missing_columns
from pipeline.orders.order_rows import NONE_REJECTED, OrderRows, orders_of
from pipeline.orders.row_rules import COLUMNS, REASON, broken_rules, reasons_of
from pipeline.stages.errors import DatasetError

CHUNK_ROWS = 500_000
"""Rows in memory at a time."""


class ParquetOrders:
    """The rows of one Parquet file; columns that we do not know are not read.

    Attributes:
        columns: the names of its columns.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read the schema.

        Raises:
            DatasetError: this is not a Parquet file of orders; the message lists all faults.
        """
        try:
            schema = parquet.ParquetFile(file).schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise _damaged(error) from error
        self.columns: list[str] = schema.names
        self._names = [name for name in COLUMNS if name in self.columns]
        faults = [*missing_columns(self.columns)]
        for name in self._names:
            if self.columns.count(name) > 1:
                faults.append(f"the column {name} is there twice")
            else:
                faults += _type_faults(name, schema.field(name).type)
        if faults:
            raise DatasetError(*faults)
        self._file = parquet.ParquetFile(file, read_dictionary=[PRODUCT])

    def chunks(self) -> Iterator[OrderRows]:
        """Yield the rows, half a million at a time.

        Raises:
            DatasetError: the file is damaged.
        """
        batches = self._file.iter_batches(CHUNK_ROWS, columns=self._names, use_threads=False)
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(error) from error
            if batch is None:
                return
            if len(batch):
                yield _rows_of(batch)


def _damaged(error: Exception) -> DatasetError:
    return DatasetError(
        "it is a damaged Parquet file", f"{' '.join(str(error).split())[:200]}", "Deliver it again."
    )


def _type_faults(name: str, found: "pa.DataType") -> Iterator[str]:
    """Say what is wrong with the type of a column; one of nothing but nulls may have any."""
    inner = found.value_type if kinds.is_dictionary(found) else found
    if kinds.is_null(inner):
        return
    if name == PRODUCT and not _is_text(inner):
        yield f"the column {name} is of the type {found}, not text"
        if kinds.is_integer(inner):
            yield "Leading zeros belong to a code: cast it to text where they are not lost yet."
    if name != PRODUCT and not (
        kinds.is_integer(inner) or kinds.is_floating(inner) or kinds.is_decimal(inner)
    ):
        yield f"the column {name} is of the type {found}, not a number"


def _is_text(found: "pa.DataType") -> bool:
    return any(is_it(found) for is_it in (kinds.is_string, kinds.is_large_string, _is_view))


def _is_view(found: "pa.DataType") -> bool:
    return bool(found == pa.string_view())


def _rows_of(batch: "pa.RecordBatch") -> OrderRows:
    """Separate the valid from the bad among the rows of a batch."""
    columns = {name: _converted(name, batch.column(name)) for name in batch.schema.names}
    rows = orders_of(pa.table(columns))
    bad = pd.Index([row for *_, row in broken_rules(rows)], dtype=int).unique().sort_values()
    if bad.empty:
        return OrderRows(rows, NONE_REJECTED)
    taken = batch.take(pa.array(bad))
    text = pd.DataFrame(
        {name: _as_text(taken.column(name)) for name in batch.schema.names}, index=bad
    )
    reasons = reasons_of(rows.loc[bad], text.reindex(columns=COLUMNS, fill_value=""), ())
    return OrderRows(rows.drop(index=bad), text.assign(**{REASON: reasons}))


def _converted(name: str, column: "pa.Array") -> "pa.Array":
    """Return a column as a dictionary of codes, or as floats."""
    if name != PRODUCT:
        return _plain(column).cast(pa.float64(), safe=False)
    code = pa.dictionary(pa.int32(), pa.string())
    if column.null_count:
        column = pc.fill_null(_plain(column).cast(pa.string()), "")
    return column.cast(code) if kinds.is_dictionary(column.type) else _encoded(column)


def _encoded(column: "pa.Array") -> "pa.Array":
    return pc.dictionary_encode(column.cast(pa.string()))


def _plain(column: "pa.Array") -> "pa.Array":
    return column.dictionary_decode() if kinds.is_dictionary(column.type) else column


def _as_text(column: "pa.Array") -> list[str]:
    return ["" if value is None else str(value) for value in column.to_pylist()]
