"""What a record of the log looks like: a line in a file, a short one on a terminal, or JSON.

A line in a file reads `2021-07-05 18:52:24.264+00:00 - INFO - train_model.main - Starting …`. Only
the first line of a record begins so: the others are indented, and what is not seen is escaped, so
that no name of a file or a product can pass for a record.
"""

import logging
import sys
from datetime import datetime
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

from pipeline.stages.messages import one_line

LogFormat = Literal["text", "json"]

TEXT_FORMAT = "%(asctime)s - %(levelname)s - %(module)s.%(funcName)s - %(message)s"


class LocalTime(logging.Formatter):
    """Writes times to the millisecond, with their offset from UTC."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the local time of a record: `2021-07-05 18:52:24.264+00:00`."""
        local = datetime.fromtimestamp(record.created).astimezone()
        return local.isoformat(sep=" ", timespec="milliseconds")


class TextFormatter(LocalTime):
    """Writes lines for people, with the identifier of the request at the end of the message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record, in which only our own line breaks are some."""
        first, *others = map(one_line, super().format(record).split("\n"))
        indented = [line if line.startswith("  ") else f"  {line}" for line in others]
        return "\n".join([first, *indented])

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return a line without the traceback that may follow it."""
        line = super().formatMessage(record)
        request_id = getattr(record, "request_id", None)
        return line if request_id is None else f"{line} [request {request_id}]"


class JsonLinesFormatter(LocalTime, JsonFormatter):
    """Writes a JSON object for each record, with a field for each fact that it was logged with."""


def formatter_of(log_format: LogFormat, names_place: bool) -> logging.Formatter:
    """Return what makes lines of records.

    Args:
        log_format: text is made for a terminal, if standard error is one, and else for a file.
        names_place: say on a terminal, too, which function logged a record.
    """
    if log_format == "json":
        return JsonLinesFormatter(
            "{asctime}{levelname}{module}{funcName}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "funcName": "function"},
        )
    if sys.stderr.isatty():
        from pipeline.stages.terminal_lines import TerminalFormatter  # a pod needs no colours

        return TerminalFormatter(names_place)
    return TextFormatter(TEXT_FORMAT)
