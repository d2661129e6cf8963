"""The training stage on weeks of very many products, and how good the published models are."""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.measuring.measured_process import ProcessCost
from benchmarks.training.stage_costs import read_csv_seconds, run_stage, world_of, write_orders
from benchmarks.worlds.order_worlds import FRESH_STREAM
from benchmarks.worlds.weekly_stores import temporary_store, week_path
from pipeline.model.order import HOURS, PRODUCT
from pipeline.model.reader import load_model
from pipeline.stores.base import open_store

SIZES = ((2_000_000, 200_000), (10_000_000, 1_000_000))
"""Rows and products."""
FRESH_ROWS = 200_000
MAX_ERROR = 1.11
"""In units of the error of the true functions; lines through ten rows each have about 1.1."""
LEAST_COVERAGE, MOST_COVERAGE = 0.88, 0.92
MAX_READ_TIMES = 35
MAX_PEAK_MIB = 2.5 * 1024


class ManyProductsCost(NamedTuple):
    """The stage on one week, and the model that it published.

    Attributes:
        rows: of the week.
        products: of the week.
        seconds: of the stage, from the start of its process to its end.
        cpu_seconds: processor time of the stage.
        read_seconds: processor time of `pandas.read_csv` on the same file.
        peak_mib: most memory that the stage held at once.
        error: mean absolute error on fresh rows in units of that of the true functions; None if
            nothing was published, as the coverage.
        coverage: share of the fresh rows inside their intervals.
    """

    rows: int
    products: int
    seconds: float
    cpu_seconds: float
    read_seconds: float
    peak_mib: float
    error: float | None
    coverage: float | None

    def read_times_above(self, smallest_cpu_seconds: float) -> float:
        """Return the time beyond that for 1,000 rows, in units of `read_seconds`."""
        return (self.cpu_seconds - smallest_cpu_seconds) / self.read_seconds

    def goals(self, smallest_cpu_seconds: float) -> dict[str, bool]:
        """Tell for each goal whether it was met."""
        error, coverage = self.error, self.coverage
        return {
            "time": error is not None
            and self.read_times_above(smallest_cpu_seconds) <= MAX_READ_TIMES,
            "memory": error is not None and self.peak_mib <= MAX_PEAK_MIB,
            "error": error is not None and error <= MAX_ERROR,
            "coverage": coverage is not None and LEAST_COVERAGE <= coverage <= MOST_COVERAGE,
        }


def measure_many_products(rows: int, products: int) -> ManyProductsCost:
    """Measure the stage on a week of so many rows and products, without champion."""
    with temporary_store() as store:
        path = week_path(store, week=0)
        write_orders(path, rows, products)
        cost = run_stage(store)
        read_seconds = read_csv_seconds(path)
        error, coverage = _quality(store, rows, products, cost)
    print(f"{rows:,} rows of {products:,} products: {cost.seconds:.1f} s", file=sys.stderr)
    return ManyProductsCost(
        rows,
        products,
        cost.seconds,
        cost.cpu_seconds,
        read_seconds,
        cost.peak_mib,
        error,
        coverage,
    )


def _quality(
    store: Path, rows: int, products: int, cost: ProcessCost
) -> tuple[float | None, float | None]:
    """Return error and coverage of what was published on fresh rows, or nothing."""
    if cost.exit_code != 0:
        return None, None
    model = load_model(open_store(str(store)))
    world = world_of(rows, products)
    weights = np.ones(products, dtype=int)
    fresh = world.draw_week(FRESH_ROWS, world.random(FRESH_STREAM), weights)
    fresh = fresh[[code in model.products for code in fresh[PRODUCT]]]
    predicted = model.predict(fresh)
    hours = fresh[HOURS].to_numpy()
    best = np.abs(hours - world.best_hours(fresh)).mean()
    inside = (predicted.lower <= hours) & (hours <= predicted.upper)
    return float(np.abs(hours - predicted.hours).mean() / best), float(inside.mean())
