"""Our service beside other model servers, each in an environment of its own.

`python -m benchmarks.peers [--seconds N] [--rounds N]`
"""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.measuring.result_tables import write_results
from benchmarks.measuring.server_processes import ServerFailure
from benchmarks.peers.targets import PEERS, Peer
from benchmarks.serving.load import CONNECTIONS, HOW_TO_INSTALL, wrk_is_missing
from benchmarks.serving.single_predictions import Measurement, measure_targets
from benchmarks.serving.single_tables import print_single, single_as_json
from benchmarks.serving.targets import CEILING, PLAIN, V1, V2, answer_of_v1, servers, targets
from benchmarks.serving.world import ServingWorld, serving_world

BESIDE = (CEILING, PLAIN, V1, V2)


def main(arguments: Sequence[str] = ()) -> int:
    """Measure, print the tables, write the JSON; return 0, or 1 if nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of load on a server in a round")
    parser.add_argument("--rounds", type=int, default=5, help="over all servers")
    options = parser.parse_args(arguments)
    if wrk_is_missing():
        print(HOW_TO_INSTALL, file=sys.stderr)
        return 1
    installed, failures = install_peers()
    with serving_world() as world:
        measured = measure_peers(world, installed, options.seconds, options.rounds) + failures
    medians = f"medians of {options.rounds} rounds of {options.seconds} s"
    conditions = f"{medians}, {CONNECTIONS} connections"
    print_single(measured, conditions)
    results = {
        "conditions": conditions,
        "versions": {peer.name: peer.versions() for peer in installed},
        "single": single_as_json(measured),
    }
    write_results("peers", results)
    return 0


def install_peers() -> tuple[list[Peer], list[Measurement]]:
    """Return the peers that could be installed, and for each of the others why it could not."""
    installed, failures = [], []
    for peer in PEERS:
        print(f"Installing {peer.name}.", file=sys.stderr, flush=True)
        try:
            peer.install()
            installed.append(peer)
        except ServerFailure as error:
            failures.append(Measurement(peer.name, str(error)))
    return installed, failures


def measure_peers(
    world: ServingWorld, peers: Sequence[Peer], seconds: int, rounds: int
) -> list[Measurement]:
    """Measure peers beside the references and our service.

    One that does not start is among the measurements all the same, with the reason.
    """
    started = servers(world, {}, answer_of_v1(world)) | {
        peer.name: peer.server(world) for peer in peers
    }
    asked = [target for target in targets(world, {}) if target.name in BESIDE]
    asked += [peer.target(world) for peer in peers]
    used = {name: started[name] for name in {target.server for target in asked}}
    return measure_targets(used, asked, seconds, rounds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
