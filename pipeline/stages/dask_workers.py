"""The workers of a Dask cluster: that they are there, are fit for the work, and get it.

Dask is used through its own client: as a backend of joblib 1.6 it would do the work of a single
worker with one thread in the driver, by its source.
"""

import logging
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.stages.environment import differences, environment
from pipeline.stages.errors import PipelineError, WorkersError
from pipeline.stages.wording import first_few
from pipeline.stages.workers import Item, Result, Task, result_of

try:
    from distributed import Client, Future, KilledWorker
    from distributed.comm.core import CommClosedError
except ImportError as missing:
    raise WorkersError(
        "Cannot work with --scheduler: the package distributed is not installed.",
        "Install it with the extra: pip install 'time-to-dispatch[dask]'.",
    ) from missing

CONNECT_SECONDS = 10
"""For the scheduler to answer."""
WORKER_SECONDS = 60
"""For a first worker, and without any worker, until nobody is waited for any longer."""
TASKS_AHEAD = 2
"""For each thread of a worker: enough to keep it busy, and few results wait."""
DASK_LOGS = ("distributed", "distributed.client")
SAME_IMAGE = "Start stage and workers from the same image, or the same commit and requirements."


class DaskWorkers:
    """All workers of a scheduler, those that come later too; see `Workers`."""

    are_apart = True

    def __init__(self, client: Client, address: str, scratch: Path) -> None:
        """Work through a client.

        Args:
            client: of Dask.
            address: of the scheduler.
            scratch: see `Workers`.
        """
        self._client = client
        self._address = address
        self.scratch = scratch

    @property
    def place(self) -> str:
        """See `Workers`."""
        return f"on {len(self._client.nthreads())} workers of {self._address}"

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See `Workers`. A task whose worker is lost is given to another one, three times."""
        with _lost(self._address):
            task = Task(function)
            most = TASKS_AHEAD * sum(self._client.nthreads().values())
            ahead: deque[Future[Any]] = deque()
            for item in items:
                ahead.append(self._client.submit(task, item, pure=False))
                if len(ahead) > most:
                    yield result_of(self._result(ahead.popleft()))
            while ahead:
                yield result_of(self._result(ahead.popleft()))

    def _result(self, future: Future[Any]) -> Any:
        """Wait for an outcome as long as there are workers."""
        while True:
            try:
                return future.result(timeout=WORKER_SECONDS)
            except TimeoutError:
                if not self._client.nthreads():
                    raise WorkersError(
                        f"The Dask scheduler {self._address} has lost all of its workers.",
                        "Look at their logs; had they enough memory? Then start the stage again.",
                    ) from None


@contextmanager
def connected_workers(address: str, scratch: Path) -> Iterator[DaskWorkers]:
    """Connect to a scheduler, and look at its workers.

    Args:
        address: of the scheduler.
        scratch: folder that all workers have to see.

    Raises:
        WorkersError: it does not answer, has no workers, or they are not fit for the work.
    """
    for name in DASK_LOGS:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they tell, our errors tell
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise WorkersError(
            f"Cannot reach the Dask scheduler {address} within {CONNECT_SECONDS} seconds.",
            f"{type(error).__name__}: {error}",
            "Is it running, and is --scheduler its address, such as tcp://10.0.0.1:8786?",
        ) from error
    with client:
        with _lost(address):
            _wait_for_worker(client, address)
            _check_environments(client)
            _check_scratch(client, scratch)
        yield DaskWorkers(client, address, scratch)


@contextmanager
def _lost(address: str) -> Iterator[None]:
    """Tell in one line that a scheduler is gone, or that several workers have died of a task."""
    try:
        yield
    except KilledWorker as error:
        raise WorkersError(
            f"A task was given up: {error.allowed_failures + 1} workers of {address} died of it.",
            f"The last was {error.last_worker.address}. Look at its log; had it enough memory?",
        ) from error
    except PipelineError:
        raise
    except Exception as error:
        if not _is_loss(error):
            raise
        raise WorkersError(
            f"Lost the Dask scheduler {address} while it was at work.",
            f"{type(error).__name__}: {error}",
            "Look at its log, and start the stage again; nothing was published.",
        ) from error


def _is_loss(error: Exception) -> bool:
    """Tell whether an error is that of a connection that was lost."""
    return isinstance(error, CommClosedError | CancelledError | OSError)


def _wait_for_worker(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError as error:
        raise WorkersError(
            f"The Dask scheduler {address} has no workers after {WORKER_SECONDS} seconds.",
            f"Start some: dask worker {address}.",
        ) from error


def _check_environments(client: Client) -> None:
    """Refuse workers whose results might be others than those of this process."""
    ours = environment()
    for worker, theirs in client.run(environment, on_error="return").items():
        if isinstance(theirs, Exception):
            raise WorkersError(
                f"The Dask worker {worker} cannot run the code of this stage.",
                f"{type(theirs).__name__}: {theirs}",
                SAME_IMAGE,
            )
        others = differences(theirs, ours)
        if others:
            raise WorkersError(
                f"The Dask worker {worker} has {others[0]}.", *others[1:], SAME_IMAGE
            )


def _check_scratch(client: Client, scratch: Path) -> None:
    """Refuse workers that do not see what this process writes."""
    with tempfile.NamedTemporaryFile(prefix="time-to-dispatch-", dir=scratch) as file:
        seen = client.run(os.path.exists, file.name)
    blind = [worker for worker, sees in seen.items() if not sees]
    if blind:
        raise WorkersError(
            f"The Dask worker {blind[0]} does not see the files of this stage in {scratch}.",
            f"Of {len(seen)} workers {len(blind)} do not: {first_few(blind)}.",
            "Mount one shared folder in all of them under the same path, and name it in --scratch.",
        )
