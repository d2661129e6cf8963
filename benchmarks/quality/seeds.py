"""What comes of one seed of a world: a published model, and a decision tree, on a fresh week."""

import time

import numpy as np
import pandas as pd

from benchmarks.quality.summary import (
    Evaluation,
    SeedResult,
    TreeResult,
)
from benchmarks.worlds.order_worlds import WORLDS, World, dirty_csv
from benchmarks.worlds.reference_models import best_possible_hours, least_squares_hours, tree_hours
from benchmarks.worlds.weekly_stores import run_training, temporary_store, week_path
from pipeline.model.arrays import Floats
from pipeline.model.order import HOURS, PRODUCT
from pipeline.model.reader import DispatchModel, load_model
from pipeline.stores.base import open_store

MIN_ROWS_FOR_PRODUCT_COVERAGE = 100

Case = tuple[str, int]
"""The name of a world and a seed."""


def run_seed(case: Case) -> SeedResult:
    """Train on the dirty week of a world, and evaluate what is published on a fresh one."""
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
    evaluation = evaluate(model, training, fresh, best)
    return SeedResult(case[1], seconds, "", evaluation, line_ratio)


def run_tree(case: Case) -> TreeResult:
    """Fit the decision tree on the valid rows of a world and evaluate it on a fresh week."""
    world = _world(case)
    training, fresh = world.training_week(), world.fresh_week()
    start = time.perf_counter()
    hours = tree_hours(training, fresh)
    seconds = time.perf_counter() - start
    best = best_possible_hours(world, training, fresh)
    return TreeResult(case[1], seconds, _error(hours, fresh) / _error(best, fresh))


def evaluate(
    model: DispatchModel, training: pd.DataFrame, fresh: pd.DataFrame, best: Floats
) -> Evaluation:
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
    large = rows.index[rows >= MIN_ROWS_FOR_PRODUCT_COVERAGE]
    by_product = inside.groupby(fresh[PRODUCT]).mean().reindex(large).dropna()
    return Evaluation(
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
