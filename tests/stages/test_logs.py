"""The form of log lines, and how an error becomes an exit code."""

import json
import logging
import re

import pytest

from pipeline.stages.errors import PipelineError
from pipeline.stages.logs import LOG, configure_logging, exit_code_of


def test_a_line_names_time_level_module_and_function(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "text")

    LOG.info("Hello.")

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - INFO - test_logs\."
        r"test_a_line_names_time_level_module_and_function - Hello\.\n",
        capsys.readouterr().err,
    )


def test_configuring_twice_does_not_log_twice(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "text")
    configure_logging("INFO", "text")

    LOG.info("Hello.")

    assert capsys.readouterr().err.count("Hello.") == 1


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


def test_less_severe_lines_than_the_level_are_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("WARNING", "text")

    LOG.info("Hello.")

    assert capsys.readouterr().err == ""


def test_libraries_log_only_warnings_and_worse(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("DEBUG", "text")

    logging.getLogger("botocore").info("Found credentials.")

    assert capsys.readouterr().err == ""


def test_a_stage_that_ends_well_has_exit_code_0() -> None:
    assert exit_code_of(lambda: None)() == 0


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_a_known_failure_is_one_line_and_has_a_traceback_only_at_debug(
    level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("DEBUG" if level == "DEBUG" else "INFO", "text")

    def main() -> None:
        raise PipelineError("No such bucket.")

    assert exit_code_of(main)() == 1
    text = capsys.readouterr().err
    assert " - ERROR - test_logs.main - No such bucket." in text
    assert ("Traceback" in text) == (level == "DEBUG")
    assert (text.count("\n") == 1) == (level == "INFO")


def test_an_interrupted_stage_fails_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "text")

    def main() -> None:
        raise KeyboardInterrupt

    assert exit_code_of(main)() == 1
    assert capsys.readouterr().err.endswith(" - ERROR - test_logs.main - Interrupted.\n")


def test_an_unforeseen_failure_always_has_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "text")

    def main() -> None:
        raise KeyError("surprise")

    assert exit_code_of(main)() == 1
    assert "Traceback" in capsys.readouterr().err
