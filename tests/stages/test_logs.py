"""The form of log lines, and how an error becomes an exit code."""

import json
import logging
import re

import pytest

from pipeline.stages.errors import PipelineError
from pipeline.stages.logs import LOG, LogLevel, configure_logging, exit_code_of


def test_a_line_names_time_level_module_and_function(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "text")
    configure_logging("INFO", "text")  # replaces the first, or the line would come twice

    LOG.info("Hello.")

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - INFO - test_logs\."
        r"test_a_line_names_time_level_module_and_function - Hello\.\n",
        capsys.readouterr().err,
    )


def test_json_lines_carry_the_same_facts(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")

    LOG.warning("Hello.")

    line = json.loads(capsys.readouterr().err)
    assert line.pop("time")
    assert line == {
        "level": "WARNING",
        "module": "test_logs",
        "function": "test_json_lines_carry_the_same_facts",
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
    ("error", "level", "message", "with_traceback"),
    [
        (PipelineError("No such bucket."), "INFO", "No such bucket.", False),
        (PipelineError("No such bucket."), "DEBUG", "No such bucket.", True),
        (KeyboardInterrupt(), "INFO", "Interrupted.", False),
        (
            KeyError("a bug"),
            "INFO",
            "Unexpected error: KeyError. Please report it with the traceback.",
            True,
        ),
    ],
    ids=["known", "known at level DEBUG", "interrupted", "unexpected"],
)
def test_an_error_is_exit_code_1_and_one_line_with_a_traceback_where_it_helps(
    error: BaseException,
    level: LogLevel,
    message: str,
    with_traceback: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(level, "text")

    def main() -> None:
        raise error

    assert exit_code_of(main)() == 1
    first_line, *traceback = capsys.readouterr().err.splitlines()
    assert first_line.endswith(f" - ERROR - test_logs.main - {message}")
    assert traceback[:1] == ["Traceback (most recent call last):"] * with_traceback
