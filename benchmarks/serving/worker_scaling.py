"""What a second worker adds: the same load on one worker and on two, in one run."""

from statistics import median

from benchmarks.measuring.result_tables import UNKNOWN, number, print_table
from benchmarks.serving.single_predictions import Measurement, compare, measure_targets
from benchmarks.serving.targets import V1_PATH, our_server, our_target
from benchmarks.serving.world import ServingWorld

WORKERS = (1, 2)
HEADER = ["workers", "requests/s", "of one", "CPU µs", "of one", "busy", "p99 ms", "MiB", "faults"]


def measure_workers(world: ServingWorld, seconds: int, rounds: int) -> list[Measurement]:
    """Put the same load on services with one worker and with two, one after the other."""
    names = {count: f"{count} worker{'s' * (count > 1)}" for count in WORKERS}
    servers = {
        name: our_server(str(world.store), "--workers", str(count)) for count, name in names.items()
    }
    targets = [our_target(world, name, name, V1_PATH) for name in servers]
    return measure_targets(servers, targets, seconds, rounds)


def print_workers(measurements: list[Measurement], conditions: str) -> None:
    """Print a row for each number of workers.

    The client keeps a processor busy, too: on a machine with two, a second worker adds little.
    """
    rows = [_row(one, measurements[0]) for one in measurements]
    print_table(f"v0.1 with several workers: {conditions}", HEADER, rows)


def workers_as_json(measurements: list[Measurement]) -> list[dict[str, object]]:
    """Return all details."""
    return [
        {**one._asdict(), "loads": [load._asdict() for load in one.loads], "busy": one.busy()}
        for one in measurements
    ]


def _row(one: Measurement, alone: Measurement) -> list[str]:
    comparison = compare(one, alone)
    if one.failure:
        return [one.name, *[UNKNOWN] * (len(HEADER) - 2), "not measured"]
    return [
        one.name,
        number(median(load.rate for load in one.loads), ",.0f"),
        number(comparison.rate if comparison else None, ".2f"),
        number(median(one.processor_microseconds), ",.1f"),
        number(comparison.processor if comparison else None, ".2f"),
        number(one.busy(), ".0%"),
        number(median(load.p99_ms for load in one.loads), ",.2f"),
        number(one.resident_mib, ",.0f"),
        ", ".join(f"{count:,} {name}" for name, count in one.faults().items()) or UNKNOWN,
    ]
