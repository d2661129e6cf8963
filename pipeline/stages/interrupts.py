"""Ctrl-C ends a stage with one line, and with the exit code that shells expect; so does SIGTERM.

So does a lack of memory, with exit code 1.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

INTERRUPTED = "Interrupted."
OUT_OF_MEMORY = "Out of memory: give this process more."
INTERRUPTED_EXIT_CODE = 130
"""128 + the number of SIGINT."""
TERMINATED_EXIT_CODE = 128 + signal.SIGTERM


@contextmanager
def cleaning_up_after_sigterm() -> Iterator[None]:
    """Have SIGTERM end what is inside as an error does, so that no files and processes are left."""
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED_EXIT_CODE))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def end_in_one_line() -> None:
    """Have no traceback for what nobody catches of this kind, such as during imports."""
    sys.excepthook = _end


def _end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, MemoryError):
        print(OUT_OF_MEMORY, file=sys.stderr, flush=True)
        return
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    print(INTERRUPTED, file=sys.stderr, flush=True)
    os._exit(INTERRUPTED_EXIT_CODE)  # otherwise the signal itself ends the process
