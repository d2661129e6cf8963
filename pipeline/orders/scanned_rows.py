"""What is kept in memory of rows that go into files: a sample, their products, and a hash."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.model.order import ORDERS, PRODUCT
from pipeline.orders.buckets import BucketFiles, Paths
from pipeline.orders.hashes import Hashes, RowsHash, hash_rows, mixed
from pipeline.orders.order_rows import concat_orders

MAX_PENDING_PRODUCTS = 4_000_000


class ScannedRows:
    """Rows that were written to the files of their buckets: those of a part, or of several.

    Attributes:
        sample: of the rows.
        hash: of all rows.
        paths: files of each bucket, in the sequence of the rows.
    """

    def __init__(self, max_sample_rows: int, halvings: int = 0) -> None:
        """Begin with no rows; see `RowSample`."""
        self.sample = RowSample(max_sample_rows, halvings)
        self.hash = RowsHash()
        self.paths: dict[int, Paths] = {}
        self._products: list[pd.DataFrame] = []

    @property
    def products(self) -> pd.DataFrame:
        """Rows, least and most orders of each product, by its code, sorted."""
        return table_of(_merged(self._products))

    def scan(self, chunks: Iterable[pd.DataFrame], folder: Path) -> None:
        """Write rows to files, and look at each once.

        Args:
            chunks: the rows, of which none were scanned before.
            folder: for the files.
        """
        with BucketFiles(folder) as files:
            for chunk in chunks:
                files.write(chunk)
                hashes = hash_rows(chunk)
                self.hash += RowsHash.of(hashes)
                self.sample.add(chunk, hashes)
                self._add_products([products_of(chunk)])
        self._add_paths(files.paths)

    def merge(self, other: "ScannedRows") -> None:
        """Take rows that come after these, from a later part."""
        self.hash += other.hash
        self.sample.merge(other.sample)
        self._add_products(other._products)
        self._add_paths(other.paths)

    def _add_products(self, tables: Sequence[pd.DataFrame]) -> None:
        self._products += tables
        if sum(map(len, self._products)) > MAX_PENDING_PRODUCTS:
            self._products = [_merged(self._products)]

    def _add_paths(self, paths: Mapping[int, Paths]) -> None:
        for bucket, more in paths.items():
            self.paths[bucket] = (*self.paths.get(bucket, ()), *more)


class RowSample:
    """A sample of rows that does not depend on their sequence: those with small hashes."""

    def __init__(self, max_rows: int, halvings: int = 0) -> None:
        """Begin with nothing.

        Args:
            max_rows: of the sample.
            halvings: how often the rows that are taken are halved from the beginning; more often
                once there are too many.
        """
        self.halvings = halvings
        self._max_rows = max_rows
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
        self.halvings = max(self.halvings, other.halvings)
        self._thin()
        for orders, draws in other._chunks:
            self._keep(orders, draws)

    def rows(self) -> pd.DataFrame:
        """Return the rows, the products sorted."""
        return concat_orders([orders for orders, _ in self._chunks])

    def _keep(self, orders: pd.DataFrame, draws: Hashes) -> None:
        self._chunks.append(_smallest(orders, draws, self.halvings))
        while sum(len(draws) for _, draws in self._chunks) > self._max_rows:
            self.halvings += 1
            self._thin()

    def _thin(self) -> None:
        self._chunks = [_smallest(*chunk, self.halvings) for chunk in self._chunks]


def _smallest(orders: pd.DataFrame, draws: Hashes, halvings: int) -> tuple[pd.DataFrame, Hashes]:
    """Return the rows whose draw is in the lowest half, quarter, …"""
    is_in = _is_small(draws, halvings)
    return (orders, draws) if is_in.all() else (orders[is_in], draws[is_in])


def products_of(orders: pd.DataFrame) -> pd.DataFrame:
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


def table_of(products: pd.DataFrame) -> pd.DataFrame:
    """Return such a table sorted by code."""
    products = products.sort_index()
    return products.set_axis(pd.Index(products.index.astype(object), name=PRODUCT))


def halvings_for(n_rows: int, max_rows: int) -> int:
    """Return how often so many rows have to be halved to be at most so many."""
    return max(0, (-(-n_rows // max_rows) - 1).bit_length())


def drawn(hashes: Hashes, halvings: int) -> npt.NDArray[np.bool_]:
    """Tell which rows are in a sample of a half, a quarter, …, shape (n_rows,)."""
    return _is_small(mixed(hashes), halvings)


def _is_small(draws: Hashes, halvings: int) -> npt.NDArray[np.bool_]:
    is_small: npt.NDArray[np.bool_] = draws <= np.uint64(2 ** (64 - halvings) - 1)
    return is_small
