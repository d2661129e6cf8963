"""The tables of single predictions: how many each second, and how long one takes."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from benchmarks.measuring.result_tables import UNKNOWN, number, print_table
from benchmarks.serving.goals import (
    MAX_P99_OF_CEILING,
    MIN_RATE_OF_CEILING,
    MIN_RATE_OF_PLAIN,
    goal_cells,
    goal_met,
)
from benchmarks.serving.load import Load
from benchmarks.serving.single_predictions import Measurement, compare
from benchmarks.serving.targets import CEILING, PLAIN

RATE_HEADER = ["server", "requests/s", "of ceiling", "goal", "", "of plain", "goal", ""]
RATE_HEADER += ["CPU µs", "of ceiling", "busy", "faults"]
MIN_CEILING_BUSY = 0.9
"""Below this, the ceiling was held up by something else than itself."""
TIME_HEADER = ["server", "p50 ms", "p99 ms", "of ceiling", "goal", "", "max ms", "MiB"]


def print_single(measurements: Sequence[Measurement], conditions: str) -> None:
    """Print two rows for each target, and below the tables why any of them was not measured.

    Args:
        measurements: among them the ceiling and the plain handler.
        conditions: under which they were made.
    """
    found = {measurement.name: measurement for measurement in measurements}
    rates = [_rate_row(one, found) for one in measurements]
    print_table(f"Single predictions each second: {conditions}", RATE_HEADER, rates)
    times = [_time_row(one, found) for one in measurements]
    print_table(f"Time to an answer, and memory: {conditions}", TIME_HEADER, times)
    for one in measurements:
        if one.failure:
            print(f"\n{one.name} was not measured. {one.failure}")
    busy = found[CEILING].busy()
    if busy is not None and busy < MIN_CEILING_BUSY:
        print(
            f"\nThe ceiling was busy for only {busy:.0%} of the time, so something else held it "
            "up. Ratios to its rate are not reliable, and probably flatter: repeat this on a quiet "
            "machine."
        )


def single_as_json(measurements: Sequence[Measurement]) -> list[dict[str, object]]:
    """Return all details, and for each goal whether it was met; None where there is no goal."""
    found = {measurement.name: measurement for measurement in measurements}
    return [
        {
            **one._asdict(),
            "loads": [load._asdict() for load in one.loads],
            "busy": one.busy(),
            "goals": {
                "rate of ceiling": goal_met(MIN_RATE_OF_CEILING.get(one.name), _rate(one, found)),
                "rate of plain": goal_met(
                    MIN_RATE_OF_PLAIN.get(one.name), _rate(one, found, PLAIN)
                ),
                "p99 of ceiling": goal_met(MAX_P99_OF_CEILING.get(one.name), _p99(one, found)),
            },
        }
        for one in measurements
    ]


def _rate_row(one: Measurement, found: Mapping[str, Measurement]) -> list[str]:
    to_ceiling, to_plain = _rate(one, found), _rate(one, found, PLAIN)
    comparison = compare(one, found[CEILING])
    processor = median(one.processor_microseconds) if one.processor_microseconds else None
    return [
        one.name,
        number(_median(one, lambda load: load.rate), ",.0f"),
        number(to_ceiling, ".3f"),
        *goal_cells(MIN_RATE_OF_CEILING.get(one.name), to_ceiling),
        number(to_plain, ".2f"),
        *goal_cells(MIN_RATE_OF_PLAIN.get(one.name), to_plain),
        number(processor, ",.1f"),
        number(comparison.processor if comparison else None, ",.2f"),
        number(one.busy(), ".0%"),
        _faults(one),
    ]


def _time_row(one: Measurement, found: Mapping[str, Measurement]) -> list[str]:
    to_ceiling = _p99(one, found)
    return [
        one.name,
        number(_median(one, lambda load: load.p50_ms), ",.2f"),
        number(_median(one, lambda load: load.p99_ms), ",.2f"),
        number(to_ceiling, ",.2f"),
        *goal_cells(MAX_P99_OF_CEILING.get(one.name), to_ceiling),
        number(_median(one, lambda load: load.max_ms), ",.1f"),
        number(one.resident_mib, ",.0f"),
    ]


def _rate(
    one: Measurement, found: Mapping[str, Measurement], reference: str = CEILING
) -> float | None:
    """Return the requests each second in units of a reference's; None if either is invalid."""
    comparison = compare(one, found[reference])
    return comparison.rate if comparison else None


def _p99(one: Measurement, found: Mapping[str, Measurement]) -> float | None:
    """Return the p99 in units of the ceiling's; None if either is invalid."""
    comparison = compare(one, found[CEILING])
    return comparison.p99 if comparison else None


def _median(one: Measurement, value: Callable[[Load], float]) -> float | None:
    return median(map(value, one.loads)) if one.loads else None


def _faults(one: Measurement) -> str:
    if one.failure:
        return "not measured"
    faults = ", ".join(f"{count:,} {name}" for name, count in one.faults().items())
    return f"INVALID: {faults}" if faults else UNKNOWN
