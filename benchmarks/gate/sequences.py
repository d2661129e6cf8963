"""Weeks after weeks: sound ones whose slopes wander, and labels that are poisoned a little more
each week.

What is refused is not published, and the next week comes all the same. Nobody accepts a poisoned
week; a sound one is accepted by people in the week after its refusal.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.gate.next_weeks import wandered, write_week
from benchmarks.gate.tallies import MAX_SOUND_REFUSED_SHARE
from benchmarks.measuring.result_tables import UNKNOWN, number, print_table, verdict
from benchmarks.worlds.order_worlds import straight
from benchmarks.worlds.weekly_stores import newest_metadata, run_training, temporary_store
from pipeline.model.arrays import Floats
from pipeline.model.metadata import ModelMetadata
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.orders.simulator import BUSIEST_DAY, HOURS_PER_ORDER
from pipeline.release.champion import load_champion
from pipeline.stages.errors import ModelRefused
from pipeline.stores.base import open_store

SOUND = "sound"
SOUND_WEEKS, POISONED_WEEKS = 16, 8
"""They end before the first week of the sample data, so that none is dated ahead of the clock."""
WEEKS_PER_SEED = 100
MAX_POISON = 1.5
"""How far poisoned estimates may be published, as a factor."""


def _grown(hours: Floats, week: int, factor: float) -> Floats:
    grown: Floats = hours * factor**week
    return grown


def _late(hours: Floats, week: int, late_hours: float) -> Floats:
    late: Floats = hours + late_hours * week
    return late


POISONS: Mapping[str, Callable[[Floats, int], Floats]] = {
    "x 1.2 a week": partial(_grown, factor=1.2),
    "x 1.35 a week": partial(_grown, factor=1.35),
    "x 0.8 a week": partial(_grown, factor=0.8),
    "+ 1 h a week": partial(_late, late_hours=1.0),
    "+ 2 h a week": partial(_late, late_hours=2.0),
    "+ 4 h a week": partial(_late, late_hours=4.0),
}
"""Labels of a week, and its number after the first sound one, to poisoned labels."""


class Judged(NamedTuple):
    """One week of a sequence.

    Attributes:
        kind: `SOUND`, or the name of the poison.
        seed: of the sequence.
        week: number of the week; the first one is 0.
        refused: whether the stage refused it.
        warned: whether people were warned of a trend.
        factor: how many times as high as the truth of this week the estimates in production are
            after it, in the median over products and order counts; None without a model.
        rules: that it broke.
    """

    kind: str
    seed: int
    week: int
    refused: bool
    warned: bool
    factor: float | None
    rules: tuple[str, ...]


def run_sequence(kind_and_seed: tuple[str, int]) -> list[Judged]:
    """Train on the weeks of a sequence, one after the other."""
    kind, seed = kind_and_seed
    random = np.random.default_rng(seed)
    slopes = np.array(list(HOURS_PER_ORDER.values()))
    judged: list[Judged] = []
    with temporary_store() as store:
        for week in range(SOUND_WEEKS if kind == SOUND else POISONED_WEEKS):
            slopes = wandered(slopes, random)
            orders = straight(seed * WEEKS_PER_SEED + week, slopes).training_week()
            if kind != SOUND:
                hours = POISONS[kind](orders[HOURS].to_numpy(), week)
                orders = orders.assign(**{HOURS: hours})
            write_week(store, week - SOUND_WEEKS, orders)
            accept = kind == SOUND and bool(judged) and judged[-1].refused
            run = run_training(store, *["--accept-shift"] * accept)
            refused = run.exit_code == ModelRefused.exit_code
            factor = _factor_of_truth(store, slopes)
            judged.append(_judged(kind, seed, week, refused, newest_metadata(store), factor))
    return judged


def print_sequences(sequences: Sequence[Sequence[Judged]]) -> None:
    """Print one row for each kind, with how far estimates went that were published."""
    rows = []
    for kind in (SOUND, *POISONS):
        of_kind = [weeks for weeks in sequences if weeks[0].kind == kind]
        weeks = [week for sequence in of_kind for week in sequence[1:]]
        share = sum(week.refused for week in weeks) / len(weeks)
        farthest = [
            max((_distance(week) for week in sequence if not week.refused), default=1.0)
            for sequence in of_kind
        ]
        is_stopped = max(farthest) < MAX_POISON
        is_met = share <= MAX_SOUND_REFUSED_SHARE if kind == SOUND else is_stopped
        rows.append(
            [
                kind,
                str(len(weeks)),
                number(sum(week.warned for week in weeks) / len(weeks), ".1%"),
                number(share, ".1%"),
                _first(of_kind, "warned"),
                _first(of_kind, "refused"),
                f"{np.median(farthest):.2f}, at most {max(farthest):.2f}",
                verdict(is_met),
            ]
        )
    header = [
        "sequence",
        "weeks",
        "warned",
        "refused",
        "warned in",
        "refused in",
        "stopped at factor of the truth",
        "",
    ]
    print_table("Weeks after weeks", header, rows)


def _factor_of_truth(store: Path, slopes: Floats) -> float | None:
    """Return how many times as high as the truth the estimates of the model in production are.

    Args:
        store: has the model.
        slopes: the truth of this week, in hours per order, shape (5,).
    """
    champion = load_champion(open_store(str(store)))
    if champion is None:
        return None
    placed = np.linspace(BUSIEST_DAY / 10, BUSIEST_DAY, 10)
    grid = pd.DataFrame(
        {PRODUCT: np.repeat(list(HOURS_PER_ORDER), len(placed)), ORDERS: np.tile(placed, 5)}
    )
    truth = np.repeat(slopes, len(placed)) * grid[ORDERS].to_numpy()
    return float(np.median(champion.estimate(grid) / truth))


def _distance(week: Judged) -> float:
    """Return by which factor the estimates are off the truth, up or down."""
    return 1.0 if week.factor is None else max(week.factor, 1 / week.factor)


def _first(sequences: Sequence[Sequence[Judged]], what: str) -> str:
    """Return the median and the latest of the first weeks of which something is true."""
    if sequences[0][0].kind == SOUND:
        return UNKNOWN
    first = [
        next((week.week for week in weeks if getattr(week, what)), len(weeks))
        for weeks in sequences
    ]
    return f"{np.median(first):g}, at most {max(first)}"


def _judged(
    kind: str,
    seed: int,
    week: int,
    refused: bool,
    metadata: ModelMetadata,
    factor: float | None,
) -> Judged:
    trend = metadata.trend
    return Judged(
        kind,
        seed,
        week,
        refused,
        warned=trend is not None and trend.breached,
        factor=factor,
        rules=tuple(failure.rule for failure in metadata.refused_because),
    )
