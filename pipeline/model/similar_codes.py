"""Product codes that are close to another one: what somebody may have meant.

Those that differ in case, blanks, punctuation and leading zeros alone; if there are none, those in
which one or two letters are other ones, missing, too many or swapped.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from unicodedata import normalize

from rapidfuzz import process
from rapidfuzz.distance import OSA

MAX_CODE_LETTERS = 64
"""Longer codes are compared with none."""
MAX_SIMILAR_CODES = 5
MAX_EDITS = 2
LETTERS_PER_EDIT = 3
"""A code of fewer letters has to agree in all of them."""
NEIGHBOURS = 500
"""How many codes are compared on either side, in either sequence: 2,000 in all."""

LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
NO_LETTERS = re.compile(r"[\W_]+")


class SimilarCodes:
    """Finds similar ones among many codes, at a price that does not depend on their number.

    A code is compared with those that begin like it and those that end like it: whoever makes one
    or two mistakes leaves either the one or the other half as it was.
    """

    def __init__(self, codes: Iterable[str]) -> None:
        """Sort the codes by their beginnings and by their ends."""
        plain = [(plain_form(code), code) for code in codes if len(code) <= MAX_CODE_LETTERS]
        self._by_beginning = _Sequence(plain)
        self._by_end = _Sequence((form[::-1], code) for form, code in plain)

    def similar_to(self, code: str) -> list[str]:
        """Return the codes that take the fewest edits, at most five; none if none is close.

        Of two that take equally many, the one comes first that agrees better as it is written.
        """
        form = plain_form(code) if len(code) <= MAX_CODE_LETTERS else ""
        if not form:
            return []
        found = {*self._by_beginning.close_to(form), *self._by_end.close_to(form[::-1])}
        fewest = min((edits for edits, _ in found), default=0)
        ranked = sorted(
            (OSA.distance(code, other), other) for edits, other in found if edits == fewest
        )
        return [other for _, other in ranked[:MAX_SIMILAR_CODES]]


class _Sequence:
    """Codes in the sequence of a form of theirs."""

    def __init__(self, codes: Iterable[tuple[str, str]]) -> None:
        """Sort pairs of form and code."""
        pairs = sorted(codes)
        self._forms = [form for form, _ in pairs]
        self._codes = [code for _, code in pairs]

    def close_to(self, form: str) -> Iterator[tuple[int, str]]:
        """Give the number of edits and the code of each neighbour that is close to a form."""
        middle = bisect_left(self._forms, form)
        start = max(middle - NEIGHBOURS, 0)
        neighbours = self._forms[start : middle + NEIGHBOURS]
        max_edits = min(len(form) // LETTERS_PER_EDIT, MAX_EDITS)
        for _, edits, position in process.extract(
            form, neighbours, scorer=OSA.distance, score_cutoff=max_edits, limit=None
        ):
            yield edits, self._codes[start + position]


def plain_form(code: str) -> str:
    """Return a code without what people get wrong most: case, blanks, signs, leading zeros."""
    return NO_LETTERS.sub("", LEADING_ZEROS.sub("", normalize("NFKC", code).casefold()))
