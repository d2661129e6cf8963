"""The valid rows of a week: all in memory, or a sample in memory and all in files.

What has to see all rows goes from bucket to bucket. What a sample shows as well takes the sample.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Self
from weakref import finalize

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.model.order import ORDERS, PRODUCT
from pipeline.orders.buckets import Bucket, BucketFiles, RowsInMemory, buckets_in
from pipeline.orders.hashes import Hashes, RowsHash, hash_codes, hash_rows, mixed
from pipeline.orders.order_rows import concat_orders
from pipeline.orders.products import positions_among

MAX_SAMPLE_ROWS = 1_000_000
MAX_WHOLE_ROWS = 200_000
MAX_PENDING_PRODUCTS = 4_000_000


class ScratchFolder:
    """A new folder that is removed with this object, and at the latest when the process ends.

    Attributes:
        path: of the folder.
    """

    def __init__(self, parent: Path | None) -> None:
        """Make it in a folder, or in that of the system for such files."""
        self.path = Path(mkdtemp(prefix="time-to-dispatch-", dir=parent))
        finalize(self, rmtree, self.path, ignore_errors=True)


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
        table = _table(_products(orders))
        return cls(orders, table, RowsHash.of(hash_rows(orders)), [RowsInMemory(orders)])

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

        If the first of them has more rows than that, it loses some.
        """
        if self.n_rows <= max_rows and not self.is_sampled:
            return self.sample
        drawn = self.products["rows"].iloc[np.argsort(hash_codes(self.products.index))]
        chosen = drawn.index[: max(1, int((drawn.cumsum() <= max_rows).sum()))]
        missing, found = int(drawn[chosen].sum()), []
        for bucket in self.buckets:
            rows = bucket.rows()
            found.append(rows[rows[PRODUCT].isin(chosen)])
            missing -= len(found[-1])
            if not missing:
                break
        rows = concat_orders(found)
        return rows.iloc[:: -(-len(rows) // max_rows)]


def gather_rows(chunks: Iterable[pd.DataFrame], scratch: Path | None = None) -> WeekRows:
    """Gather the valid rows of a week.

    Args:
        chunks: the rows, see `WeekReader.chunks`.
        scratch: folder for the rows of a week that is too large for the memory, by default that of
            the system for such files. What is in it goes with the `WeekRows`.
    """
    pending = iter(chunks)
    first, rows = [], 0
    for chunk in pending:
        first.append(chunk)
        rows += len(chunk)
        if rows > MAX_SAMPLE_ROWS:
            folder = ScratchFolder(scratch)
            part = scan_part(_drained(first, pending), folder.path, part=0)
            return gather_parts([part], folder)
    return WeekRows.of(concat_orders(first))


def _drained(first: list[pd.DataFrame], others: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield chunks, and keep none of them."""
    while first:
        yield first.pop(0)
    yield from others


@dataclass
class ScannedPart:
    """What is known of a part of a week whose rows are in files.

    Attributes:
        sample: of the rows, those with the smallest hashes of their own.
        products: rows, least and most orders of each product, by its code.
        hash: of all rows.
    """

    sample: "RowSample"
    products: pd.DataFrame
    hash: RowsHash


def scan_part(chunks: Iterable[pd.DataFrame], folder: Path, part: int) -> ScannedPart:
    """Write the rows of a part of a week to the files of their buckets, and look at each once.

    Args:
        chunks: its rows.
        folder: for the files.
        part: its number.
    """
    sample, rows_hash = RowSample(), RowsHash()
    tables: list[pd.DataFrame] = []
    with BucketFiles(folder, part) as files:
        for chunk in chunks:
            files.write(chunk)
            hashes = hash_rows(chunk)
            rows_hash += RowsHash.of(hashes)
            sample.add(chunk, hashes)
            tables.append(_products(chunk))
            if sum(map(len, tables)) > MAX_PENDING_PRODUCTS:
                tables = [_merged(tables)]
    return ScannedPart(sample, _merged(tables), rows_hash)


def gather_parts(parts: Sequence[ScannedPart], folder: ScratchFolder) -> WeekRows:
    """Put together what was found in the parts of a week, in their sequence.

    Args:
        parts: of the week.
        folder: with the files of their buckets.
    """
    sample = RowSample()
    for part in parts:
        sample.merge(part.sample)
    rows_hash = sum((part.hash for part in parts), RowsHash())
    table = _table(_merged([part.products for part in parts]))
    return WeekRows(sample.rows(), table, rows_hash, buckets_in(folder.path), folder)


class RowSample:
    """A sample of rows that does not depend on their sequence: those with small hashes."""

    def __init__(self) -> None:
        """Begin with nothing, and take every row."""
        self._halvings = 0
        self._chunks: list[tuple[pd.DataFrame, Hashes]] = []

    def add(self, orders: pd.DataFrame, hashes: Hashes) -> None:
        """Take the rows of a chunk with small hashes.

        Args:
            orders: the rows.
            hashes: of the rows.
        """
        self._keep(orders, mixed(hashes))

    def merge(self, other: "RowSample") -> None:
        """Take the rows of another sample."""
        self._halvings = max(self._halvings, other._halvings)
        self._thin()
        for orders, draws in other._chunks:
            self._keep(orders, draws)

    def rows(self) -> pd.DataFrame:
        """Return the rows, the products sorted."""
        return concat_orders([orders for orders, _ in self._chunks])

    def _keep(self, orders: pd.DataFrame, draws: Hashes) -> None:
        self._chunks.append(_smallest(orders, draws, self._halvings))
        while sum(len(draws) for _, draws in self._chunks) > MAX_SAMPLE_ROWS:
            self._halvings += 1
            self._thin()

    def _thin(self) -> None:
        self._chunks = [_smallest(*chunk, self._halvings) for chunk in self._chunks]


def _smallest(orders: pd.DataFrame, draws: Hashes, halvings: int) -> tuple[pd.DataFrame, Hashes]:
    """Return the rows whose draw is in the lowest half, quarter, …"""
    is_in = draws <= np.uint64(2 ** (64 - halvings) - 1)
    return (orders, draws) if is_in.all() else (orders[is_in], draws[is_in])


def _products(orders: pd.DataFrame) -> pd.DataFrame:
    """Return rows, least and most orders placed of each product of some rows, by its code."""
    grouped = orders.groupby(PRODUCT, observed=True, sort=False)[ORDERS].agg(["size", "min", "max"])
    grouped.columns = pd.Index(["rows", "least_orders", "most_orders"])
    grouped.index = pd.Index(grouped.index.astype(object), name=PRODUCT)
    return grouped


def _merged(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return one such table for several."""
    if len(tables) == 1:
        return tables[0]
    together = pd.concat(tables)
    grouped = together.groupby(level=0, sort=False)
    return grouped.agg({"rows": "sum", "least_orders": "min", "most_orders": "max"})


def _table(products: pd.DataFrame) -> pd.DataFrame:
    """Return such a table sorted by code."""
    products = products.sort_index()
    return products.set_axis(pd.Index(products.index.astype(object), name=PRODUCT))


def halvings_for(n_rows: int, max_rows: int) -> int:
    """Return how often so many rows have to be halved to be at most so many."""
    return max(0, (-(-n_rows // max_rows) - 1).bit_length())


def drawn(hashes: Hashes, halvings: int) -> npt.NDArray[np.bool_]:
    """Tell which rows are in a sample of a half, a quarter, …, shape (n_rows,)."""
    is_in: npt.NDArray[np.bool_] = mixed(hashes) <= np.uint64(2 ** (64 - halvings) - 1)
    return is_in
