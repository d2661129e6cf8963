"""The valid rows of a week: all in memory, or a sample in memory and all in files.

What has to see all rows goes from bucket to bucket. What a sample shows as well takes the sample.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.model.order import PRODUCT
from pipeline.orders.buckets import Bucket, RowsInFiles, RowsInMemory
from pipeline.orders.hashes import RowsHash, hash_codes, hash_rows
from pipeline.orders.order_rows import concat_orders
from pipeline.orders.products import positions_among
from pipeline.orders.scanned_rows import ScannedRows, products_of, table_of
from pipeline.orders.scratch import ScratchFolder
from pipeline.orders.splits import Thinning

MAX_SAMPLE_ROWS = 1_000_000
MAX_WHOLE_ROWS = 200_000
MIN_WHOLE_PRODUCTS = 10


@dataclass(frozen=True)
class WeekRows:
    """The valid rows of a week.

    Attributes:
        sample: all rows of a week with at most a million, and otherwise a sample in which each row
            is as likely as any other; the products sorted.
        products: `rows`, `least_orders` and `most_orders` of each product in all rows, by its code,
            sorted.
        hash: of all rows.
        buckets: all rows.
        folder: where the files of the buckets are, while this object is there.
    """

    sample: pd.DataFrame
    products: pd.DataFrame
    hash: RowsHash
    buckets: Sequence[Bucket]
    folder: ScratchFolder | None = None

    @classmethod
    def of(cls, orders: pd.DataFrame) -> Self:
        """Return a week of rows that are in memory.

        Args:
            orders: the valid rows, see `OrderRows`.
        """
        table = table_of(products_of(orders))
        return cls(orders, table, RowsHash.of(hash_rows(orders)), [RowsInMemory(orders)])

    @classmethod
    def in_files(cls, scanned: ScannedRows, folder: ScratchFolder) -> Self:
        """Return a week of rows in files; if they all fit into memory, they are there.

        Args:
            scanned: all rows.
            folder: with the files.
        """
        sample = scanned.sample.rows()
        if len(sample) == scanned.hash.rows:
            return cls.of(sample)
        buckets = [RowsInFiles(paths) for _, paths in sorted(scanned.paths.items())]
        return cls(sample, scanned.products, scanned.hash, buckets, folder)

    @property
    def n_rows(self) -> int:
        """Number of all rows."""
        return self.hash.rows

    @property
    def is_sampled(self) -> bool:
        """Whether rows are in files that the sample has not."""
        return self.n_rows > len(self.sample)

    def positions(self, orders: pd.DataFrame) -> npt.NDArray[np.intp]:
        """Return the positions of the products of rows among all products, shape (n_rows,)."""
        return positions_among(self.products.index, orders[PRODUCT])

    def whole_products(self, max_rows: int = MAX_WHOLE_ROWS) -> pd.DataFrame:
        """Return all rows of some products, at most so many, the products drawn by their hashes.

        A product with more than a tenth of them, or than its equal share if that is more, loses
        some: otherwise the sample would be it alone, or end before it.
        """
        if self.n_rows <= max_rows and not self.is_sampled:
            return self.sample
        drawn = self.products["rows"].iloc[np.argsort(hash_codes(self.products.index))]
        steps = -(-drawn // max(max_rows // MIN_WHOLE_PRODUCTS, max_rows // len(drawn)))
        ends = (-(-drawn // steps)).cumsum()
        n_chosen = int(ends.searchsorted(max_rows, "right"))
        thinning = Thinning(steps.iloc[:n_chosen])
        missing, found = int(ends.iloc[n_chosen - 1]), []
        for bucket in self.buckets:
            found.append(thinning.of(bucket.rows()))
            missing -= len(found[-1])
            if not missing:
                break
        return concat_orders(found)


def gather_rows(
    chunks: Iterable[pd.DataFrame],
    scratch: Path | None = None,
    max_sample_rows: int = MAX_SAMPLE_ROWS,
) -> WeekRows:
    """Gather the valid rows of a week.

    Args:
        chunks: the rows, see `WeekReader.chunks`.
        scratch: folder for the rows of a week that is too large for the memory, by default that of
            the system for such files. What is in it goes with the `WeekRows`.
        max_sample_rows: a week with more rows is too large for the memory.
    """
    pending = iter(chunks)
    first, rows = [], 0
    for chunk in pending:
        first.append(chunk)
        rows += len(chunk)
        if rows > max_sample_rows:
            folder, scanned = ScratchFolder(scratch), ScannedRows(max_sample_rows)
            scanned.scan(_drained(first, pending), folder.path)
            return WeekRows.in_files(scanned, folder)
    return WeekRows.of(concat_orders(first))


def _drained(first: list[pd.DataFrame], others: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield chunks, and keep none of them."""
    while first:
        yield first.pop(0)
    yield from others
