"""Weeks after weeks: sound ones whose slopes wander, and labels that are poisoned a little more
each week.

What is refused is not published, and the next week comes all the same. Nobody accepts a poisoned
week; a sound one is accepted by people in the week after its refusal.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.gate.next_weeks import SOUND, wandered, write_week
from benchmarks.gate.tallies import MAX_SOUND_REFUSED_SHARE
from benchmarks.measuring.result_tables import UNKNOWN, number, print_table, verdict
from benchmarks.worlds.order_worlds import straight
from benchmarks.worlds.weekly_stores import newest_metadata, run_training, temporary_store
from pipeline.model.arrays import Floats
from pipeline.model.metadata import ModelMetadata
from pipeline.model.order import HOURS
from pipeline.orders.simulator import HOURS_PER_ORDER
from pipeline.stages.errors import ModelRefused

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
        ratio: how far the estimates moved, as the stage says.
        rules: that it broke.
    """

    kind: str
    seed: int
    week: int
    refused: bool
    warned: bool
    ratio: float | None
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
            judged.append(_judged(kind, seed, week, refused, newest_metadata(store)))
    return judged


def print_sequences(sequences: Sequence[Sequence[Judged]]) -> None:
    """Print one row for each kind, with how far estimates went that were published."""
    rows = []
    for kind in (SOUND, *POISONS):
        of_kind = [weeks for weeks in sequences if weeks[0].kind == kind]
        weeks = [week for sequence in of_kind for week in sequence[1:]]
        share = sum(week.refused for week in weeks) / len(weeks)
        farthest = max((_distance(week) for week in weeks if not week.refused), default=1.0)
        is_met = share <= MAX_SOUND_REFUSED_SHARE if kind == SOUND else farthest < MAX_POISON
        rows.append(
            [
                kind,
                str(len(weeks)),
                number(sum(week.warned for week in weeks) / len(weeks), ".1%"),
                number(share, ".1%"),
                _first(of_kind, "warned"),
                _first(of_kind, "refused"),
                f"{farthest:.2f}",
                verdict(is_met),
            ]
        )
    header = ["weeks", "number", "warned", "refused", "warned in", "refused in", "farthest", ""]
    print_table("Weeks after weeks", header, rows)


def _distance(week: Judged) -> float:
    """Return by which factor the estimates moved, up or down."""
    return 1.0 if week.ratio is None else max(week.ratio, 1 / week.ratio)


def _first(sequences: Sequence[Sequence[Judged]], what: str) -> str:
    """Return the median and the latest of the first weeks of which something is true."""
    if sequences[0][0].kind == SOUND:
        return UNKNOWN
    first = [
        next((week.week for week in weeks if getattr(week, what)), len(weeks))
        for weeks in sequences
    ]
    return f"{np.median(first):g}, at most {max(first)}"


def _judged(kind: str, seed: int, week: int, refused: bool, metadata: ModelMetadata) -> Judged:
    trend = metadata.trend
    return Judged(
        kind,
        seed,
        week,
        refused,
        warned=trend is not None and trend.breached,
        ratio=None if trend is None else trend.ratio,
        rules=tuple(failure.rule for failure in metadata.refused_because),
    )
