"""Whether several weeks help in the week after them, in worlds whose slopes wander."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.measuring.result_tables import print_table, verdict
from benchmarks.worlds.order_worlds import World, many_small_products
from pipeline.curves.estimator import DispatchCurve
from pipeline.model.order import HOURS, PRODUCT
from pipeline.orders.features import features_of
from pipeline.orders.past_weeks import PastWeek, PastWeeks
from pipeline.orders.rejected_rows import RejectedRows
from pipeline.orders.simulator import FIRST_FRIDAY
from pipeline.orders.week_rows import WeekRows
from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.training.fitting import train_on

WANDERING: Mapping[str, float] = {"slopes wander by 2 %": 0.02, "slopes wander by 10 %": 0.1}
"""Standard deviation of a week's step of the logarithm of each product's slope."""
WEEKS = (1, 2, 4, 8)
SEQUENCE = max(WEEKS) + 1
WANDER_STREAM = 4
INTERVAL_LEVEL = 0.9
MAX_EXCESS = 1.01
"""The most weeks are at most so many times as far off as the best number of weeks."""

Case = tuple[str, int]
"""The name of a world and a seed."""


class SeveralWeeksResult(NamedTuple):
    """What came of one sequence of weeks.

    Attributes:
        seed: of the sequence.
        ratios: mean absolute error in the following week for each number of weeks, in units of
            that of the true curves of the last one.
        decays: that were chosen for each number of weeks.
    """

    seed: int
    ratios: tuple[float, ...]
    decays: tuple[float, ...]


def run_weeks(case: Case) -> SeveralWeeksResult:
    """Train on the last weeks of a sequence, and judge the models on the week after them."""
    name, seed = case
    *worlds, following = _worlds(WANDERING[name], seed)
    weeks = [world.training_week() for world in worlds]
    orders = weeks[-1]
    fresh = following.fresh_week()
    fresh = fresh[fresh[PRODUCT].isin(orders[PRODUCT].unique())]
    best = float(np.abs(worlds[-1].best_hours(fresh) - fresh[HOURS]).mean())
    ratios, decays = [], []
    for asked in WEEKS:
        past = None if asked == 1 else _past(weeks, asked)
        model = train_on(orders, INTERVAL_LEVEL, past=past)
        ratios.append(_error(model.regressor, fresh) / best)
        decays.append(model.weighed.decay if model.weighed else 0.0)
    return SeveralWeeksResult(seed, tuple(ratios), tuple(decays))


def print_several_weeks(results: Mapping[str, Sequence[SeveralWeeksResult]]) -> None:
    """Print the table: error in the following week for each number of weeks."""
    header = ["world", *(f"--weeks {asked}" for asked in WEEKS), "goal", ""]
    rows = []
    for world, of_world in results.items():
        ratios = np.mean([result.ratios for result in of_world], axis=0)
        goal = MAX_EXCESS * float(ratios.min())
        cells = [f"{ratio:.3f}" for ratio in ratios]
        rows.append([world, *cells, f"<= {goal:.3f}", verdict(bool(ratios[-1] <= goal))])
    print_table(
        "Mean absolute error in the following week, in units of that of the true curves",
        header,
        rows,
    )


def _worlds(wander: float, seed: int) -> Iterator[World]:
    """Yield the world of each week: the same products, with slopes that wander."""
    world = many_small_products(seed)
    random = world.random(WANDER_STREAM)
    for week in range(SEQUENCE + 1):
        yield replace(world, seed=seed * (SEQUENCE + 1) + week)
        steps = np.exp(random.normal(scale=wander, size=len(world.products.slopes)))
        products = world.products._replace(slopes=world.products.slopes * steps)
        world = replace(world, products=products)


def _past(weeks: Sequence[pd.DataFrame], asked: int) -> PastWeeks:
    """Return the weeks before the last one, as the training stage would read them."""
    ages = range(1, min(asked + 1, len(weeks)))
    past = tuple(PastWeek(age, _dataset(weeks[-1 - age], age)) for age in ages)
    return PastWeeks(FIRST_FRIDAY, asked, past)


def _dataset(orders: pd.DataFrame, age: int) -> WeeklyDataset:
    return WeeklyDataset(
        key=f"week {-age}",
        sha256=str(age),
        delivered_at=FIRST_FRIDAY - timedelta(weeks=age),
        week=WeekRows.of(orders),
        rejected=RejectedRows(),
    )


def _error(model: DispatchCurve, week: pd.DataFrame) -> float:
    """Return the mean absolute error of a model, in hours."""
    return float(np.abs(model.predict(features_of(week)) - week[HOURS]).mean())
