"""What Linux tells of running processes, in `/proc`."""

import os
from pathlib import Path

from benchmarks.measuring.measured_process import KIB_PER_MIB

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def family(process_id: int) -> list[int]:
    """Return a process and all its descendants that are alive."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if fields := _stat_fields(int(folder.name)):
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [process_id]
    for member in found:
        found += children.get(member, [])
    return found


def processor_seconds(process_id: int) -> float:
    """Return the processor time that a process has taken; none if it has ended."""
    fields = _stat_fields(process_id)
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND if fields else 0.0


def resident_mib(process_id: int) -> float:
    """Return the resident memory of a process; none if it has ended."""
    try:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    except OSError:
        return 0.0
    kib = [int(line.split()[1]) for line in lines if line.startswith("VmRSS:")]
    return sum(kib) / KIB_PER_MIB


def _stat_fields(process_id: int) -> list[str]:
    """Return what /proc tells of a process behind its name; nothing if it has ended."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
