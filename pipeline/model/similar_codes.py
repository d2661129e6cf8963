"""Product codes that are close to another one: what somebody may have meant.

Those that differ in case, blanks, punctuation and leading zeros alone; if there are none, those in
which one or two letters are other ones, missing, too many or swapped.
"""

import re
from collections.abc import Iterator, Sequence
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import OSA

MAX_CODE_LETTERS = 64
"""Longer codes are compared with none, and so are those whose form takes more bytes."""
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

    def __init__(self, codes: Sequence[str]) -> None:
        """Sort the codes by their beginnings and by their ends: 4 µs for each of them."""
        self._codes = codes
        forms = np.empty((2, len(codes)), f"S{MAX_CODE_LETTERS}")
        for position, code in enumerate(codes):
            form = _form_of(code)
            forms[:, position] = _stored(form), _stored(form[::-1])
        self._by_beginning, self._by_end = map(_Sequence, forms)

    def similar_to(self, code: str) -> list[str]:
        """Return the codes that take the fewest edits, at most five; none if none is close.

        Of two that take equally many, the one comes first that agrees better as it is written.
        """
        form = _form_of(code)
        if not form:
            return []
        found = {*self._by_beginning.close_to(form), *self._by_end.close_to(form[::-1])}
        fewest = min((edits for edits, _ in found), default=0)
        others = [self._codes[position] for edits, position in found if edits == fewest]
        ranked = sorted((OSA.distance(code, other), other) for other in others)
        return [other for _, other in ranked[:MAX_SIMILAR_CODES]]


class _Sequence:
    """Codes in the sequence of a form of theirs, which is all that is kept of them."""

    def __init__(self, forms: npt.NDArray[np.bytes_]) -> None:
        """Sort forms in UTF-8, shape (n_codes,); NumPy lets other threads run meanwhile."""
        longest = int(np.strings.str_len(forms).max(initial=1))
        self._positions = np.argsort(forms).astype(np.uint32)
        self._forms = forms[self._positions].astype(f"S{longest}")

    def close_to(self, form: str) -> Iterator[tuple[int, int]]:
        """Give the number of edits and the position of each neighbour that is close to a form."""
        wanted = np.array(_stored(form), self._forms.dtype)  # of another, all would be copied
        middle = int(np.searchsorted(self._forms, wanted))
        start = max(middle - NEIGHBOURS, 0)
        neighbours = [each.decode() for each in self._forms[start : middle + NEIGHBOURS].tolist()]
        max_edits = min(len(form) // LETTERS_PER_EDIT, MAX_EDITS)
        for _, edits, place in process.extract(
            form, neighbours, scorer=OSA.distance, score_cutoff=max_edits, limit=None
        ):
            yield edits, int(self._positions[start + place])


def _form_of(code: str) -> str:
    """Return the plain form of a code, or nothing if it is too long to be compared."""
    form = plain_form(code) if len(code) <= MAX_CODE_LETTERS else ""
    return form if len(_stored(form)) <= MAX_CODE_LETTERS else ""


def _stored(form: str) -> bytes:
    return form.encode(errors="surrogatepass")


def plain_form(code: str) -> str:
    """Return a code without what people get wrong most: case, blanks, signs, leading zeros."""
    return NO_LETTERS.sub("", LEADING_ZEROS.sub("", normalize("NFKC", code).casefold()))
