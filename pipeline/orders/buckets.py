"""The rows of a large week in files, each of which has all rows of its products.

A product's bucket follows from the hash of its code, so that rows of many parts, written by many
processes, meet in one place. The buckets are ranges of hashes: the first products by hash, which
are as good as drawn at random, are all in the first buckets.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, Self
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.model.order import PRODUCT
from pipeline.orders.hashes import hash_codes
from pipeline.orders.scratch import cannot_write

BUCKETS = 64
"""Of 10⁸ rows each has some 40 MB, and a product with a share of the rows has it in its bucket."""
HASH_BITS = 64
Paths = tuple[str, ...]


class Bucket(Protocol):
    """All rows of some products."""

    def rows(self) -> pd.DataFrame:
        """Return them, in the sequence of the week."""


class RowsInMemory(NamedTuple):
    """A bucket that is there."""

    frame: pd.DataFrame

    def rows(self) -> pd.DataFrame:
        """See `Bucket`."""
        return self.frame


class RowsInFiles(NamedTuple):
    """A bucket in Arrow streams, which all processes that work on it can read.

    Attributes:
        paths: in the sequence of the parts that they were written from.
    """

    paths: Paths

    def rows(self) -> pd.DataFrame:
        """See `Bucket`."""
        tables = []
        for path in self.paths:
            with pa.memory_map(path) as file, pa.ipc.open_stream(file) as reader:
                tables.append(reader.read_all())
        rows: pd.DataFrame = pa.concat_tables(tables).unify_dictionaries().to_pandas()
        return rows


class BucketFiles:
    """Writes the rows of a part of a week into the files of all buckets.

    The files have new names, so that the work can be done again without regard to files of before.

    Attributes:
        paths: the file of each bucket that has rows.
    """

    def __init__(self, folder: Path) -> None:
        """Prepare to write into a folder; nothing is written yet."""
        self.paths: dict[int, Paths] = {}
        self._folder = folder
        self._name = uuid4().hex
        self._writers: dict[int, pa.RecordBatchStreamWriter] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Keep the files open until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        with self._telling():
            self._stack.close()

    def write(self, orders: pd.DataFrame) -> None:
        """Write rows whose product is a category.

        Raises:
            StoreError: there is no room.
        """
        with self._telling():
            self._write(orders)

    def _write(self, orders: pd.DataFrame) -> None:
        for bucket, batch in _by_bucket(orders):
            writer = self._writers.get(bucket)
            if writer is None:
                path = str(self._folder / f"bucket-{bucket:02}-{self._name}.arrow")
                self.paths[bucket] = (path,)
                sink = self._stack.enter_context(pa.OSFile(path, "wb"))
                writer = self._stack.enter_context(pa.ipc.new_stream(sink, batch.schema))
                self._writers[bucket] = writer
            writer.write_batch(batch)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell of a folder that cannot be written to."""
        try:
            yield
        except OSError as error:
            raise cannot_write(self._folder, error) from error


def _by_bucket(orders: pd.DataFrame) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the number of each bucket that rows fall into, and these rows."""
    codes = orders[PRODUCT].cat.categories
    hashes = hash_codes(codes)
    by_hash = np.argsort(hashes, kind="stable")
    rank = np.empty(len(codes), dtype=np.int32)
    rank[by_hash] = np.arange(len(codes), dtype=np.int32)
    bits = np.uint64(HASH_BITS - (BUCKETS - 1).bit_length())
    bucket_of_code = (hashes[by_hash] >> bits).astype(np.uint8)
    product = rank[orders[PRODUCT].cat.codes.to_numpy()]
    bucket = bucket_of_code[product]
    order = np.argsort(bucket, kind="stable")  # small integers are sorted in linear time
    columns = {name: orders[name].to_numpy()[order] for name in orders if name != PRODUCT}
    product = product[order]
    ends = np.cumsum(np.bincount(bucket, minlength=BUCKETS))
    first_codes = np.searchsorted(bucket_of_code, np.arange(BUCKETS + 1))
    texts = pa.array(codes[by_hash], pa.string())
    for number in np.flatnonzero(np.diff(ends, prepend=0)):
        rows = slice(ends[number - 1] if number else 0, ends[number])
        first, last = first_codes[number], first_codes[number + 1]
        of_products = pa.DictionaryArray.from_arrays(
            product[rows] - np.int32(first), texts[first:last]
        )
        named = {name: of_products if name == PRODUCT else columns[name][rows] for name in orders}
        yield int(number), pa.record_batch(named)
