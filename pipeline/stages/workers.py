"""Where the work on a large week is done: in this process, in several of this machine, or on Dask.

What comes out is the same everywhere, and in the sequence of what there was to do.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

import joblib
from threadpoolctl import threadpool_limits

from pipeline.stages.errors import PipelineError, WorkersError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Protocol):
    """Those who do the work."""

    @property
    def place(self) -> str:
        """Where they are, for a sentence: `in this process`."""

    @property
    def are_apart(self) -> bool:
        """Whether they are other processes than this one."""

    @property
    def scratch(self) -> Path | None:
        """Folder for files that all of them read and write; None for the system's."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield what a function returns for each item, in their sequence.

        Items are taken as they are needed. Some may be worked on twice, if a worker is lost.

        Args:
            function: of a module, and what it is given, can be pickled.
            items: so can each of these.

        Raises:
            PipelineError: the function has raised it; of several, that of the first item.
            WorkersError: the workers are lost.
        """


class Task(Generic[Item, Result]):
    """A function as workers call it: with one thread, and errors among the results.

    Errors wait there for their turn, so that the same one is told whoever was faster.
    """

    def __init__(self, function: Callable[[Item], Result]) -> None:
        """Wrap a function."""
        self._function = function

    def __call__(self, item: Item) -> Result | PipelineError:
        """Return its result, or the error that it raises for people."""
        try:
            with threadpool_limits(1):
                return self._function(item)
        except PipelineError as error:
            return error


def result_of(outcome: Result | PipelineError) -> Result:
    """Return the result of a task, or raise its error."""
    if isinstance(outcome, PipelineError):
        raise outcome
    return outcome


class LocalWorkers(NamedTuple):
    """Processes of this machine.

    Attributes:
        jobs: how many; one is this process itself.
        scratch: see `Workers`.
    """

    jobs: int = 1
    scratch: Path | None = None

    @property
    def place(self) -> str:
        """See `Workers`."""
        return f"in {self.jobs} processes" if self.are_apart else "in this process"

    @property
    def are_apart(self) -> bool:
        """See `Workers`."""
        return self.jobs > 1

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See `Workers`."""
        parallel = joblib.Parallel(self.jobs, return_as="generator", batch_size=1)
        results = parallel(joblib.delayed(Task(function))(item) for item in items)
        try:
            yield from map(result_of, results)
        except BrokenExecutor as error:
            raise WorkersError(
                f"Lost one of {self.jobs} processes: it was killed while it worked.",
                "Had they enough memory? Set fewer with --jobs, and start the stage again.",
            ) from error
        finally:
            with warnings.catch_warnings():  # that what nobody asks for any more is cancelled
                warnings.simplefilter("ignore", UserWarning)
                results.close()


HERE = LocalWorkers()


@contextmanager
def open_workers(jobs: int, scheduler: str | None, scratch: Path | None) -> Iterator[Workers]:
    """Find those who are to do the work, and let them go at the end.

    Args:
        jobs: number of processes of this machine.
        scheduler: address of Dask's, whose workers are taken instead; None for this machine.
        scratch: folder for the rows of a large week.

    Raises:
        WorkersError: they cannot be had, or are not fit for the work.
    """
    if scratch is not None and not scratch.is_dir():
        raise WorkersError(
            f"Cannot use {scratch} for the rows of a large week: there is no such folder.",
            "Create it, mount it, or name another one with --scratch.",
        )
    if scheduler is None:
        yield LocalWorkers(jobs, scratch)
        return
    from pipeline.stages.dask_workers import connected_workers

    assert scratch is not None  # noqa: S101 - for mypy: the settings ask for it
    with connected_workers(scheduler, scratch) as workers:
        yield workers
