"""Progress is shown on a terminal, when work is slow, and nowhere else."""

import os
import pty
import subprocess
import sys

import pytest

from pipeline.stages.progress import progress
from tests.support.helpers import ROOT

SCRIPT = """
import sys, time
from pipeline.stages import progress
progress.PATIENCE_SECONDS = 0.3
with progress.progress("Reading the newest dataset"):
    time.sleep(float(sys.argv[1]))
print("done", file=sys.stderr)
"""


def output_on_a_terminal(seconds_of_work: float) -> str:
    """Run slow or quick work on a pseudo-terminal and return what its user would see."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SCRIPT, str(seconds_of_work)]
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    subprocess.run(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, check=True)
    os.close(theirs)
    shown = b""
    while b"done" not in shown:
        shown += os.read(ours, 65536)
    os.close(ours)
    return shown.decode()


@pytest.mark.system
def test_slow_work_shows_progress_on_a_terminal() -> None:
    assert "Reading the newest dataset" in output_on_a_terminal(seconds_of_work=1.0)


@pytest.mark.system
def test_quick_work_shows_nothing_on_a_terminal() -> None:
    assert output_on_a_terminal(seconds_of_work=0.0).strip() == "done"


def test_nothing_is_shown_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Reading the newest dataset"):
        pass

    assert capsys.readouterr() == ("", "")
