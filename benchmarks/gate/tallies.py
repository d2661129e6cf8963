"""How many weeks of each kind were refused, by which rules, and the goals."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.gate.damages import ANY_SWAP, DAMAGES, WARNED_OF
from benchmarks.gate.next_weeks import Outcome
from benchmarks.gate.sound_weeks import SOUND_KINDS
from benchmarks.measuring.result_tables import UNKNOWN, number, print_table, verdict

MAX_SOUND_REFUSED_SHARE = 0.01
MIN_BAD_REFUSED_SHARE = 0.99


class Tally(NamedTuple):
    """Weeks of one kind, or of several.

    Attributes:
        kind: in words.
        weeks: how many there were.
        refused: how many were refused.
        warned: in how many people were told of the rows, by a warning or a refusal.
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
    order = [*SOUND_KINDS, *DAMAGES]
    ranked = sorted(counts.items(), key=lambda entry: (order.index(entry[0][0]), -entry[1]))
    rows = [[f"{kind}: {rule}", str(count)] for (kind, rule), count in ranked]
    print_table("Rules that were broken", ["next week: rule", "weeks"], rows)


def tally_kinds(outcomes: Sequence[Outcome]) -> list[Tally]:
    """Count the weeks of each kind, beside its goal."""
    return [
        _tally(kind, [outcome for outcome in outcomes if outcome.kind == kind], kind)
        for kind in (*SOUND_KINDS, *DAMAGES)
    ]


def tally_goals(outcomes: Sequence[Outcome]) -> list[Tally]:
    """Count all sound weeks, all bad ones, and all to be warned of."""
    bad_kinds = [kind for kind in DAMAGES if kind not in (ANY_SWAP, *WARNED_OF)]
    parts = {
        "all sound weeks": list(SOUND_KINDS),
        "all bad weeks": bad_kinds,
        "all of too few rows": list(WARNED_OF),
    }
    return [
        _tally(name, [outcome for outcome in outcomes if outcome.kind in kinds], kinds[0])
        for name, kinds in parts.items()
    ]


def rule_of(reason: str) -> str:
    """Return the rule that a reason names, or its words without the numbers."""
    return re.sub(r"-?\d[\d.,]*", "#", reason)[:80]


def _tally(name: str, outcomes: Sequence[Outcome], kind: str) -> Tally:
    """Count weeks, beside the goal of this kind."""
    refused = sum(outcome.refused for outcome in outcomes)
    # Who refuses a week tells people of it as well.
    warned = sum(outcome.warned or outcome.refused for outcome in outcomes)
    crashed = sum(outcome.crashed for outcome in outcomes)
    tally = Tally(name, len(outcomes), refused, warned, crashed)
    if kind == ANY_SWAP or not outcomes:
        return tally
    if kind in SOUND_KINDS:
        is_met = refused <= MAX_SOUND_REFUSED_SHARE * len(outcomes)
        return tally._replace(goal=f"<= {MAX_SOUND_REFUSED_SHARE:.0%}", met=is_met)
    if kind in WARNED_OF:
        is_met = warned >= MIN_BAD_REFUSED_SHARE * len(outcomes)
        return tally._replace(goal=f">= {MIN_BAD_REFUSED_SHARE:.0%} warned", met=is_met)
    is_met = refused >= MIN_BAD_REFUSED_SHARE * len(outcomes)
    return tally._replace(goal=f">= {MIN_BAD_REFUSED_SHARE:.0%}", met=is_met)
