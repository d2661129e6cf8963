"""Configures the log of a stage, and turns an error into its exit code.

Log lines go to standard error; `log_lines` says what they look like. All modules of the pipeline
log to one logger, `LOG`.
"""

import functools
import logging
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Literal, ParamSpec

from pipeline.stages.errors import PipelineError
from pipeline.stages.interrupts import OUT_OF_MEMORY, exit_code_of_interrupt, line_of
from pipeline.stages.log_lines import LogFormat, formatter_of
from pipeline.stages.messages import Message

LOG = logging.getLogger("time_to_dispatch")

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

HANDLER_NAME = "time_to_dispatch"

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The identifier of the request that is being answered; each log line about it ends with it."""

Arguments = ParamSpec("Arguments")


class StandardErrorHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what `sys.stderr` is at the time, so that a progress display can move aside."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record to the current standard error."""
        self.stream = sys.stderr
        super().emit(record)


def configure_logging(level: LogLevel, log_format: LogFormat) -> None:
    """Set level and format of the stage's log; calling it again replaces what the first call set.

    Libraries log warnings and worse, the pipeline and uvicorn from `level` on. Python's warnings
    become log lines.
    """
    logging.captureWarnings(True)
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if handler.name == HANDLER_NAME]:
        root.removeHandler(handler)
    handler = StandardErrorHandler()
    handler.name = HANDLER_NAME
    handler.addFilter(_add_request_id)
    handler.setFormatter(formatter_of(log_format, names_place=level == "DEBUG"))
    root.addHandler(handler)
    for name in (LOG.name, "uvicorn"):
        logging.getLogger(name).setLevel(level)


def exit_code_of(main: Callable[Arguments, None]) -> Callable[Arguments, int]:
    """Make a stage's `main` return its exit code: 0 done, 1 failed, 3 refused, 128 + a signal.

    A `PipelineError` is logged as its message (with the traceback at level DEBUG). Any other
    exception is a bug, and is logged with its traceback.
    """

    @functools.wraps(main)
    def main_with_exit_code(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        try:
            main(*args, **kwargs)
        except PipelineError as error:
            _log_error(main, error.message, with_traceback=LOG.isEnabledFor(logging.DEBUG))
            return error.exit_code
        except KeyboardInterrupt as interrupt:
            _log_error(main, Message(line_of(interrupt)), with_traceback=False)
            return exit_code_of_interrupt(interrupt)
        except MemoryError:
            _log_error(main, Message(OUT_OF_MEMORY), with_traceback=False)
            return 1
        except Exception as error:
            name = type(error).__name__
            message = Message(f"Unexpected error: {name}. Please report it with the traceback.")
            _log_error(main, message, with_traceback=True)
            return 1
        return 0

    return main_with_exit_code


def _log_error(main: Callable[..., None], message: Message, with_traceback: bool) -> None:
    """Log an error under the name of the stage's `main` rather than of this module."""
    code = main.__code__
    LOG.handle(
        LOG.makeRecord(
            LOG.name,
            logging.ERROR,
            code.co_filename,
            code.co_firstlineno,
            str(message),
            args=(),
            exc_info=sys.exc_info() if with_traceback else None,
            func=main.__name__,
            extra=message.facts,
        )
    )


def _add_request_id(record: logging.LogRecord) -> bool:
    """Add the identifier of the current request, if there is one, to a record."""
    request_id = REQUEST_ID.get()
    if request_id is not None:
        record.request_id = request_id
    return True
