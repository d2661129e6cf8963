"""Time and memory of the training stage, beside a grid search and the reading of the file."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.measuring.measured_process import (
    ENVIRONMENT,
    ROOT,
    ProcessCost,
    run_measured,
    seconds_of,
)
from benchmarks.worlds.order_worlds import World, straight, week_csv
from benchmarks.worlds.products import drawn_products
from benchmarks.worlds.reference_models import fit_tree
from benchmarks.worlds.weekly_stores import temporary_store, week_path
from pipeline.model.artifact import MODELS, PUBLISHED

PRODUCTS_BY_EXPONENT: Mapping[int, int] = {3: 5, 4: 10, 5: 100, 6: 1_000, 7: 10_000}
"""How many products there are among ten to the power of this exponent rows."""
GOAL_EXPONENT = 7
MAX_READ_TIMES = 5
MAX_PEAK_MIB = 0.8 * 1024
CHUNK_ROWS = 1_000_000
WEEK_STREAM = 9
"""Second part of the seed of the rows."""

READ_CSV = """
import sys, time
import pandas
start = time.process_time()
pandas.read_csv(sys.argv[1])
print(time.process_time() - start)
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


class DatasetCost(NamedTuple):
    """The stage on a dataset of one size; medians over the repeats.

    Attributes:
        rows: of the dataset.
        products: of the dataset.
        csv_mb: size of its file in millions of bytes.
        exit_code: worst of the stage.
        seconds: of the stage, from the start of its process to its end.
        cpu_seconds: processor time of the stage.
        read_seconds: processor time of `pandas.read_csv` on the same file, in a process that has
            imported pandas; it takes several processors where there are several.
        peak_mib: most memory that the stage held at once.
        artifact_kb: size of what it published in thousands of bytes; None if it did not.
    """

    rows: int
    products: int
    csv_mb: float
    exit_code: int
    seconds: float
    cpu_seconds: float
    read_seconds: float
    peak_mib: float
    artifact_kb: float | None

    def read_times_above(self, smallest: "DatasetCost") -> float:
        """Return the time beyond that for the smallest dataset, in units of `read_seconds`."""
        return (self.cpu_seconds - smallest.cpu_seconds) / self.read_seconds

    def goals(self, smallest: "DatasetCost") -> dict[str, bool | None]:
        """Tell for each goal whether it was met; None for sizes that have no goals."""
        if self.rows != 10**GOAL_EXPONENT:
            return {"time": None, "memory": None}
        done = self.exit_code == 0
        return {
            "time": done and self.read_times_above(smallest) <= MAX_READ_TIMES,
            "memory": done and self.peak_mib <= MAX_PEAK_MIB,
        }


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


def measure_dataset(exponent: int, repeats: int) -> DatasetCost:
    """Measure the stage on a dataset of ten to the power of `exponent` rows, without champion."""
    rows, products = 10**exponent, PRODUCTS_BY_EXPONENT[exponent]
    runs, reads = [], []
    with temporary_store() as store:
        path = week_path(store, week=0)
        write_orders(path, rows, products)
        for _ in range(repeats):
            forget_models(store)
            runs.append(run_stage(store))
            reads.append(read_csv_seconds(path))
        cost = DatasetCost(
            rows=rows,
            products=products,
            csv_mb=path.stat().st_size / 1e6,
            exit_code=max(run.exit_code for run in runs),
            seconds=median(run.seconds for run in runs),
            cpu_seconds=median(run.cpu_seconds for run in runs),
            read_seconds=median(reads),
            peak_mib=median(run.peak_mib for run in runs),
            artifact_kb=artifact_kb(store),
        )
    print(f"{rows:,} rows: {cost.seconds:.1f} s", file=sys.stderr, flush=True)
    return cost


def forget_models(store: Path) -> None:
    """Let the next run of the stage be a first one."""
    for folder in (MODELS, PUBLISHED):
        shutil.rmtree(store / folder, ignore_errors=True)


def run_stage(store: Path, *options: str) -> ProcessCost:
    """Run the training stage as a process of its own; only its errors are shown."""
    stage = [sys.executable, "-m", "pipeline.train_model", str(store), "--log-level", "ERROR"]
    return run_measured([*stage, *options])


def read_csv_seconds(path: Path) -> float:
    """Return the processor time of `pandas.read_csv` with its defaults in a fresh process."""
    command = [sys.executable, "-c", READ_CSV, str(path)]
    return float(subprocess.check_output(command, cwd=ROOT, env=ENVIRONMENT))


def write_orders(path: Path, rows: int, products: int, capacity: float = np.inf) -> None:
    """Write a dataset in chunks: straight lines, or curves if there is a capacity.

    A row is about 31 bytes long.
    """
    world = world_of(rows, products, capacity)
    random = world.random(WEEK_STREAM)
    weights = np.ones(products, dtype=int)
    with path.open("wb") as file:
        for start in range(0, rows, CHUNK_ROWS):
            chunk = world.draw_week(min(CHUNK_ROWS, rows - start), random, weights)
            chunk.to_csv(file, index=False, header=start == 0, lineterminator="\n")


def world_of(rows: int, products: int, capacity: float = np.inf) -> World:
    """Return the world of a dataset of this size, all of whose products are equally frequent."""
    random = np.random.default_rng(rows)
    return World(drawn_products(np.ones(products, dtype=int), random), seed=rows, capacity=capacity)


def artifact_kb(store: Path) -> float | None:
    """Return the size of the newest model of a store in thousands of bytes."""
    newest = max((store / MODELS).glob("*.onnx"), default=None)
    return newest.stat().st_size / 1e3 if newest else None
