"""The ONNX graph of an artifact is asked for estimates, in a process that cannot harm this one.

A graph is a program that somebody wrote. It may never end, take all memory, or crash the runtime,
and none of that can be stopped from within. So it is tried in a process of its own, with limits on
processor time and memory, and stopped with SIGKILL if need be (decision 0040).
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.model.arrays import Floats
from pipeline.model.artifact import HOURS_OUTPUT
from pipeline.model.columns import pack_texts
from pipeline.model.order import OPTIONAL, ORDERS, PRODUCT
from pipeline.model.product_codes import Positions
from pipeline.stages.errors import ArtifactError, WorkersError

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
BASE_SECONDS, SECONDS_PER_MIB = 2, 0.1
"""Of processor time: a usual artifact takes 0.15 s, one of a million products 3.5 s of 14."""
BASE_BYTES, BYTES_PER_BYTE = 450 * MIB, 6
"""Of address space, of which Python and the runtime take 150 MiB."""
MAX_WAIT_SECONDS = 30
"""On the clock, for machines that are so busy that the process hardly gets to work."""

KEPT_VARIABLES = {"HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TZ"}
"""Those of Python are kept, too."""


class Trial(NamedTuple):
    """Orders to ask a graph about.

    Attributes:
        positions: of the products of the orders, shape (n_rows,).
        placed: their orders placed, shape (n_rows,).
        ends: where the slices end in which the graph gets them, rising to n_rows.
    """

    positions: Positions
    placed: Floats
    ends: Sequence[int]


def hours_of_graph(key: str, content: bytes, codes: Sequence[str], trial: Trial) -> Floats:
    """Return the hours that the graph of an artifact estimates, shape (n_rows,).

    Args:
        key: of the artifact.
        content: the artifact.
        codes: product codes of its catalogue.
        trial: the orders.

    Raises:
        ArtifactError: the graph may not be tried, does not work, or takes too much.
        WorkersError: the process cannot be started.
    """
    mebibytes = len(content) / MIB
    seconds = BASE_SECONDS + round(SECONDS_PER_MIB * mebibytes)
    memory = BASE_BYTES + BYTES_PER_BYTE * len(content)
    names = (PRODUCT, ORDERS, HOURS_OUTPUT, *OPTIONAL)
    numbers = (str(number) for number in (seconds, memory, len(content)))
    try:
        ended = subprocess.run(  # noqa: S603 - the words are our own
            [sys.executable, "-P", "-m", "pipeline.model.graph_process", *numbers, *names],
            input=_written(content, codes, trial),
            capture_output=True,
            timeout=MAX_WAIT_SECONDS + seconds,
            env=_environment(),
            start_new_session=True,  # so that Ctrl-C ends this process, which then ends the other
        )
    except subprocess.TimeoutExpired:
        raise _takes_too_long(key, seconds) from None
    except OSError as error:
        raise _cannot_try(key, str(error)) from error
    if ended.returncode == 0 and len(ended.stdout) == trial.placed.nbytes:
        return np.frombuffer(ended.stdout, dtype=np.float64)
    raise _reason(key, ended, seconds)


def _written(content: bytes, codes: Sequence[str], trial: Trial) -> bytes:
    """Return what the process reads."""
    text, sizes = pack_texts(codes)
    columns = (text, np.cumsum(sizes), trial.positions, trial.placed, np.asarray(trial.ends))
    file = BytesIO()
    file.write(content)
    for column in columns:
        np.lib.format.write_array(file, column, allow_pickle=False)
    return file.getvalue()


def _environment() -> dict[str, str]:
    """Return an environment without secrets, in which the process finds this code."""
    kept = {n: v for n, v in os.environ.items() if n in KEPT_VARIABLES or n.startswith("PYTHON")}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return kept | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}


def _reason(key: str, ended: "subprocess.CompletedProcess[bytes]", seconds: int) -> Exception:
    """Return why there are no estimates."""
    if ended.returncode == os.EX_DATAERR:
        return ArtifactError(f"The model {key} {ended.stdout.decode()}.")
    if -ended.returncode in (signal.SIGXCPU, signal.SIGKILL):
        return _takes_too_long(key, seconds)
    if ended.returncode <= 0:
        return ArtifactError(
            f"The model {key} does not work: the process that tried it ended with signal "
            f"{-ended.returncode}. Train it again."
        )
    last = ended.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return _cannot_try(key, *last)


def _takes_too_long(key: str, seconds: int) -> ArtifactError:
    return ArtifactError(
        f"The model {key} does not work: trying it took more than {seconds} s of processor time, "
        "or was stopped for lack of memory. Train it again."
    )


def _cannot_try(key: str, why: str = "no reason was given") -> WorkersError:
    return WorkersError(
        f"Cannot try the model {key} in a process of its own: {why}. See that this machine can "
        "start one more process, and has memory for it."
    )
