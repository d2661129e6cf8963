"""How many sound weeks the gate refuses by mistake, and how many bad ones it lets through.

A champion is trained on one week. The next week is sound or damaged, and the training stage says
what it does with it.

`python -m benchmarks.gate.next_weeks [--seeds N]`
"""

import argparse
import re
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.gate.damages import ANY_SWAP, DAMAGES
from benchmarks.measuring.result_tables import UNKNOWN, number, print_table, verdict, write_results
from benchmarks.measuring.worker_processes import map_over_processes
from benchmarks.worlds.order_worlds import Floats, straight, week_csv
from benchmarks.worlds.weekly_stores import newest_refusal, run_training, temporary_store, week_path
from pipeline.orders.simulator import HOURS_PER_ORDER

WANDER = 0.1
"""Standard deviation of the logarithm of a slope's change from one week to the next."""
SOUND_WEEKS_PER_CHAMPION = 5
MOST_SOUND_REFUSED = 0.01
LEAST_BAD_REFUSED = 0.99
WEEKS_PER_SEED = 100
"""Seeds of weeks are this number times the seed of their champion, plus a running number."""
CHAMPION_WEEK, NEXT_WEEK = 0, 1
SOUND = "sound"


class Outcome(NamedTuple):
    """What the training stage did with one week.

    Attributes:
        kind: of the week: `SOUND`, or the name of its damage.
        seed: of the week.
        refused: whether the stage ended with exit code 1, as it should for a bad week.
        crashed: whether it failed in a way that nobody foresaw, which is no refusal.
        reasons: why it was refused, in the words of the artifact or of the log.
    """

    kind: str
    seed: int
    refused: bool
    crashed: bool
    reasons: tuple[str, ...]


class Tally(NamedTuple):
    """Weeks of one kind, or of several.

    Attributes:
        kind: in words.
        weeks: how many there were.
        refused: how many were refused.
        crashed: in how many the stage failed without a reason.
        goal: in words; empty if there is none.
        met: whether the goal was met; None if there is none.
    """

    kind: str
    weeks: int
    refused: int
    crashed: int
    goal: str = ""
    met: bool | None = None

    @property
    def share(self) -> float | None:
        """Share of the weeks that was refused; None without weeks."""
        return self.refused / self.weeks if self.weeks else None


def main(arguments: Sequence[str] = ()) -> int:
    """Measure the gate, print two tables, write the JSON and return 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gate.next_weeks", description=__doc__
    )
    parser.add_argument("--seeds", type=int, default=40, help="champions, each with 11 next weeks")
    options = parser.parse_args(arguments)
    by_champion = map_over_processes(run_champion, range(options.seeds), "champions")
    outcomes = [outcome for champion in by_champion for outcome in champion]
    tallies = [*tally_kinds(outcomes), *tally_goals(outcomes)]
    _print_tallies(tallies)
    _print_rules(outcomes)
    champions_refused = sum(not champion for champion in by_champion)
    if champions_refused:
        print(f"\n{champions_refused} champions were refused themselves; they have no next weeks.")
    results = {
        "champions": options.seeds,
        "champions_refused": champions_refused,
        "tallies": [tally._asdict() for tally in tallies],
        "weeks": [outcome._asdict() for outcome in outcomes],
    }
    write_results("gate", results)
    return 0


def run_champion(seed: int) -> list[Outcome]:
    """Train a champion, and then each of its next weeks in a copy of its store.

    Returns nothing if the champion itself is refused.
    """
    random = np.random.default_rng(seed)
    week_seed = seed * WEEKS_PER_SEED
    slopes = _wandered(np.array(list(HOURS_PER_ORDER.values())), random)
    kinds = [*[SOUND] * SOUND_WEEKS_PER_CHAMPION, *DAMAGES]
    with temporary_store() as store:
        _write(store, CHAMPION_WEEK, straight(week_seed, slopes).training_week())
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
        _write(store, NEXT_WEEK, draw_next_week(kind, slopes, seed))
        run = run_training(store)
        reasons = newest_refusal(store)
    if run.exit_code and not reasons:
        reasons = (run.log.strip().split(" - ", maxsplit=3)[-1],)
    refused = run.exit_code == 1 and not run.crashed
    return Outcome(kind, seed, refused, run.crashed, reasons)


def draw_next_week(kind: str, slopes: Floats, seed: int) -> pd.DataFrame:
    """Draw a week whose slopes have wandered, until there is one that can be damaged like this."""
    random = np.random.default_rng(seed)
    while True:
        new_slopes = _wandered(slopes, random)
        week = straight(seed, new_slopes).training_week()
        damaged = week if kind == SOUND else DAMAGES[kind](week, new_slopes, random)
        if damaged is not None:
            return damaged


def tally_kinds(outcomes: Sequence[Outcome]) -> list[Tally]:
    """Count the weeks of each kind, without goals."""
    return [
        _tally(kind, [outcome for outcome in outcomes if outcome.kind == kind])
        for kind in (SOUND, *DAMAGES)
    ]


def tally_goals(outcomes: Sequence[Outcome]) -> list[Tally]:
    """Count what there are goals for: the sound weeks, and all bad ones together."""
    sound = _tally("all sound weeks", [week for week in outcomes if week.kind == SOUND])
    bad = _tally("all bad weeks", [week for week in outcomes if week.kind not in (SOUND, ANY_SWAP)])
    sound_met = None if sound.share is None else sound.share <= MOST_SOUND_REFUSED
    bad_met = None if bad.share is None else bad.share >= LEAST_BAD_REFUSED
    return [
        sound._replace(goal=f"<= {MOST_SOUND_REFUSED:.0%}", met=sound_met),
        bad._replace(goal=f">= {LEAST_BAD_REFUSED:.0%}", met=bad_met),
    ]


def rule_of(reason: str) -> str:
    """Return the rule that a reason is about: its option, or its words without the numbers.

    What follows a semicolon is advice, which may name another option.
    """
    fault = reason.partition(";")[0]
    option = re.search(r"--[a-z][a-z0-9-]+", fault)
    if option:
        return option[0]
    words = re.sub(r" for '.*| \([^()]*\)", "", fault)
    return re.sub(r"-?\d[\d.,]*", "#", words)[:80]


def _tally(kind: str, outcomes: Sequence[Outcome]) -> Tally:
    refused = sum(outcome.refused for outcome in outcomes)
    return Tally(kind, len(outcomes), refused, sum(outcome.crashed for outcome in outcomes))


def _wandered(slopes: Floats, random: np.random.Generator) -> Floats:
    return slopes * np.exp(random.normal(scale=WANDER, size=len(slopes)))


def _write(store: Path, week: int, orders: pd.DataFrame) -> None:
    week_path(store, week).write_bytes(week_csv(orders))


def _print_tallies(tallies: Sequence[Tally]) -> None:
    rows = [
        [
            tally.kind,
            str(tally.weeks),
            str(tally.refused),
            number(tally.share, ".1%"),
            str(tally.crashed),
            tally.goal or UNKNOWN,
            verdict(tally.met),
        ]
        for tally in tallies
    ]
    header = ["next week", "weeks", "refused", "share", "crashed", "goal", ""]
    print_table("What the gate does with the week after a champion's", header, rows)


def _print_rules(outcomes: Sequence[Outcome]) -> None:
    """Print how many weeks of each kind broke which rule; one week may break several."""
    counts = Counter(
        (outcome.kind, rule)
        for outcome in outcomes
        for rule in sorted(set(map(rule_of, outcome.reasons)))
    )
    order = [SOUND, *DAMAGES]
    ranked = sorted(counts.items(), key=lambda entry: (order.index(entry[0][0]), -entry[1]))
    rows = [[f"{kind}: {rule}", str(count)] for (kind, rule), count in ranked]
    print_table("Rules that were broken", ["next week: rule", "weeks"], rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
