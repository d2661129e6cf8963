"""Speed of the prediction service, beside the least and the usual that could answer instead.

`python -m benchmarks.serving [--seconds N] [--rounds N]`
"""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.result_tables import write_results
from benchmarks.server_processes import running
from benchmarks.serving_load import CONNECTIONS, HOW_TO_INSTALL, wrk_is_missing
from benchmarks.serving_targets import V1, V1_PATH, our_server, our_target, servers, targets
from benchmarks.serving_world import ServingWorld, compact_json, serving_world
from benchmarks.single_predictions import Measurement, measure_targets, question
from benchmarks.single_tables import print_single, single_as_json


def main(arguments: Sequence[str] = ()) -> int:
    """Measure, print the tables, write the JSON; return 0, or 1 if nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of load on a server in a round")
    parser.add_argument("--rounds", type=int, default=5, help="over all servers")
    options = parser.parse_args(arguments)
    if wrk_is_missing():
        print(HOW_TO_INSTALL, file=sys.stderr)
        return 1
    with serving_world() as world:
        single = measure_single(world, options.seconds, options.rounds)
        conditions = f"{options.rounds} rounds of {options.seconds} s, {CONNECTIONS} connections"
        print_single(single, conditions)
    write_results("serving", {"conditions": conditions, "single": single_as_json(single)})
    return 0


def measure_single(world: ServingWorld, seconds: int, rounds: int) -> list[Measurement]:
    """Measure single predictions of our service and of the references in one run."""
    answer = answer_of_v1(world)
    return measure_targets(world, servers(world, answer), targets(world), seconds, rounds)


def answer_of_v1(world: ServingWorld) -> str:
    """Return the body of an answer of our v0.1.

    Raises:
        ServerFailure: our service does not answer.
    """
    target = our_target(world, V1, V1, V1_PATH)
    (order,) = world.draw_orders(1, seed=0)
    with running(our_server(str(world.store))) as server:
        return compact_json(server.first_answer(question(target, order)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
