"""How close the published models come to the best that is possible, and how they do on real sets.

`python -m benchmarks.quality [--seeds N] [--skip-tree | --tree-seeds N] [--sequences N]
[--week-seeds N] [--splits N] [--cases FOLDER]`
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measuring.result_tables import write_results
from benchmarks.measuring.worker_processes import map_over_processes
from benchmarks.quality.real_sets import RealSplit, print_real_sets, real_cases, run_split
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
    """Measure everything, print the tables, write the JSON and return 0.

    What has no seeds or splits is left out.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="of each world")
    parser.add_argument("--tree-seeds", type=int, default=20, help="for the decision tree")
    parser.add_argument("--skip-tree", action="store_true", help="leave the decision tree out")
    parser.add_argument("--sequences", type=int, default=10, help="of weeks, of each kind")
    parser.add_argument("--week-seeds", type=int, default=4, help="for several weeks")
    parser.add_argument("--splits", type=int, default=10, help="of each real set")
    parser.add_argument("--cases", type=Path, help="folder of CSV files, each a real set")
    options = parser.parse_args(arguments)
    tree_seeds = 0 if options.skip_tree else min(options.tree_seeds, options.seeds)
    results = {
        "worlds": _measure_worlds(options.seeds, tree_seeds),
        "real sets": _measure_real_sets(options.cases, options.splits),
        "sequences": _measure_sequences(options.sequences),
        "several weeks": _measure_several_weeks(options.week_seeds),
    }
    write_results("quality", results)
    return 0


def _measure_worlds(seeds: int, tree_seeds: int) -> dict[str, object]:
    if not seeds:
        return {}
    summaries: list[Summary] = []
    details: dict[str, object] = {}
    for world in WORLDS:
        cases = [(world, seed) for seed in range(seeds)]
        results = map_over_processes(run_seed, cases, world)
        trees = map_over_processes(run_tree, cases[:tree_seeds], f"{world}, decision tree")
        summaries.append(summarise(world, results, trees))
        details[world] = _as_json(summaries[-1], results, trees)
    print_summaries(summaries)
    return details


def _measure_real_sets(folder: Path | None, splits: int) -> dict[str, object]:
    if not splits:
        return {}
    cases = real_cases(folder, splits)
    results: dict[str, list[RealSplit]] = {}
    for (name, _), split in zip(cases, map_over_processes(run_split, cases, "real sets")):
        results.setdefault(name, []).append(split)
    print_real_sets(results)
    return {name: [split._asdict() for split in of_set] for name, of_set in results.items()}


def _measure_sequences(seeds: int) -> dict[str, object]:
    if not seeds:
        return {}
    cases = [*((kind, seed) for kind in SIMULATED for seed in range(seeds)), (FLIGHTS, 0)]
    sequences: dict[str, list[list[NextWeek]]] = {}
    for (kind, _), weeks in zip(cases, map_over_processes(run_sequence, cases, "sequences")):
        sequences.setdefault(kind, []).append(weeks)
    print_sequences(sequences)
    return {
        kind: [[week._asdict() for week in weeks] for weeks in of_kind]
        for kind, of_kind in sequences.items()
    }


def _measure_several_weeks(seeds: int) -> dict[str, object]:
    if not seeds:
        return {}
    results = {
        world: map_over_processes(run_weeks, [(world, seed) for seed in range(seeds)], world)
        for world in WANDERING
    }
    print_several_weeks(results)
    return {world: [result._asdict() for result in of_world] for world, of_world in results.items()}


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
