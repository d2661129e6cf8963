"""Writes lists of names in messages, the same way everywhere."""

import reprlib
from collections.abc import Callable, Sequence

MAX_NAMES = 5


def first_few(
    names: Sequence[str], write: Callable[[str], str] = reprlib.repr, max_names: int = MAX_NAMES
) -> str:
    """Return the first few names on one line however odd they are: `'A', 'B' and 3 more`.

    Args:
        names: such as product codes.
        write: how to write one of them; in quotes and shortened by default.
        max_names: how many of them to write.
    """
    shown = ", ".join(map(write, names[:max_names]))
    more = len(names) - max_names
    return f"{shown} and {more:,} more" if more > 0 else shown
