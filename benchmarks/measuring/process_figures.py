"""Processor time and memory of running processes and all that they have started."""

from collections.abc import Iterator
from contextlib import suppress

import psutil

LAUNCHER = "uv"
"""Name of a process that only waits for the server that it has started, and counts for nothing."""
BYTES_PER_MIB = 2**20


def descendants(process_id: int) -> list[psutil.Process]:
    """Return all processes that a process has started, and those that these have; if alive."""
    try:
        return psutil.Process(process_id).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def processor_seconds(process_id: int) -> float:
    """Return the processor time that a process and its descendants have taken so far."""
    total = 0.0
    for process in _family(process_id):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def resident_mib(process_id: int) -> float:
    """Return the resident memory of a process and its descendants.

    Memory that they share counts once for each of them.
    """
    total = 0
    for process in _family(process_id):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / BYTES_PER_MIB


def _family(process_id: int) -> Iterator[psutil.Process]:
    """Yield a process and its descendants, but for a launcher."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(process_id)
        if process.name() != LAUNCHER:
            yield process
    yield from descendants(process_id)
