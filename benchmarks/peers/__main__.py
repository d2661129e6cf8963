"""Our service beside other model servers, each in an environment of its own.

`python -m benchmarks.peers ENVIRONMENTS [--seconds N] [--rounds N]`
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from benchmarks.measuring.result_tables import write_results
from benchmarks.measuring.server_processes import ServerFailure
from benchmarks.peers.peer_targets import PEER_SERVERS
from benchmarks.serving.load import CONNECTIONS, HOW_TO_INSTALL, wrk_is_missing
from benchmarks.serving.single_predictions import Measurement, measure_targets
from benchmarks.serving.single_tables import print_single, single_as_json
from benchmarks.serving.targets import CEILING, PLAIN, V1, V2, answer_of_v1, servers, targets
from benchmarks.serving.world import ServingWorld, serving_world

BESIDE = (CEILING, PLAIN, V1, V2)


def main(arguments: Sequence[str] = ()) -> int:
    """Measure, print the tables, write the JSON; return 0, or 1 if nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    folder = "folder with the environments mlserver, bentoml, litserve and mlflow"
    parser.add_argument("environments", type=Path, help=folder)
    parser.add_argument("--seconds", type=int, default=5, help="of load on a server in a round")
    parser.add_argument("--rounds", type=int, default=5, help="over all servers")
    options = parser.parse_args(arguments)
    if wrk_is_missing():
        print(HOW_TO_INSTALL, file=sys.stderr)
        return 1
    environments = options.environments.resolve()
    with serving_world() as world:
        measured = measure_peers(world, environments, options.seconds, options.rounds)
    medians = f"medians of {options.rounds} rounds of {options.seconds} s"
    conditions = f"{medians}, {CONNECTIONS} connections"
    print_single(measured, conditions)
    results = {
        "conditions": conditions,
        "versions": {peer.name: versions_in(environments / peer.folder) for peer in PEER_SERVERS},
        "single": single_as_json(measured),
    }
    write_results("peers", results)
    return 0


def measure_peers(
    world: ServingWorld, environments: Path, seconds: int, rounds: int
) -> list[Measurement]:
    """Measure all peers that can be started beside the references and our service.

    A peer that cannot be started is among the measurements all the same, with the reason.
    """
    started = servers(world, answer_of_v1(world))
    asked = [target for target in targets(world) if target.name in BESIDE]
    failures = []
    for peer in PEER_SERVERS:
        try:
            started[peer.name] = peer.start(environments, world)
            asked.append(peer.target(world))
        except ServerFailure as error:
            failures.append(Measurement(peer.name, str(error)))
    used = {name: started[name] for name in {target.server for target in asked}}
    return measure_targets(world, used, asked, seconds, rounds) + failures


def versions_in(environment: Path) -> dict[str, str]:
    """Return the versions of all packages in an environment."""
    folders = [str(folder) for folder in environment.glob("lib/python*/site-packages")]
    found = distributions(path=folders)
    return {one.name: one.version for one in sorted(found, key=lambda one: one.name.lower())}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
