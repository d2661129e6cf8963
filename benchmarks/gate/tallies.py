"""How many weeks of each kind were refused, by which rules, and the goals."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.gate.damages import ANY_SWAP, DAMAGES, WARNED_OF
from benchmarks.gate.next_weeks import SOUND, Outcome
from benchmarks.measuring.result_tables import UNKNOWN, number, print_table, verdict

MAX_SOUND_REFUSED_SHARE = 0.01
MIN_BAD_REFUSED_SHARE = 0.99


class Tally(NamedTuple):
    """Weeks of one kind, or of several.

    Attributes:
        kind: in words.
        weeks: how many there were.
        refused: how many were refused.
        warned: in how many people were warned of the rows, refused or not.
        crashed: in how many the stage failed without a reason.
        goal: in words; empty if there is none.
        met: whether the goal was met; None if there is none.
    """

    kind: str
    weeks: int
    refused: int
    warned: int
    crashed: int
    goal: str = ""
    met: bool | None = None

    @property
    def share(self) -> float | None:
        """Share of the weeks that was refused; None without weeks."""
        return self.refused / self.weeks if self.weeks else None


def print_tallies(tallies: Sequence[Tally]) -> None:
    """Print one row for each tally."""
    rows = [
        [
            tally.kind,
            str(tally.weeks),
            str(tally.refused),
            number(tally.share, ".1%"),
            str(tally.warned),
            str(tally.crashed),
            tally.goal or UNKNOWN,
            verdict(tally.met),
        ]
        for tally in tallies
    ]
    header = ["next week", "weeks", "refused", "share", "warned", "crashed", "goal", ""]
    print_table("What the gate does with the week after a champion's", header, rows)


def print_rules(outcomes: Sequence[Outcome]) -> None:
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


def tally_kinds(outcomes: Sequence[Outcome]) -> list[Tally]:
    """Count the weeks of each kind, without goals."""
    return [
        _tally(kind, [outcome for outcome in outcomes if outcome.kind == kind])
        for kind in (SOUND, *DAMAGES)
    ]


def tally_goals(outcomes: Sequence[Outcome]) -> list[Tally]:
    """Count what there are goals for: sound weeks, bad ones, and those to be warned of."""
    sound = _tally("all sound weeks", [week for week in outcomes if week.kind == SOUND])
    no_bad = (SOUND, ANY_SWAP, *WARNED_OF)
    bad = _tally("all bad weeks", [week for week in outcomes if week.kind not in no_bad])
    doubtful = _tally("all of too few rows", [week for week in outcomes if week.kind in WARNED_OF])
    sound_met = None if sound.share is None else sound.share <= MAX_SOUND_REFUSED_SHARE
    bad_met = None if bad.share is None else bad.share >= MIN_BAD_REFUSED_SHARE
    doubtful_met = doubtful.warned >= MIN_BAD_REFUSED_SHARE * doubtful.weeks
    return [
        sound._replace(goal=f"<= {MAX_SOUND_REFUSED_SHARE:.0%}", met=sound_met),
        bad._replace(goal=f">= {MIN_BAD_REFUSED_SHARE:.0%}", met=bad_met),
        doubtful._replace(goal=f">= {MIN_BAD_REFUSED_SHARE:.0%} warned", met=doubtful_met),
    ]


def rule_of(reason: str) -> str:
    """Return the rule that a reason names, or its words without the numbers."""
    return re.sub(r"-?\d[\d.,]*", "#", reason)[:80]


def _tally(kind: str, outcomes: Sequence[Outcome]) -> Tally:
    refused = sum(outcome.refused for outcome in outcomes)
    warned = sum(outcome.warned for outcome in outcomes)
    crashed = sum(outcome.crashed for outcome in outcomes)
    return Tally(kind, len(outcomes), refused, warned, crashed)
