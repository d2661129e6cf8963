"""Shows progress on a terminal, for work that takes more than a second or two."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Timer
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

MAX_SILENT_SECONDS = 1.5
Item = TypeVar("Item")

_DISPLAY: ContextVar[Progress | None] = ContextVar("display", default=None)


@contextmanager
def progress(description: str) -> Iterator[None]:
    """Show what is being done, and for how long, on a terminal if it takes longer than a moment.

    Nothing is shown if standard error is not a terminal, and nothing stays on the screen.
    """
    if not sys.stderr.isatty():
        yield
        return
    console = Console(stderr=True)
    display = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    display.add_task(description)
    timer = Timer(MAX_SILENT_SECONDS, display.start)
    timer.start()
    token = _DISPLAY.set(display)
    try:
        yield
    finally:
        _DISPLAY.reset(token)
        timer.cancel()
        timer.join()
        display.stop()


def counted(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Yield items, and count them in the progress that is shown: `buckets: 3 of 64`."""
    display = _DISPLAY.get()
    task = display.add_task("") if display else None
    for done, item in enumerate(items):
        if display and task is not None:
            display.update(task, description=f"{what}: {done + 1:,} of {total:,}")
        yield item
    if display and task is not None:
        display.remove_task(task)
