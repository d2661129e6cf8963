"""The form of log lines, and how an error becomes an exit code."""

import json
import logging
import re
import signal
from collections.abc import Callable
from datetime import datetime

import pytest

from pipeline.stages.errors import DatasetMissing, ModelRefused, PipelineError
from pipeline.stages.interrupts import Interrupted
from pipeline.stages.logs import LOG, LogLevel, configure_logging, exit_code_of


def test_a_line_names_time_level_module_and_function(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "text")
    configure_logging("INFO", "text")  # replaces the first, or the line would come twice

    LOG.info("Hello.")

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d - INFO - test_logs\."
        r"test_a_line_names_time_level_module_and_function - Hello\.\n",
        capsys.readouterr().err,
    )


def test_json_lines_have_a_field_for_each_fact(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")

    LOG.warning("Hello.", extra={"dataset": "week.csv"})

    line = json.loads(capsys.readouterr().err)
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line == {
        "dataset": "week.csv",
        "level": "WARNING",
        "module": "test_logs",
        "function": "test_json_lines_have_a_field_for_each_fact",
        "message": "Hello.",
    }


@pytest.mark.parametrize(("level", "logger"), [("WARNING", LOG.name), ("DEBUG", "botocore")])
def test_libraries_log_warnings_and_the_pipeline_from_the_level_on(
    level: LogLevel, logger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(level, "text")

    logging.getLogger(logger).info("Hello.")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "level", "exit_code", "message", "with_traceback"),
    [
        (PipelineError("No such bucket."), "INFO", 1, "No such bucket.", False),
        (PipelineError("No such bucket."), "DEBUG", 1, "No such bucket.", True),
        (ModelRefused("Refused: R² 0.5."), "INFO", 3, "Refused: R² 0.5.", False),
        (DatasetMissing("There is none."), "INFO", 1, "There is none.", False),
        (KeyboardInterrupt(), "INFO", 130, "Interrupted.", False),
        (MemoryError(), "INFO", 1, "Out of memory: give this process more.", False),
        (Interrupted(signal.SIGTERM), "INFO", 143, "Ended by SIGTERM.", False),
        (Interrupted(signal.SIGHUP), "INFO", 129, "Ended by SIGHUP.", False),
        (
            KeyError("a bug"),
            "INFO",
            1,
            "Unexpected error: KeyError. Please report it with the traceback.",
            True,
        ),
    ],
    ids=[
        "known",
        "known at level DEBUG",
        "refused",
        "no dataset",
        "interrupted",
        "memory",
        "terminated",
        "hung up",
        "unexpected",
    ],
)
def test_an_error_is_an_exit_code_and_one_line_with_a_traceback_where_it_helps(
    error: BaseException,
    level: LogLevel,
    exit_code: int,
    message: str,
    with_traceback: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(level, "text")

    def main() -> None:
        raise error

    assert exit_code_of(main)() == exit_code
    first_line, *traceback = capsys.readouterr().err.splitlines()
    assert first_line.endswith(f" - ERROR - test_logs.main - {message}")
    assert traceback[:1] == ["  Traceback (most recent call last):"] * with_traceback


FORGED = "2026-11-27 23:00:00.000+00:00 - INFO - train_model.main - All is well."
HOSTILE = f"week\n{FORGED}\r{FORGED}\u2028{FORGED}\x1b[2K\u202e.csv"
"""A name that others choose: it would add records, and wipe out or turn round its own."""


def log_a_name() -> None:
    LOG.warning(f"Skipped {HOSTILE}.")


def log_an_error() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        LOG.exception("Please report this.")


def log_a_message() -> None:
    LOG.error(str(PipelineError(f"Cannot read {HOSTILE}.", HOSTILE, links={"Dataset": HOSTILE})))


@pytest.mark.parametrize("log", [log_a_name, log_an_error, log_a_message])
def test_no_name_passes_for_a_record(
    log: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("INFO", "text")
    log()
    first, *others = capsys.readouterr().err.splitlines()
    assert not [line for line in others if not line.startswith("  ")]
    assert all(line.isprintable() for line in (first, *others))

    configure_logging("INFO", "json")
    log()
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["module"] == "test_logs"
