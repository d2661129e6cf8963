"""Work that is spread over all processors, one item at a time."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Each process gets one thread: the processes share out the processors among themselves."""


def map_over_processes(
    work: Callable[[Item], Outcome], items: Sequence[Item], label: str
) -> list[Outcome]:
    """Return the outcomes in the order of the items, and tell standard error how long it took.

    Args:
        work: a function of a module, so that other processes can find it.
        items: what to call it with.
        label: names the work in what is told.
    """
    if not items:
        return []
    os.environ.update(ONE_THREAD)
    start = time.perf_counter()
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        outcomes = list(processes.map(work, items))
    seconds = time.perf_counter() - start
    print(f"{label}: {len(outcomes)} in {seconds:.0f} s", file=sys.stderr, flush=True)
    return outcomes
