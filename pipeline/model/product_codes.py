"""The codes of all products that a model knows: a million of them in 30 MB.

As strings in a dictionary they would take 140 MB.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from operator import lt
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from pipeline.model.order import normalised_code
from pipeline.stages.errors import ArtifactError

Positions = npt.NDArray[np.intp]

SEPARATOR = "\n"
PLAIN = bytes(range(33, 127)) + SEPARATOR.encode()
CODES_AT_A_TIME = 10_000
"""Codes that are searched at once: some 100 kB, in 0.1 ms."""


class ProductCodes(Sequence[str]):
    """Codes in their order, no two alike: a sequence of strings that tells where a code stands.

    They are kept as one text in UTF-8, and decoded as they are asked for. Where a code stands is
    looked up by its hash of 64 bits, in a table that is made when first needed: a model that is
    only looked through has none. Nothing but the hash is compared: of 10¹³ texts that are no codes,
    one is taken for one of a million. Python keys its hashes anew in each process, so nobody can
    choose such a text.
    """

    def __init__(self, codes: Iterable[str]) -> None:
        """Take codes in their order.

        Raises:
            ValueError: they are not in order, or one is there twice.
        """
        listed = list(codes)
        if not all(map(lt, listed, islice(listed, 1, None))):
            before, code = next(pair for pair in zip(listed, listed[1:]) if pair[0] >= pair[1])
            raise ValueError(f"{code!r} stands after {before!r}: codes are sorted, and differ")
        text = SEPARATOR.join(listed)
        self.text = text.encode()
        as_stored = listed if text.isascii() else map(str.encode, listed)
        sizes = np.fromiter(map(len, as_stored), np.int64, len(listed)) + len(SEPARATOR)
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint32)
        self.starts = array("I", starts.tobytes())  # gives numbers of Python, faster than NumPy

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.starts) - 1

    @overload
    def __getitem__(self, position: int) -> str: ...

    @overload
    def __getitem__(self, position: slice) -> tuple[str, ...]: ...

    def __getitem__(self, position: int | slice) -> str | tuple[str, ...]:
        """Return the code at a position, or those of a slice."""
        places = range(len(self))[position]
        return self._at(places) if isinstance(places, int) else tuple(map(self._at, places))

    def __iter__(self) -> Iterator[str]:
        """Give them in their order."""
        ends = islice(self.starts, 1, None)
        return (self.text[i : end - 1].decode() for i, end in zip(self.starts, ends))

    def __contains__(self, code: object) -> bool:
        """Tell whether a code is one of them."""
        return isinstance(code, str) and self.position(code) is not None

    def index(self, code: Any, *_: int) -> int:
        """Return where a code stands.

        Raises:
            ValueError: it is none of them.
        """
        position = self.position(code)
        if position is None:
            raise ValueError(f"{code!r} is not among the {len(self):,} codes")
        return position

    def position(self, code: str) -> int | None:
        """Return where a code stands, or None if it is none of them."""
        hashes, positions = self._by_hash
        shift, firsts = self._ranges
        wanted = hash(code)
        number = (wanted >> shift) + len(firsts) // 2
        place = bisect_left(hashes, wanted, firsts[number], firsts[number + 1])
        is_known = place < len(hashes) and hashes[place] == wanted
        return positions[place] if is_known else None

    def positions(self, codes: Collection[str]) -> Positions:
        """Return where codes stand, shape (n_codes,); -1 for those that are none of them."""
        hashes, positions = map(np.asarray, self._by_hash)
        wanted = np.fromiter(map(hash, codes), np.int64, len(codes))
        place = np.minimum(np.searchsorted(hashes, wanted), len(hashes) - 1)
        return np.where(hashes[place] == wanted, positions[place].astype(np.intp), -1)

    def known_positions(self, codes: Collection[str]) -> Positions:
        """Return where codes stand, shape (n_codes,).

        Raises:
            KeyError: one is none of them.
        """
        found = self.positions(codes)
        if (found < 0).any():
            raise KeyError(next(code for code, at in zip(codes, found) if at < 0))
        return found

    def those_of(self, is_wanted: npt.NDArray[np.bool_]) -> tuple[str, ...]:
        """Return the codes that are marked, shape (n_products,)."""
        return tuple(map(self._at, np.flatnonzero(is_wanted).tolist()))

    def containing(self, text: str, start: int) -> Iterator[Iterator[int]]:
        """Give the positions of the codes that contain a text, for 10,000 codes at a time.

        The case of A to Z does not count, and blanks around the text do not either.

        Args:
            text: what to look for.
            start: position of the first code to look at.
        """
        wanted = normalised_code(text).encode(errors="surrogatepass").lower()
        for first in range(start, len(self), CODES_AT_A_TIME):
            yield self._containing(wanted, first, min(first + CODES_AT_A_TIME, len(self)))

    def _containing(self, wanted: bytes, first: int, end: int) -> Iterator[int]:
        begin = self.starts[first]
        text = self.text[begin : self.starts[end]].lower()
        place = text.find(wanted)
        while 0 <= place < len(text) and SEPARATOR.encode() not in wanted:
            position = bisect_right(self.starts, begin + place) - 1
            yield position
            place = text.find(wanted, self.starts[position + 1] - begin)

    @property
    def are_plain(self) -> bool:
        """Whether there is nothing in them but ASCII's letters, digits and signs."""
        return not self.text.translate(None, PLAIN)

    def _at(self, position: int) -> str:
        return self.text[self.starts[position] : self.starts[position + 1] - 1].decode()

    @cached_property
    def _ranges(self) -> tuple[int, "array[int]"]:
        """Where to look for a hash among the sorted ones: by its first bits, a handful of places.

        That is one look-up where a search through a million takes twenty.
        """
        hashes = np.asarray(self._by_hash[0])
        bits = max(len(self).bit_length() - 2, 1)
        shift = 64 - bits
        ends = np.searchsorted(hashes >> shift, np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1) + 1))
        return shift, array("I", ends.astype(np.uint32).tobytes())

    @cached_property
    def _by_hash(self) -> tuple["array[int]", "array[int]"]:
        """The hashes of the codes, sorted, and where the code of each stands.

        Raises:
            ArtifactError: two codes have the same hash, as in one of 10⁷ catalogues of a million.
        """
        hashes = np.fromiter(map(hash, self), np.int64, len(self))
        positions = np.argsort(hashes)
        hashes = hashes[positions]
        if (hashes[1:] == hashes[:-1]).any():
            raise ArtifactError(
                f"Two of {len(self):,} product codes have the same hash, by a rare chance. Start "
                "the process again: it will key its hashes anew."
            )
        places = positions.astype(np.uint32)
        return array("q", hashes.tobytes()), array("I", places.tobytes())
