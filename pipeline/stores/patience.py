"""How long a stage waits for its store: one deadline over all that it asks in a row."""

from collections.abc import Callable
from concurrent.futures import wait
from threading import Lock
from time import monotonic

from pipeline.stages.daemon_threads import Result, in_daemon_thread
from pipeline.stages.errors import StoreError

MIN_BYTES_PER_SECOND = 100_000
"""What arrives faster takes nothing of the patience, however much it is."""
ADVICE = "Check the network and AWS_ENDPOINT_URL_S3; --store-seconds waits longer."


class Received:
    """What has been transferred for a question so far.

    Attributes:
        bytes: how many.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.bytes = 0

    def add(self, n_bytes: int) -> None:
        """Count some more."""
        self.bytes += n_bytes


class Patience:
    """Waits for answers so many seconds in all; what is left grows again while nothing is asked.

    The timeouts of sockets do not end an answer that drips, or a name that is never resolved. So
    each question is asked in a thread of its own, which is left alone when the time is over; the
    process may end without it.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        """Begin with all of it.

        Args:
            seconds: to wait in a row.
            clock: tells seconds.
        """
        self._seconds = seconds
        self._clock = clock
        self._left = seconds
        self._asked_last = clock()
        self._lock = Lock()

    def ask(self, attempt: str, question: Callable[[Received], Result]) -> Result:
        """Return the answer to a question.

        Args:
            attempt: what is tried, for the error.
            question: counts what it transfers.

        Raises:
            StoreError: there was no answer in time.
        """
        start = self._clock()
        with self._lock:
            self._left = min(self._seconds, self._left + max(0.0, start - self._asked_last))
            left = self._left
        received = Received()
        answer = in_daemon_thread(question, received)
        while not answer.done():
            waited = self._clock() - start - received.bytes / MIN_BYTES_PER_SECOND
            if waited >= left:
                break
            wait([answer], left - waited)
        end = self._clock()
        waited = max(0.0, end - start - received.bytes / MIN_BYTES_PER_SECOND)
        with self._lock:
            self._left = max(0.0, self._left - waited)
            self._asked_last = end
        if not answer.done():
            came = f"only {received.bytes:,} bytes" if received.bytes else "no answer"
            raise StoreError(f"{attempt}: {came} within {self._seconds:g} seconds. {ADVICE}")
        return answer.result()
