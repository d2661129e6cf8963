"""How many sound weeks the gate refuses by mistake, and how many bad ones it lets through.

A champion is trained on one week. The next week is sound or damaged, and the training stage says
what it does with it.

Then weeks follow each other, sound or with labels that are poisoned a little more each week.

`python -m benchmarks.gate [--seeds N] [--sequences N]`
"""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.gate.next_weeks import run_champion
from benchmarks.gate.sequences import (
    POISONS,
    SOUND,
    Judged,
    print_sequences,
    run_sequence,
)
from benchmarks.gate.sound_weeks import SOUND_KINDS
from benchmarks.gate.tallies import print_rules, print_tallies, tally_goals, tally_kinds
from benchmarks.measuring.result_tables import write_results
from benchmarks.measuring.worker_processes import map_over_processes


def main(arguments: Sequence[str] = ()) -> int:
    """Measure the gate, print three tables, write the JSON and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="champions of each sound kind")
    parser.add_argument("--sequences", type=int, default=6, help="of weeks, of each kind")
    options = parser.parse_args(arguments)
    champions = [(kind, seed) for kind in SOUND_KINDS for seed in range(options.seeds)]
    by_champion = map_over_processes(run_champion, champions, "champions")
    outcomes = [outcome for champion in by_champion for outcome in champion]
    tallies = [*tally_kinds(outcomes), *tally_goals(outcomes)]
    print_tallies(tallies)
    print_rules(outcomes)
    champions_refused = sum(not champion for champion in by_champion)
    if champions_refused:
        print(f"\n{champions_refused} champions were refused themselves; they have no next weeks.")
    sequences = _run_sequences(options.sequences)
    if sequences:
        print_sequences(sequences)
    results = {
        "champions": len(champions),
        "champions_refused": champions_refused,
        "tallies": [tally._asdict() for tally in tallies],
        "weeks": [outcome._asdict() for outcome in outcomes],
        "sequences": [week._asdict() for weeks in sequences for week in weeks],
    }
    write_results("gate", results)
    return 0


def _run_sequences(seeds: int) -> list[list[Judged]]:
    kinds = [(kind, seed) for kind in (SOUND, *POISONS) for seed in range(seeds)]
    return map_over_processes(run_sequence, kinds, "sequences")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
