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
progress.MAX_SILENT_SECONDS = 0.3
with progress.progress("Reading the newest dataset"):
    time.sleep(float(sys.argv[1]))
print("done", file=sys.stderr)
"""


@pytest.mark.system
@pytest.mark.parametrize(("seconds_of_work", "is_shown"), [("1.0", True), ("0.0", False)])
def test_only_slow_work_shows_progress_on_a_terminal(seconds_of_work: str, is_shown: bool) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SCRIPT, seconds_of_work]
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    subprocess.run(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, check=True)
    os.close(theirs)
    shown = b""
    while b"done" not in shown:
        shown += os.read(ours, 65536)
    os.close(ours)

    assert (b"Reading the newest dataset" in shown) == is_shown
    assert is_shown or shown.strip() == b"done"


def test_nothing_is_shown_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Reading the newest dataset"):
        pass

    assert capsys.readouterr() == ("", "")
