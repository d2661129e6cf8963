"""Shows progress on a terminal, for work that takes more than a second or two."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

MAX_SILENT_SECONDS = 1.5


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
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        display.stop()
