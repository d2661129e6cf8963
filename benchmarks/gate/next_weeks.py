"""A champion, the sound and damaged weeks after it, and what the training stage does with them."""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.gate.damages import DAMAGES
from benchmarks.gate.sound_weeks import SOUND_KINDS, WANDERING
from benchmarks.worlds.order_worlds import straight, week_csv
from benchmarks.worlds.weekly_stores import (
    newest_metadata,
    run_training,
    temporary_store,
    week_path,
)
from pipeline.model.arrays import Floats
from pipeline.model.metadata import ModelMetadata
from pipeline.orders.simulator import HOURS_PER_ORDER
from pipeline.release.drift import ROWS_RATIO
from pipeline.stages.errors import ModelRefused

WANDER = 0.1
"""Standard deviation of the logarithm of a slope's change from one week to the next."""
SOUND_WEEKS_PER_CHAMPION = 5
WEEKS_PER_SEED = 1_000
"""Seeds of weeks are this number times the seed of their champion, plus a running number."""
CHAMPION_WEEK, NEXT_WEEK = 0, 1


class Outcome(NamedTuple):
    """What the training stage did with one week.

    Attributes:
        kind: of the week: one of `SOUND_KINDS`, or the name of its damage.
        seed: of the week.
        refused: whether the stage ended with exit code 3, as it should for a bad week.
        crashed: whether it failed with an unexpected error, which is no refusal.
        warned: whether people were told of too few, too many or repeated rows.
        reasons: the rules that it broke, or the words of the log if there was no model.
    """

    kind: str
    seed: int
    refused: bool
    crashed: bool
    warned: bool
    reasons: tuple[str, ...]


def run_champion(kind_and_seed: tuple[str, int]) -> list[Outcome]:
    """Train a champion of a sound kind, and then its next weeks, each in a copy of its store.

    The champion of weeks that wander has the damaged ones after it, too. Returns nothing if the
    champion itself is refused.
    """
    sound, seed = kind_and_seed
    random = np.random.default_rng(seed)
    week_seed = seed * WEEKS_PER_SEED
    slopes = wandered(np.array(list(HOURS_PER_ORDER.values())), random)
    kinds = [sound] * SOUND_WEEKS_PER_CHAMPION + [*DAMAGES] * (sound == WANDERING)
    week = straight(week_seed, slopes).training_week()
    with temporary_store() as store:
        write_week(store, CHAMPION_WEEK, SOUND_KINDS[sound].champion(week))
        if run_training(store).exit_code != 0:
            return []
        return [
            run_next_week(store, kind, slopes, week_seed + number)
            for number, kind in enumerate(kinds, start=1)
        ]


def run_next_week(champion: Path, kind: str, slopes: Floats, seed: int) -> Outcome:
    """Train on the week after a champion's.

    Args:
        champion: store in which the champion is the newest model; it stays as it is.
        kind: of the week.
        slopes: of the champion's week, in hours per order, shape (5,).
        seed: of the week.
    """
    with temporary_store() as store:
        shutil.copytree(champion, store, dirs_exist_ok=True)
        write_week(store, NEXT_WEEK, draw_next_week(kind, slopes, seed))
        run = run_training(store)
        judged = newest_metadata(store)
    reasons = tuple(failure.rule for failure in judged.refused_because)
    if run.exit_code and not reasons:
        reasons = (run.log.strip().split(" - ", maxsplit=3)[-1],)
    refused = run.exit_code == ModelRefused.exit_code
    return Outcome(kind, seed, refused, run.crashed, _is_warned_of(judged), reasons)


def _is_warned_of(judged: ModelMetadata) -> bool:
    """Tell whether people were warned of the number of rows, or of rows that repeat others.

    Other drift does not count: slopes that wander are enough for it in most sound weeks.
    """
    repeated = judged.dataset.repeated
    rows = (measure for measure in judged.drift if measure.name == ROWS_RATIO)
    return any(measure.breached for measure in rows) or bool(repeated and repeated.breached)


def draw_next_week(kind: str, slopes: Floats, seed: int) -> pd.DataFrame:
    """Draw a week whose slopes have wandered, until there is one that can be damaged like this."""
    random = np.random.default_rng(seed)
    while True:
        new_slopes = wandered(slopes, random)
        week = straight(seed, new_slopes).training_week()
        if kind in SOUND_KINDS:
            return SOUND_KINDS[kind].next_week(week)
        damaged = DAMAGES[kind](week, new_slopes, random)
        if damaged is not None:
            return damaged


def wandered(slopes: Floats, random: np.random.Generator) -> Floats:
    """Return the slopes of the week after, each of which wanders by itself."""
    return slopes * np.exp(random.normal(scale=WANDER, size=len(slopes)))


def write_week(store: Path, week: int, orders: pd.DataFrame) -> None:
    """Deliver the orders of a week."""
    week_path(store, week).write_bytes(week_csv(orders))
