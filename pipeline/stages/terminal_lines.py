"""What a record of the log looks like on a terminal: `18:52:24 INFO    Starting …`, wrapped.

Levels have colours, unless `NO_COLOR` is set.
"""

import logging
from datetime import datetime
from textwrap import wrap

from rich.console import Console
from rich.style import Style

from pipeline.stages.log_lines import TextFormatter

MAX_COLUMNS = 100
MARGIN = len("18:52:24 WARNING ")
STYLES = {
    "DEBUG": Style(dim=True),
    "INFO": Style(color="green"),
    "WARNING": Style(color="yellow", bold=True),
    "ERROR": Style(color="red", bold=True),
    "CRITICAL": Style(color="red", bold=True, reverse=True),
}


class TerminalFormatter(TextFormatter):
    """Writes time and level in a margin, and beside it the message, wrapped between words."""

    def __init__(self, names_place: bool) -> None:
        """Begin; `names_place` says which function logged a record."""
        super().__init__("%(module)s.%(funcName)s: %(message)s" if names_place else "%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return a record in as many columns as the terminal has, up to 100; paths stay whole."""
        console = Console(stderr=True)
        columns = max(min(console.width, MAX_COLUMNS) - MARGIN, 1)
        lines = [
            part
            for line in super().format(record).split("\n")
            for part in wrap(line, columns, break_long_words=False, break_on_hyphens=False) or [""]
        ]
        level = f"{record.levelname:<7}"
        if console.color_system is not None and not console.no_color:
            level = STYLES[record.levelname].render(level)
        time = f"{datetime.fromtimestamp(record.created):%H:%M:%S}"
        return f"\n{' ' * MARGIN}".join([f"{time} {level} {lines[0]}", *lines[1:]])
