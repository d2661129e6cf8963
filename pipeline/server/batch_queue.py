"""The turns of batches: two are worked on at a time, so that others wait for hardly anything else.

Each takes tens of megabytes and of milliseconds; two, so that one which is all slow steps does not
hold up the rest.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pipeline.server.held_bytes import HeldBytes
from pipeline.server.refusals import RequestRefused

MAX_AT_WORK = 2


class BatchQueue:
    """Lets batches take their turns in the order in which they came."""

    def __init__(self, max_waiting: int, held: HeldBytes) -> None:
        """Begin without any.

        Args:
            max_waiting: how many may wait.
            held: counts the bytes of those that wait.
        """
        self._max_waiting = max_waiting
        self._held = held
        self._waiting = 0
        self._turns = asyncio.Semaphore(MAX_AT_WORK)

    @asynccontextmanager
    async def turn(self, body: bytes) -> AsyncIterator[None]:
        """Wait for the turn of a batch, which lasts as long as this context.

        Raises:
            RequestRefused: too many wait already.
        """
        if self._turns.locked() and self._waiting >= self._max_waiting:
            detail = f"{self._waiting:,} batches are waiting already. Try again in a second."
            raise RequestRefused(503, "overloaded", detail)
        with self._held.holding(len(body)):
            self._held.check(len(body))
            self._waiting += 1
            try:
                await self._turns.acquire()
            finally:
                self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()
