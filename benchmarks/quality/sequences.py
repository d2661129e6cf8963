"""Weeks after weeks: how many orders of the next week a model's intervals hold when it is used.

What is refused is not published: the model before it then answers for one week more. A step is what
people accept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.gate.next_weeks import wandered, write_week
from benchmarks.measuring.result_tables import number, print_table, verdict
from benchmarks.quality.summary import MAX_COVERAGE, MIN_COVERAGE
from benchmarks.worlds.flights import flight_week
from benchmarks.worlds.order_worlds import straight
from benchmarks.worlds.weekly_stores import run_training, temporary_store
from pipeline.model.order import HOURS, PRODUCT
from pipeline.model.reader import DispatchModel, load_model
from pipeline.orders.simulator import HOURS_PER_ORDER
from pipeline.stores.base import open_store

WEEKS = 10
WEEKS_PER_SEED = 100
STEP_WEEK, STEP_HOURS = 5, 4.0
BASE_NOISE_HOURS, NOISE_GROWTH = 0.2, 0.15
WANDERING, GROWING, STEP, FLIGHTS = (
    "slopes wander by 10 %",
    "and noise of 15 %",
    f"and a step of {STEP_HOURS:g} h",
    "flights",
)
SIMULATED = (WANDERING, GROWING, STEP)
FIRST_JUDGED, FIRST_OF_WORST = 1, 2
"""Positions of models: the first cannot know of a next week; the worst counts from the third on."""
MIN_WORST_COVERAGE = 0.8


class NextWeek(NamedTuple):
    """What the model of one week says of the week after.

    Attributes:
        week: of the model; the first one is 0.
        coverage: share of the next week's orders inside its intervals.
        without: the same, were nothing allowed for but noise.
        width: of the intervals, relative to those.
    """

    week: int
    coverage: float
    without: float
    width: float


def run_sequence(kind_and_seed: tuple[str, int]) -> list[NextWeek]:
    """Train on each week but the last, and judge what is then in production on the week after."""
    kind, seed = kind_and_seed
    judged = []
    with temporary_store() as store:
        for week, (orders, next_orders) in enumerate(_weeks(kind, seed)):
            write_week(store, week - WEEKS, orders)
            is_step = kind == STEP and week == STEP_WEEK
            run_training(store, *["--accept-shift"] * is_step)
            model = load_model(open_store(str(store)))
            is_stepped = kind == STEP and week + 1 == STEP_WEEK
            if not is_stepped:  # nobody can know of a step
                judged.append(_judge(week, model, next_orders))
    return judged


def print_sequences(sequences: Mapping[str, Sequence[Sequence[NextWeek]]]) -> None:
    """Print one row for each kind."""
    rows = []
    for kind, of_kind in sequences.items():
        weeks = pd.DataFrame([week for sequence in of_kind for week in sequence])
        first, later = weeks[weeks["week"] < FIRST_JUDGED], weeks[weeks["week"] >= FIRST_JUDGED]
        worst = weeks[weeks["week"] >= FIRST_OF_WORST]
        by_week = worst.groupby("week")["coverage"].mean()
        mean = later["coverage"].mean()
        rows.append(
            [
                kind,
                str(len(of_kind)),
                number(first["coverage"].mean(), ".1%"),
                number(mean, ".1%"),
                verdict(MIN_COVERAGE <= mean <= MAX_COVERAGE),
                number(by_week.min(), ".1%"),
                verdict(by_week.min() >= MIN_WORST_COVERAGE),
                number(worst["coverage"].min(), ".1%"),
                number(later["without"].mean(), ".1%"),
                number(later["width"].mean(), ".2f"),
            ]
        )
    header = [
        "weeks",
        "sequences",
        "after the first",
        "after later ones",
        f"{MIN_COVERAGE:.0%} to {MAX_COVERAGE:.0%}",
        "worst week",
        f">= {MIN_WORST_COVERAGE:.0%}",
        "of one sequence",
        "noise alone",
        "width",
    ]
    print_table("Coverage in the week after, of intervals of 90 %", header, rows)


def _weeks(kind: str, seed: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield pairs of a week to train on and the week after, in which its model is used."""
    if kind == FLIGHTS:
        for week in range(WEEKS - 1):
            yield flight_week(week), flight_week(week + 1)
        return
    pairs = list(_simulated(kind, seed))
    for (orders, _), (_, next_orders) in zip(pairs, pairs[1:]):
        yield orders, next_orders


def _simulated(kind: str, seed: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield orders to train on, and other orders of the same week to judge the one before on."""
    random = np.random.default_rng(seed)
    slopes = np.array(list(HOURS_PER_ORDER.values()))
    for week in range(WEEKS):
        slopes = wandered(slopes, random)
        world = straight(seed * WEEKS_PER_SEED + week, slopes)
        if kind == GROWING:
            world = replace(world, noise_base_hours=BASE_NOISE_HOURS, noise_growth=NOISE_GROWTH)
        late = STEP_HOURS if kind == STEP and week >= STEP_WEEK else 0.0
        yield _later(world.training_week(), late), _later(world.fresh_week(), late)


def _later(orders: pd.DataFrame, hours: float) -> pd.DataFrame:
    return orders.assign(**{HOURS: orders[HOURS] + hours})


def _judge(week: int, model: DispatchModel, orders: pd.DataFrame) -> NextWeek:
    known = orders[orders[PRODUCT].isin(list(model.products))]
    codes = known[PRODUCT].tolist()
    hours = model.estimate(known)
    lower, upper = model.bounds(codes, hours)
    below, above = model.reach_of_noise(codes, hours)
    narrow_lower = np.maximum(hours - below, 0.0)
    return NextWeek(
        week,
        coverage=float(known[HOURS].between(lower, upper).mean()),
        without=float(known[HOURS].between(narrow_lower, hours + above).mean()),
        width=float((upper - lower).mean() / (hours + above - narrow_lower).mean()),
    )
