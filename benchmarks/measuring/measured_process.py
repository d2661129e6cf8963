"""How long a command takes, and how much memory.

The kernel counts the memory of the process that starts a command as the command's own. So the
command is started by a process that has imported next to nothing: this module as a program.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("TTD_")}
"""Without settings: the benchmarks say themselves what differs from the defaults."""
KIB_PER_MIB = 1024


class ProcessCost(NamedTuple):
    """What a finished process cost.

    Attributes:
        exit_code: of the process.
        seconds: from its start to its end.
        peak_mib: most memory that it held at once.
        cpu_seconds: processor time of the process and those that it waited for.
    """

    exit_code: int
    seconds: float
    peak_mib: float
    cpu_seconds: float


def run_measured(command: Sequence[str]) -> ProcessCost:
    """Run a command in the project's folder to its end; what it prints goes to standard error."""
    launcher = [sys.executable, "-m", "benchmarks.measuring.measured_process", *command]
    finished = subprocess.run(
        launcher, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True
    )
    return ProcessCost(**json.loads(finished.stdout))


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(command: Sequence[str]) -> int:
    """Run a command and print its cost as JSON."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    cost = ProcessCost(
        process.returncode,
        seconds,
        usage.ru_maxrss / KIB_PER_MIB,
        usage.ru_utime + usage.ru_stime,
    )
    print(json.dumps(cost._asdict()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
