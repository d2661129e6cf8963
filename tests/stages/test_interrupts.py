"""Signals end a stage at any moment, with one line and an exit code."""

import signal
import subprocess
import sys

import pytest

from tests.support.helpers import ROOT

pytestmark = pytest.mark.system

WAITS = """
from pipeline.stages.interrupts import end_in_one_line
end_in_one_line()
print("ready", flush=True)
import signal
while True:
    signal.pause()
"""


@pytest.mark.parametrize(
    ("number", "line", "exit_code"),
    [
        (signal.SIGINT, "Interrupted.\n", 130),
        (signal.SIGTERM, "Ended by SIGTERM.\n", 143),
        (signal.SIGHUP, "Ended by SIGHUP.\n", 129),
    ],
)
def test_what_runs_outside_of_main_ends_in_one_line(
    number: signal.Signals, line: str, exit_code: int
) -> None:
    with waiting([sys.executable, "-c", WAITS]) as process:
        process.send_signal(number)
        _, log = process.communicate()
    assert (log, process.returncode) == (line, exit_code)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("no_such_library", "error: No module named 'no_such_library'. Install what the code "),
        ("pipeline.no_such_room", "Traceback (most recent call last):"),
    ],
)
def test_a_library_that_is_not_there_is_a_line_and_a_module_of_ours_a_bug(
    module: str, told: str
) -> None:
    code = f"from pipeline.stages import interrupts\ninterrupts.end_in_one_line()\nimport {module}"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr.startswith(told)


def test_a_hangup_that_is_ignored_stays_so() -> None:
    with waiting(["nohup", sys.executable, "-c", WAITS]) as process:
        process.send_signal(signal.SIGHUP)
        process.terminate()
        _, log = process.communicate()
    assert log.endswith("Ended by SIGTERM.\n")


def waiting(command: list[str]) -> "subprocess.Popen[str]":
    """Return a process that waits for a signal."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process
