"""How many bytes clients have the service hold, all of them together.

They are those of bodies that have arrived in part, of batches that wait for their turn, and of
answers that are not read. Slow clients may be many.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.server.refusals import RequestRefused

MAX_HELD_BYTES = 48 * 1024 * 1024
SMALL_BYTES = 16 * 1024
"""Find room at any time, so that batches keep no single prediction out that comes in pieces."""


class HeldBytes:
    """Counts bytes, and refuses requests beyond a limit."""

    def __init__(self, most: int = MAX_HELD_BYTES) -> None:
        """Start with none."""
        self._most = most
        self._held = 0

    def add(self, length: int) -> None:
        """Hold some more, or fewer if negative."""
        self._held += length

    def check(self, length: int) -> None:
        """Check whether a request may go on to be held.

        Args:
            length: of what is held of this request.

        Raises:
            RequestRefused: there is too much held.
        """
        if self._held > self._most and length > SMALL_BYTES:
            detail = "Too many requests are coming in at once. Try again in a second."
            raise RequestRefused(503, "overloaded", detail)

    @contextmanager
    def holding(self, length: int) -> Iterator[None]:
        """Hold some bytes meanwhile."""
        self.add(length)
        try:
            yield
        finally:
            self.add(-length)
