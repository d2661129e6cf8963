"""A signal ends a stage with one line, and with the exit code that shells expect.

Ctrl-C, SIGTERM and SIGHUP (of a terminal that closes) end what runs as an error does, so that no
files and processes are left. The service stops in its own way, see `DispatchServer`. A lack of
memory is one line, too, with exit code 1, and so is a library that is not there.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

OWN = "pipeline"
"""An import that fails in our own code is a bug, whose traceback tells more."""
OUT_OF_MEMORY = "Out of memory: give this process more."


class Interrupted(KeyboardInterrupt):
    """A signal other than Ctrl-C ends the stage."""

    def __init__(self, number: int) -> None:
        """Remember its number."""
        super().__init__(number)
        self.number = number


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that stop a process, beside Ctrl-C; nohup has it ignore SIGHUP."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    return tuple(each for each in numbers if signal.getsignal(each) != signal.SIG_IGN)


@contextmanager
def handling_stops(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Have a handler take the signals that stop, while what is inside runs."""
    before = {number: signal.signal(number, handler) for number in stop_signals()}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def end_in_one_line() -> None:
    """Have signals, and a lack of memory or of a library, end this process without a traceback."""
    sys.excepthook = _end
    for number in stop_signals():
        signal.signal(number, _interrupt)


def line_of(interrupt: KeyboardInterrupt) -> str:
    """Return what there is to say of an interrupt."""
    if isinstance(interrupt, Interrupted):
        return f"Ended by {signal.Signals(interrupt.number).name}."
    return "Interrupted."


def exit_code_of_interrupt(interrupt: KeyboardInterrupt) -> int:
    """Return 128 + the number of the signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + (interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


def _end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, MemoryError):
        print(OUT_OF_MEMORY, file=sys.stderr, flush=True)
        return
    if isinstance(error, ImportError) and not (error.name or OWN).startswith(OWN):
        reason = f"{error}. Install what the code requires, or use an image of its commit."
        print(f"error: {reason}", file=sys.stderr, flush=True)
        return
    if not isinstance(error, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    print(line_of(error), file=sys.stderr, flush=True)
    os._exit(exit_code_of_interrupt(error))  # otherwise the signal itself ends the process
