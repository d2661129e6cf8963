"""Hashes of products and rows: from them follow folds, samples and parts, wherever a row stands."""

import hashlib
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.model.order import HOURS, NUMBERS, PRODUCT
from pipeline.orders.products import positions_of

Hashes = npt.NDArray[np.uint64]

_SHIFT = np.uint64(31)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def hash_codes(codes: "pd.Index[str]") -> Hashes:
    """Return a hash of each product code."""
    return pd.util.hash_array(codes.to_numpy(dtype=object), categorize=False)


def hash_rows(orders: pd.DataFrame) -> Hashes:
    """Return a hash of each row: equal rows, and next to no others, have the same."""
    product, codes = positions_of(orders[PRODUCT])
    hashes = hash_codes(codes)[product]
    for name in (*NUMBERS, HOURS):
        if name in orders:
            bits = (orders[name].to_numpy(dtype=float) + 0.0).view(np.uint64)  # -0.0 is 0.0
            hashes = mixed(hashes ^ bits)
    return hashes


class RowsHash(NamedTuple):
    """A hash of many rows, in any order and in any parts.

    Attributes:
        rows: how many.
        sums: of two hashes of each row.
    """

    rows: int = 0
    sums: tuple[int, int] = (0, 0)

    def __add__(self, other: "RowsHash") -> "RowsHash":  # type: ignore[override]
        """Return the hash of the rows of both."""
        (a, b), (c, d) = self.sums, other.sums
        return RowsHash(self.rows + other.rows, ((a + c) % 2**64, (b + d) % 2**64))

    @classmethod
    def of(cls, hashes: Hashes) -> Self:
        """Return the hash of rows with these hashes."""
        sums = (int(hashes.sum(dtype=np.uint64)), int(mixed(hashes).sum(dtype=np.uint64)))
        return cls(len(hashes), sums)

    def hexdigest(self) -> str:
        """Return it in hex digits."""
        return hashlib.sha256(repr(tuple(self)).encode()).hexdigest()


def hash_of_rows(orders: pd.DataFrame) -> str:
    """Return a hash of the rows of a week in hex digits, the same for every order of the rows."""
    return RowsHash.of(hash_rows(orders)).hexdigest()


def mixed(hashes: Hashes) -> Hashes:
    """Return further hashes that have nothing to do with these (SplitMix64: Steele 2014)."""
    hashes = hashes + _STEP
    for factor in _FACTORS:
        hashes ^= hashes >> _SHIFT
        hashes *= factor
    hashes ^= hashes >> _SHIFT
    return hashes
