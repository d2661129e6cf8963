"""How close the published models come to the best that is possible, in worlds with a known truth.

`python -m benchmarks.quality.seeds [--seeds N] [--skip-tree | --tree-seeds N]`
"""

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.measuring.result_tables import write_results
from benchmarks.measuring.worker_processes import map_over_processes
from benchmarks.quality.summary import (
    Judgement,
    SeedResult,
    Summary,
    TreeResult,
    print_summaries,
    summarise,
)
from benchmarks.worlds.order_worlds import WORLDS, Floats, World, dirty_csv
from benchmarks.worlds.reference_models import best_possible_hours, least_squares_hours, tree_hours
from benchmarks.worlds.weekly_stores import run_training, temporary_store, week_path
from pipeline.model.reader import DispatchModel, load_model
from pipeline.orders.csv_rows import HOURS, PRODUCT
from pipeline.stores.base import open_store

ROWS_FOR_PRODUCT_COVERAGE = 100

Case = tuple[str, int]
"""The name of a world and a seed."""


def main(arguments: Sequence[str] = ()) -> int:
    """Measure all worlds, print the table, write the JSON and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.seeds", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="of each world")
    parser.add_argument("--tree-seeds", type=int, default=20, help="for the decision tree")
    parser.add_argument("--skip-tree", action="store_true", help="leave the decision tree out")
    options = parser.parse_args(arguments)
    tree_seeds = 0 if options.skip_tree else min(options.tree_seeds, options.seeds)
    summaries, details = [], {}
    for world in WORLDS:
        cases = [(world, seed) for seed in range(options.seeds)]
        results = map_over_processes(run_seed, cases, world)
        trees = map_over_processes(run_tree, cases[:tree_seeds], f"{world}, decision tree")
        summaries.append(summarise(world, results, trees))
        details[world] = _as_json(summaries[-1], results, trees)
    print_summaries(summaries)
    write_results("quality", {"worlds": details})
    return 0


def run_seed(case: Case) -> SeedResult:
    """Train on the dirty week of a world, and judge what is published on a fresh one."""
    world = _world(case)
    training, fresh = world.training_week(), world.fresh_week()
    best = best_possible_hours(world, training, fresh)
    line_ratio = _error(least_squares_hours(training, fresh), fresh) / _error(best, fresh)
    with temporary_store() as store:
        week_path(store, week=0).write_bytes(dirty_csv(world, training))
        start = time.perf_counter()
        run = run_training(store)
        seconds = time.perf_counter() - start
        if run.exit_code != 0:
            return SeedResult(case[1], seconds, run.log, None, line_ratio)
        model = load_model(open_store(str(store)))
    judgement = judge(model, training, fresh, best)
    return SeedResult(case[1], seconds, "", judgement, line_ratio)


def run_tree(case: Case) -> TreeResult:
    """Fit the decision tree on the valid rows of a world and judge it on a fresh week."""
    world = _world(case)
    training, fresh = world.training_week(), world.fresh_week()
    start = time.perf_counter()
    hours = tree_hours(training, fresh)
    seconds = time.perf_counter() - start
    best = best_possible_hours(world, training, fresh)
    return TreeResult(case[1], seconds, _error(hours, fresh) / _error(best, fresh))


def judge(
    model: DispatchModel, training: pd.DataFrame, fresh: pd.DataFrame, best: Floats
) -> Judgement:
    """Compare a model's estimates and intervals with a fresh week.

    Args:
        model: what was published.
        training: valid rows of its week.
        fresh: rows of the same products.
        best: the best possible estimates for them, in hours, shape (n_rows,).
    """
    codes = fresh[PRODUCT].tolist()
    estimates = model.estimate(fresh)
    lower, upper = model.bounds(codes, estimates)
    inside = fresh[HOURS].between(lower, upper)
    rows = training[PRODUCT].value_counts()
    large = rows.index[rows >= ROWS_FOR_PRODUCT_COVERAGE]
    by_product = inside.groupby(fresh[PRODUCT]).mean().reindex(large).dropna()
    return Judgement(
        ratio=_error(estimates, fresh) / _error(best, fresh),
        coverage=float(inside.mean()),
        product_coverage={str(code): float(share) for code, share in by_product.items()},
    )


def _world(case: Case) -> World:
    name, seed = case
    return WORLDS[name](seed)


def _error(hours: Floats, week: pd.DataFrame) -> float:
    """Return the mean absolute error of estimates, in hours."""
    return float(np.abs(hours - week[HOURS].to_numpy()).mean())


def _as_json(
    summary: Summary, results: Sequence[SeedResult], trees: Sequence[TreeResult]
) -> dict[str, object]:
    seeds = [
        {**result._asdict(), "judgement": result.judgement and result.judgement._asdict()}
        for result in results
    ]
    return {
        "summary": summary._asdict(),
        "goals": summary.goals(),
        "seeds": seeds,
        "trees": [tree._asdict() for tree in trees],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
