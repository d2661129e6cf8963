"""How close the published models come to the best that is possible, in worlds with a known truth.

`python -m benchmarks.quality [--seeds N] [--skip-tree | --tree-seeds N] [--sequences N]
[--week-seeds N]`
"""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.measuring.result_tables import write_results
from benchmarks.measuring.worker_processes import map_over_processes
from benchmarks.quality.seeds import run_seed, run_tree
from benchmarks.quality.sequences import (
    FLIGHTS,
    SIMULATED,
    NextWeek,
    print_sequences,
    run_sequence,
)
from benchmarks.quality.several_weeks import (
    WANDERING,
    SeveralWeeksResult,
    print_several_weeks,
    run_weeks,
)
from benchmarks.quality.summary import (
    SeedResult,
    Summary,
    TreeResult,
    print_summaries,
    summarise,
)
from benchmarks.worlds.order_worlds import WORLDS


def main(arguments: Sequence[str] = ()) -> int:
    """Measure all worlds, print the table, write the JSON and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="of each world")
    parser.add_argument("--tree-seeds", type=int, default=20, help="for the decision tree")
    parser.add_argument("--skip-tree", action="store_true", help="leave the decision tree out")
    parser.add_argument("--sequences", type=int, default=10, help="of weeks, of each kind")
    parser.add_argument("--week-seeds", type=int, default=4, help="for several weeks")
    options = parser.parse_args(arguments)
    tree_seeds = 0 if options.skip_tree else min(options.tree_seeds, options.seeds)
    summaries, details = [], {}
    for world in WORLDS:
        cases = [(world, seed) for seed in range(options.seeds)]
        results = map_over_processes(run_seed, cases, world)
        trees = map_over_processes(run_tree, cases[:tree_seeds], f"{world}, decision tree")
        summaries.append(summarise(world, results, trees))
        details[world] = _as_json(summaries[-1], results, trees)
    print_summaries(summaries)
    sequences = _run_sequences(options.sequences)
    print_sequences(sequences)
    as_json = {
        kind: [[week._asdict() for week in weeks] for weeks in of_kind]
        for kind, of_kind in sequences.items()
    }
    several_weeks = _run_several_weeks(options.week_seeds)
    print_several_weeks(several_weeks)
    of_weeks = {
        world: [result._asdict() for result in results] for world, results in several_weeks.items()
    }
    all_details = {"worlds": details, "sequences": as_json, "several weeks": of_weeks}
    write_results("quality", all_details)
    return 0


def _run_several_weeks(seeds: int) -> dict[str, list[SeveralWeeksResult]]:
    return {
        world: map_over_processes(run_weeks, [(world, seed) for seed in range(seeds)], world)
        for world in WANDERING
        if seeds
    }


def _run_sequences(seeds: int) -> dict[str, list[list[NextWeek]]]:
    cases = [(kind, seed) for kind in SIMULATED for seed in range(seeds)]
    cases.append((FLIGHTS, 0))
    sequences: dict[str, list[list[NextWeek]]] = {}
    for (kind, _), weeks in zip(cases, map_over_processes(run_sequence, cases, "sequences")):
        sequences.setdefault(kind, []).append(weeks)
    return sequences


def _as_json(
    summary: Summary, results: Sequence[SeedResult], trees: Sequence[TreeResult]
) -> dict[str, object]:
    seeds = [
        {**result._asdict(), "evaluation": result.evaluation and result.evaluation._asdict()}
        for result in results
    ]
    return {
        "summary": summary._asdict(),
        "goals": summary.goals(),
        "seeds": seeds,
        "trees": [tree._asdict() for tree in trees],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
