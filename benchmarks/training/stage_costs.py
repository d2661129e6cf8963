"""Time and memory of the training stage, and size and speed of what it publishes.

`python -m benchmarks.training.stage_costs [--repeats N] [--largest EXPONENT]`
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.measuring.measured_process import ENVIRONMENT, ROOT, ProcessCost, run_measured
from benchmarks.measuring.result_tables import UNKNOWN, number, print_table, verdict, write_results
from benchmarks.training.estimate_speed import ServingCost, measure_estimates, seconds_of
from benchmarks.worlds.order_worlds import World, drawn_products, straight, week_csv
from benchmarks.worlds.reference_models import fit_tree
from benchmarks.worlds.weekly_stores import temporary_store, week_path
from pipeline.model.artifact import MODELS
from pipeline.model.reader import load_model
from pipeline.stores.base import open_store

PRODUCTS_BY_EXPONENT: Mapping[int, int] = {3: 5, 4: 10, 5: 100, 6: 1_000, 7: 10_000}
"""How many products there are among ten to the power of this exponent rows."""
GOAL_EXPONENT = 7
MOST_READ_TIMES = 10
MOST_PEAK_MIB = 3 * 1024
CHUNK_ROWS = 1_000_000

CATALOGUE_PRODUCTS = 10_000
CATALOGUE_ROWS = 1_000_000
CAPACITY = 400.0
MOST_ARTIFACT_KB = 1_000

READ_CSV = """
import sys, time
import pandas
start = time.perf_counter()
pandas.read_csv(sys.argv[1])
print(time.perf_counter() - start)
"""


class TreeComparison(NamedTuple):
    """The whole stage beside the grid search alone, on 1,000 rows.

    Attributes:
        stage_seconds: of the process, from its start to its end, once for each repeat.
        search_seconds: of the decision tree's grid search on one processor, scikit-learn's
            default, in a process that has imported everything.
        parallel_seconds: the same on all processors.
    """

    stage_seconds: tuple[float, ...]
    search_seconds: tuple[float, ...]
    parallel_seconds: tuple[float, ...]


class CurvePoint(NamedTuple):
    """The stage on a dataset of one size; medians over the repeats.

    Attributes:
        rows: of the dataset.
        products: of the dataset.
        csv_mb: size of its file in millions of bytes.
        exit_code: worst of the stage.
        seconds: of the stage, from the start of its process to its end.
        read_seconds: of `pandas.read_csv` on the same file, in a process that has imported pandas.
        peak_mib: most memory that the stage held at once.
        artifact_kb: size of what it published in thousands of bytes; None if it did not.
    """

    rows: int
    products: int
    csv_mb: float
    exit_code: int
    seconds: float
    read_seconds: float
    peak_mib: float
    artifact_kb: float | None

    def read_times_above(self, smallest: "CurvePoint") -> float:
        """Return the time beyond that for the smallest dataset, in units of `read_seconds`."""
        return (self.seconds - smallest.seconds) / self.read_seconds

    def goals(self, smallest: "CurvePoint") -> dict[str, bool | None]:
        """Tell for each goal whether it was met; None for sizes that have no goals."""
        if self.rows != 10**GOAL_EXPONENT:
            return {"time": None, "memory": None}
        done = self.exit_code == 0
        return {
            "time": done and self.read_times_above(smallest) <= MOST_READ_TIMES,
            "memory": done and self.peak_mib <= MOST_PEAK_MIB,
        }


def main(arguments: Sequence[str] = ()) -> int:
    """Measure, print three tables, write the JSON and return 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training.stage_costs", description=__doc__
    )
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement of training")
    exponent = "power of ten of the rows of the largest dataset"
    parser.add_argument(
        "--largest", type=int, default=GOAL_EXPONENT, choices=PRODUCTS_BY_EXPONENT, help=exponent
    )
    options = parser.parse_args(arguments)
    comparison = compare_with_tree(options.repeats)
    _print_comparison(comparison)
    exponents = range(min(PRODUCTS_BY_EXPONENT), options.largest + 1)
    curve = [measure_point(exponent, options.repeats) for exponent in exponents]
    _print_curve(curve)
    serving = measure_serving()
    _print_serving(serving)
    results = {
        "tree": comparison._asdict(),
        "curve": [{**point._asdict(), "goals": point.goals(curve[0])} for point in curve],
        "serving": [cost._asdict() for cost in serving],
    }
    write_results("training", results)
    return 0


def compare_with_tree(repeats: int) -> TreeComparison:
    """Time the whole stage and the grid search in turn, on the same 1,000 rows.

    The store holds the model of the week before, as it does in production.
    """
    stage, search, parallel = [], [], []
    week = straight(seed=1).training_week()
    with temporary_store() as champion:
        week_path(champion, week=0).write_bytes(week_csv(straight(seed=0).training_week()))
        run_stage(champion)
        for _ in range(repeats):
            with temporary_store() as store:
                shutil.copytree(champion, store, dirs_exist_ok=True)
                week_path(store, week=1).write_bytes(week_csv(week))
                stage.append(run_stage(store).seconds)
            search.append(seconds_of(lambda: fit_tree(week, processes=1)))
            parallel.append(seconds_of(lambda: fit_tree(week, processes=-1)))
    return TreeComparison(tuple(stage), tuple(search), tuple(parallel))


def measure_point(exponent: int, repeats: int) -> CurvePoint:
    """Measure the stage on a dataset of ten to the power of `exponent` rows, without champion."""
    rows, products = 10**exponent, PRODUCTS_BY_EXPONENT[exponent]
    costs, reads = [], []
    with temporary_store() as store:
        path = week_path(store, week=0)
        write_orders(path, rows, products)
        for _ in range(repeats):
            shutil.rmtree(store / MODELS, ignore_errors=True)
            costs.append(run_stage(store))
            reads.append(read_csv_seconds(path))
        point = CurvePoint(
            rows=rows,
            products=products,
            csv_mb=path.stat().st_size / 1e6,
            exit_code=max(cost.exit_code for cost in costs),
            seconds=median(cost.seconds for cost in costs),
            read_seconds=median(reads),
            peak_mib=median(cost.peak_mib for cost in costs),
            artifact_kb=_artifact_kb(store),
        )
    print(f"{rows:,} rows: {point.seconds:.1f} s", file=sys.stderr, flush=True)
    return point


def run_stage(store: Path) -> ProcessCost:
    """Run the training stage as a process of its own; only its errors are shown."""
    stage = [sys.executable, "-m", "pipeline.train_model", str(store), "--log-level", "ERROR"]
    return run_measured(stage)


def read_csv_seconds(path: Path) -> float:
    """Return how long a fresh process takes for `pandas.read_csv` with its defaults."""
    command = [sys.executable, "-c", READ_CSV, str(path)]
    return float(subprocess.check_output(command, cwd=ROOT, env=ENVIRONMENT))


def write_orders(path: Path, rows: int, products: int, capacity: float = np.inf) -> None:
    """Write a dataset in chunks: straight lines, or curves if there is a capacity.

    A row is about 31 bytes long.
    """
    random = np.random.default_rng(rows)
    weights = np.ones(products, dtype=int)
    world = World(drawn_products(weights, random), seed=rows, capacity=capacity)
    with path.open("wb") as file:
        for start in range(0, rows, CHUNK_ROWS):
            chunk = world.draw_week(min(CHUNK_ROWS, rows - start), random, weights)
            chunk.to_csv(file, index=False, header=start == 0, lineterminator="\n")


def measure_serving() -> list[ServingCost]:
    """Measure size and speed of a model with 10,000 products; nothing if none is published.

    The world is congested, so that the model is of the largest kind: a curve per product.
    """
    with temporary_store() as store:
        path = week_path(store, week=0)
        write_orders(path, CATALOGUE_ROWS, CATALOGUE_PRODUCTS, capacity=CAPACITY)
        if run_stage(store).exit_code != 0:
            return []
        model = load_model(open_store(str(store)))
        artifact_kb = _artifact_kb(store) or 0.0
    size = ServingCost("artifact, kB", artifact_kb, MOST_ARTIFACT_KB, None)
    return [size, *measure_estimates(model)]


def _artifact_kb(store: Path) -> float | None:
    """Return the size of the newest model of a store in thousands of bytes."""
    newest = max((store / MODELS).glob("*.onnx"), default=None)
    return newest.stat().st_size / 1e3 if newest else None


def _print_comparison(comparison: TreeComparison) -> None:
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


def _print_curve(curve: Sequence[CurvePoint]) -> None:
    """Print one row for each dataset; times above 1,000 rows are in units of `read_csv`."""
    header = ["rows", "products", "CSV MB", "exit", "seconds", "read_csv s", "ratio"]
    header += ["beyond 1,000 rows", "goal", "", "peak MiB", "goal", "", "artifact kB"]
    rows = [_curve_cells(point, curve[0]) for point in curve]
    print_table("Training stage as a process, and pandas.read_csv on the same file", header, rows)


def _curve_cells(point: CurvePoint, smallest: CurvePoint) -> list[str]:
    goals = point.goals(smallest)
    has_goals = goals["time"] is not None
    return [
        f"{point.rows:,}",
        f"{point.products:,}",
        f"{point.csv_mb:.1f}",
        str(point.exit_code),
        f"{point.seconds:.2f}",
        f"{point.read_seconds:.4f}",
        f"{point.seconds / point.read_seconds:.1f}",
        f"{point.read_times_above(smallest):.1f}",
        f"<= {MOST_READ_TIMES}" if has_goals else UNKNOWN,
        verdict(goals["time"]),
        f"{point.peak_mib:,.0f}",
        f"<= {MOST_PEAK_MIB:,}" if has_goals else UNKNOWN,
        verdict(goals["memory"]),
        number(point.artifact_kb, ",.0f"),
    ]


def _print_serving(costs: Sequence[ServingCost]) -> None:
    rows = [
        [
            cost.measure,
            f"{cost.value:,.1f}",
            f"<= {cost.most:,.0f}",
            verdict(cost.value <= cost.most),
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
