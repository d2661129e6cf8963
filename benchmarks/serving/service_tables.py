"""The tables of batches, starts and memory, and what of them belongs into the JSON."""

from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.measuring.result_tables import UNKNOWN, number, print_table
from benchmarks.serving.batch_predictions import BatchCost, Interference
from benchmarks.serving.goals import (
    MAX_GROWTH_MIB,
    MAX_MEMORY_MIB,
    MAX_P99_BESIDE_MS,
    MAX_START_SECONDS,
    MIN_BATCH_RATE,
    goal_cells,
    goal_met,
)
from benchmarks.serving.load import Load
from benchmarks.serving.service_costs import MemoryCost, StartCost

BATCH_HEADER = ["orders in a batch", "predictions/s", "predictions/CPU s", "goal", ""]
BATCH_HEADER += ["p50 ms", "p99 ms", "faults"]
BESIDE_HEADER = [
    "single predictions",
    "connections",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "goal",
    "",
    "max ms",
]
BESIDE_HEADER += ["batches/s", "faults"]
MEMORY_HEADER = ["store", "first answer MiB", "requests", "MiB", "goal", ""]
MEMORY_HEADER += ["more requests", "growth MiB", "goal", "", "faults"]


def print_batches(costs: Sequence[BatchCost], conditions: str) -> None:
    """Print one row for each size of batch."""
    rows = [
        [
            str(cost.batch),
            f"{cost.rate():,.0f}",
            f"{cost.processor_rate():,.0f}",
            *goal_cells(MIN_BATCH_RATE.get(cost.batch), _valid_rate(cost)),
            _middle(cost.loads, lambda load: load.p50_ms),
            _middle(cost.loads, lambda load: load.p99_ms),
            _faults(cost.faults()),
        ]
        for cost in costs
    ]
    title = f"Batches, the service on one core: {conditions}"
    print_table(title, BATCH_HEADER, rows)


def print_interference(found: Sequence[Interference], conditions: str) -> None:
    """Print two rows for each number of connections: alone, and beside batches."""
    rows = []
    for one in found:
        rows.append(_beside_row("alone", one.connections, one.alone, ()))
        name = f"beside {one.batch}"
        rows.append(_beside_row(name, one.connections, one.beside, one.batches))
    title = "v0.1 beside a client that sends batches without pause"
    print_table(f"{title}: {conditions}", BESIDE_HEADER, rows)


def print_starts(costs: Sequence[StartCost]) -> None:
    """Print one row for each kind of store."""
    rows = [
        [
            cost.store,
            f"{cost.median():.2f}",
            *goal_cells(MAX_START_SECONDS[cost.store], cost.median()),
            f"{min(cost.seconds):.2f}",
            f"{max(cost.seconds):.2f}",
        ]
        for cost in costs
    ]
    title = f"Start of the process to the first prediction: {len(costs[0].seconds)} starts"
    print_table(title, ["store", "median s", "goal", "", "min s", "max s"], rows)


def print_memory(costs: Sequence[MemoryCost]) -> None:
    """Print one row for each kind of store."""
    rows = [
        [
            cost.store,
            f"{cost.first_mib:,.1f}",
            f"{cost.requests:,}",
            f"{cost.mib:,.1f}",
            *goal_cells(MAX_MEMORY_MIB[cost.store], _valid_mib(cost)),
            f"{cost.soak_requests:,}" if cost.soak_requests else UNKNOWN,
            number(cost.growth_mib(), ",.2f"),
            *(
                goal_cells(MAX_GROWTH_MIB, cost.growth_mib())
                if cost.soak_requests
                else [UNKNOWN] * 2
            ),
            _faults(cost.faults),
        ]
        for cost in costs
    ]
    print_table("Resident memory after single predictions on v0.1", MEMORY_HEADER, rows)


def batches_as_json(costs: Sequence[BatchCost]) -> list[dict[str, object]]:
    """Return all details, and whether the goal was met; None where there is none."""
    return [
        {
            **cost._asdict(),
            "batch": cost.batch._asdict(),
            "loads": _loads(cost.loads),
            "rate": cost.rate(),
            "processor_rate": cost.processor_rate(),
            "goals": {"rate": goal_met(MIN_BATCH_RATE.get(cost.batch), _valid_rate(cost))},
        }
        for cost in costs
    ]


def interference_as_json(found: Sequence[Interference]) -> list[dict[str, object]]:
    """Return all details."""
    return [
        {
            "batch": one.batch._asdict(),
            "connections": one.connections,
            "goals": {"p99": MAX_P99_BESIDE_MS.is_met(_p99(one.beside))},
            "alone": _loads(one.alone),
            "beside": _loads(one.beside),
            "batches": _loads(one.batches),
        }
        for one in found
    ]


def starts_as_json(costs: Sequence[StartCost]) -> list[dict[str, object]]:
    """Return all details, and whether the goal was met."""
    return [
        {**cost._asdict(), "goals": {"start": MAX_START_SECONDS[cost.store].is_met(cost.median())}}
        for cost in costs
    ]


def memory_as_json(costs: Sequence[MemoryCost]) -> list[dict[str, object]]:
    """Return all details, and whether the goals were met; None without a soak."""
    return [
        {
            **cost._asdict(),
            "goals": {
                "memory": MAX_MEMORY_MIB[cost.store].is_met(_valid_mib(cost)),
                "growth": MAX_GROWTH_MIB.is_met(cost.growth_mib()) if cost.soak_requests else None,
            },
        }
        for cost in costs
    ]


def _beside_row(
    name: str, connections: int, loads: Sequence[Load], batches: Sequence[Load]
) -> list[str]:
    faults = sum(sum(load.faults().values()) for load in [*loads, *batches])
    return [
        name,
        f"{connections}",
        _middle(loads, lambda load: load.rate, ",.0f"),
        _middle(loads, lambda load: load.p50_ms),
        _middle(loads, lambda load: load.p99_ms),
        *goal_cells(MAX_P99_BESIDE_MS if batches else None, _p99(loads)),
        _middle(loads, lambda load: load.max_ms),
        _middle(batches, lambda load: load.rate, ",.1f") if batches else UNKNOWN,
        _faults(faults),
    ]


def _middle(loads: Sequence[Load], value: Callable[[Load], float], form: str = ",.2f") -> str:
    return format(median(map(value, loads)), form)


def _p99(loads: Sequence[Load]) -> float:
    return median(load.p99_ms for load in loads)


def _faults(count: int) -> str:
    return f"INVALID: {count:,}" if count else UNKNOWN


def _valid_rate(cost: BatchCost) -> float | None:
    return None if cost.faults() else cost.processor_rate()


def _valid_mib(cost: MemoryCost) -> float | None:
    return None if cost.faults else cost.mib


def _loads(loads: Sequence[Load]) -> list[dict[str, object]]:
    return [load._asdict() for load in loads]
