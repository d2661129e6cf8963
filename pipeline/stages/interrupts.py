"""Ctrl-C ends a stage with one line, and with the exit code that shells expect."""

import os
import sys
from types import TracebackType

INTERRUPTED = "Interrupted."
INTERRUPTED_EXIT_CODE = 130
"""128 + the number of SIGINT."""


def end_in_one_line() -> None:
    """Have an interrupt that nobody catches, such as one during imports, end without traceback."""
    sys.excepthook = _end


def _end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    print(INTERRUPTED, file=sys.stderr, flush=True)
    os._exit(INTERRUPTED_EXIT_CODE)  # otherwise the signal itself ends the process
