"""A Dask cluster of real processes on this machine."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.helpers import ROOT, free_port


class DaskCluster(NamedTuple):
    """A scheduler and its workers.

    Attributes:
        address: of the scheduler.
        scheduler: its process.
        workers: a process each, of one thread.
    """

    address: str
    scheduler: "subprocess.Popen[bytes]"
    workers: Sequence["subprocess.Popen[bytes]"]


@contextmanager
def dask_cluster(folder: Path, workers: int = 2, code: Path = ROOT) -> Iterator[DaskCluster]:
    """Run a cluster.

    Args:
        folder: for what it writes.
        workers: how many.
        code: folder of the package `pipeline` that the workers import.
    """
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    options = ["--no-dashboard", "--host", "127.0.0.1"]
    single = [*options, "--nthreads", "1", "--no-nanny"]
    with ExitStack() as stack:

        def start(*command: str) -> "subprocess.Popen[bytes]":
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(code)},
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        scheduler = start("distributed.cli.dask_scheduler", *options, "--port", str(port))
        processes = [start("distributed.cli.dask_worker", address, *single) for _ in range(workers)]
        yield DaskCluster(address, scheduler, processes)
