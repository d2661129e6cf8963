"""The tables of the training stage and of what it publishes."""

from collections.abc import Sequence
from statistics import median

from benchmarks.measuring.result_tables import UNKNOWN, number, print_table, verdict
from benchmarks.training import many_rows
from benchmarks.training.estimate_costs import CATALOGUE_PRODUCTS, EstimateCost
from benchmarks.training.many_products import MAX_ERROR, ManyProductsCost
from benchmarks.training.many_products import MAX_PEAK_MIB as PEAK_OF_MANY
from benchmarks.training.many_products import MAX_READ_TIMES as READ_TIMES_OF_MANY
from benchmarks.training.many_rows import ManyRows, ManyRowsCost
from benchmarks.training.stage_costs import (
    MAX_PEAK_MIB,
    MAX_READ_TIMES,
    DatasetCost,
    TreeComparison,
)

PARTS_TITLE = f"{many_rows.PRODUCTS:,} products in parts of {many_rows.PART_ROWS:,} rows"


def print_comparison(comparison: TreeComparison) -> None:
    """Print one row: the stage beside the grid search on one processor and on all."""
    stage = median(comparison.stage_seconds)
    search = median(comparison.search_seconds)
    parallel = median(comparison.parallel_seconds)
    print_table(
        f"1,000 rows: median seconds of {len(comparison.stage_seconds)} runs",
        ["whole stage", "grid search", "ratio", "goal", "", "on all processors", "ratio"],
        [
            [
                f"{stage:.2f}",
                f"{search:.2f}",
                f"{stage / search:.2f}",
                "<= 1",
                verdict(stage <= search),
                f"{parallel:.2f}",
                f"{stage / parallel:.2f}",
            ]
        ],
    )


def print_datasets(costs: Sequence[DatasetCost]) -> None:
    """Print one row for each dataset; what is beyond 1,000 rows is in units of `read_csv`."""
    header = ["rows", "products", "CSV MB", "exit", "seconds", "CPU s", "read_csv CPU s"]
    header += ["beyond 1,000 rows", "goal", "", "peak MiB", "goal", "", "artifact kB"]
    rows = [_dataset_cells(cost, costs[0]) for cost in costs]
    print_table("Training stage as a process, and pandas.read_csv on the same file", header, rows)


def print_many_products(costs: Sequence[ManyProductsCost], smallest_cpu_seconds: float) -> None:
    """Print one row for each week of very many products."""
    rows = []
    for cost in costs:
        goals = cost.goals(smallest_cpu_seconds)
        rows.append(
            [
                f"{cost.rows:,}",
                f"{cost.products:,}",
                f"{cost.seconds:.1f}",
                f"{cost.cpu_seconds:.1f}",
                f"{cost.read_seconds:.2f}",
                f"{cost.read_times_above(smallest_cpu_seconds):.1f}",
                verdict(goals["time"]),
                f"{cost.peak_mib:,.0f}",
                verdict(goals["memory"]),
                number(cost.error, ".3f"),
                verdict(goals["error"]),
                number(cost.coverage, ".1%"),
                verdict(goals["coverage"]),
            ]
        )
    print_table(
        f"Very many products: goals are {READ_TIMES_OF_MANY} times read_csv beyond 1,000 rows, "
        f"{PEAK_OF_MANY:,.0f} MiB, {MAX_ERROR} times the error of the true functions, 88% to 92%",
        ["rows", "products", "seconds", "CPU s", "read_csv CPU s", "beyond 1,000 rows", ""]
        + ["peak MiB", "", "error", "", "coverage", ""],
        rows,
    )


def print_many_rows(week: ManyRows, smallest_cpu_seconds: float) -> None:
    """Print one row for each way to work on a week in parts, and a line for each goal."""
    rows = [
        [
            f"{cost.rows:,}",
            cost.where,
            f"{cost.stage.seconds:.1f}",
            f"{cost.cpu_seconds:.1f}",
            f"{cost.growth_from(week.fewer, smallest_cpu_seconds):.2f}",
            f"{cost.stage.peak_mib:,.0f}",
            number(cost.worker_mib, ",.0f"),
            _same_curves(cost, week.alone),
        ]
        for cost in week
    ]
    print_table(
        f"{PARTS_TITLE}: goals are {many_rows.MAX_PEAK_MIB:,.0f} MiB alone, "
        f"{many_rows.MAX_GROWTH} times the time of a row, and on workers "
        f"{many_rows.MAX_DRIVER_MIB:,.0f} MiB, {many_rows.MAX_WORKER_MIB:,.0f} MiB a worker",
        ["rows", "where", "seconds", "CPU s", "CPU of a row", "peak MiB", "of a worker", "curves"],
        rows,
    )
    goals = week.goals(smallest_cpu_seconds).items()
    print("\n" + ", ".join(f"{goal}: {verdict(met)}" for goal, met in goals))


def print_estimates(costs: Sequence[EstimateCost]) -> None:
    """Print one row for each measure of a published model."""
    rows = [
        [
            cost.measure,
            f"{cost.value:,.1f}",
            f"<= {cost.max_value:,.0f}",
            verdict(cost.value <= cost.max_value),
            number(cost.reference, ",.2f"),
            number(cost.value / cost.reference if cost.reference else None, ".1f"),
        ]
        for cost in costs
    ]
    print_table(
        f"A published model with {CATALOGUE_PRODUCTS:,} curves, beside a plain table in NumPy",
        ["measure", "model", "goal", "", "plain table", "ratio"],
        rows,
    )


def _same_curves(cost: ManyRowsCost, alone: ManyRowsCost) -> str:
    """Tell in a word whether the same week gave the same curves."""
    if cost.rows != alone.rows or cost.curves is None:
        return UNKNOWN
    return "same" if cost.curves == alone.curves else "other"


def _dataset_cells(cost: DatasetCost, smallest: DatasetCost) -> list[str]:
    goals = cost.goals(smallest)
    has_goals = goals["time"] is not None
    return [
        f"{cost.rows:,}",
        f"{cost.products:,}",
        f"{cost.csv_mb:.1f}",
        str(cost.exit_code),
        f"{cost.seconds:.2f}",
        f"{cost.cpu_seconds:.2f}",
        f"{cost.read_seconds:.4f}",
        f"{cost.read_times_above(smallest):.1f}",
        f"<= {MAX_READ_TIMES}" if has_goals else UNKNOWN,
        verdict(goals["time"]),
        f"{cost.peak_mib:,.0f}",
        f"<= {MAX_PEAK_MIB:,.0f}" if has_goals else UNKNOWN,
        verdict(goals["memory"]),
        number(cost.artifact_kb, ",.0f"),
    ]
