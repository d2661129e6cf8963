"""Speed and size of the prediction service, beside the least and the usual that could answer.

`python -m benchmarks.serving [--seconds N] [--rounds N] [--starts N] [--soak] [--only PART …]`
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.measuring.result_tables import write_results
from benchmarks.measuring.server_processes import ServerFailure
from benchmarks.serving.batch_predictions import (
    BATCH_PRODUCTS,
    BESIDE_BATCHES,
    BESIDE_CONNECTIONS,
    measure_batches,
    measure_interference,
)
from benchmarks.serving.load import CONNECTIONS, HOW_TO_INSTALL, wrk_is_missing
from benchmarks.serving.million_products import measure_million, million_as_json, print_million
from benchmarks.serving.service_costs import measure_memory, measure_starts
from benchmarks.serving.service_tables import (
    batches_as_json,
    interference_as_json,
    memory_as_json,
    print_batches,
    print_interference,
    print_memory,
    print_starts,
    starts_as_json,
)
from benchmarks.serving.single_predictions import measure_targets
from benchmarks.serving.single_tables import print_single, single_as_json
from benchmarks.serving.starvation import measure_starvation, print_starvation
from benchmarks.serving.targets import MANY_PRODUCTS, answer_of_v1, servers, targets
from benchmarks.serving.worker_scaling import measure_workers, print_workers, workers_as_json
from benchmarks.serving.world import ServingWorld, serving_world


class Options(NamedTuple):
    """How long to measure.

    Attributes:
        seconds: of load on a server in a round.
        rounds: over all servers.
        starts: of the service from each kind of store.
        soak: whether to send another million requests.
    """

    seconds: int
    rounds: int
    starts: int
    soak: bool

    def conditions(self) -> str:
        """Return what the tables say about the load."""
        return f"medians of {self.rounds} rounds of {self.seconds} s"


def main(arguments: Sequence[str] = ()) -> int:
    """Measure, print the tables, write the JSON; return 0, or 1 if nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of load on a server in a round")
    parser.add_argument("--rounds", type=int, default=5, help="over all servers")
    parser.add_argument("--starts", type=int, default=11, help="from each kind of store")
    soak = "send another million requests in the part memory"
    parser.add_argument("--soak", action="store_true", help=soak)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts")
    given = parser.parse_args(arguments)
    if wrk_is_missing():
        print(HOW_TO_INSTALL, file=sys.stderr)
        return 1
    options = Options(given.seconds, given.rounds, given.starts, given.soak)
    results: dict[str, object] = {"options": options._asdict()}
    with serving_world() as world:
        for part in given.only:
            results[part] = _measure(part, world, options)
    write_results("serving", results)
    return 0


def measure_single(world: ServingWorld, options: Options) -> object:
    """Measure single predictions of our service and of the references in one run."""
    larger = {n_products: world.with_products(n_products) for n_products in MANY_PRODUCTS}
    started = servers(world, larger, answer_of_v1(world))
    asked = targets(world, larger)
    measured = measure_targets(started, asked, options.seconds, options.rounds)
    print_single(measured, f"{options.conditions()}, {CONNECTIONS} connections")
    return single_as_json(measured)


def measure_batch(world: ServingWorld, options: Options) -> object:
    """Measure batches, and single predictions beside them."""
    many = world.with_products(BATCH_PRODUCTS)
    costs = measure_batches(many, options.seconds, options.rounds)
    print_batches(costs, options.conditions())
    beside = [
        measure_interference(many, options.seconds, options.rounds, connections, batch)
        for batch in BESIDE_BATCHES
        for connections in BESIDE_CONNECTIONS
    ]
    print_interference(beside, options.conditions())
    return {"batches": batches_as_json(costs), "beside": interference_as_json(beside)}


def measure_start(world: ServingWorld, options: Options) -> object:
    """Measure how long the service takes to start."""
    costs = measure_starts(world, options.starts)
    print_starts(costs)
    return starts_as_json(costs)


def measure_resident(world: ServingWorld, options: Options) -> object:
    """Measure how much memory the service holds."""
    costs = measure_memory(world, options.soak)
    print_memory(costs)
    return memory_as_json(costs)


def measure_million_products(world: ServingWorld, _: Options) -> object:
    """Measure a model of a million products: its artifact, its service, and what is asked of it."""
    cost = measure_million(world)
    print_million(cost)
    return million_as_json(cost)


def measure_scaling(world: ServingWorld, options: Options) -> object:
    """Measure what a second worker adds."""
    measured = measure_workers(world, options.seconds, options.rounds)
    print_workers(measured, f"{options.conditions()}, {CONNECTIONS} connections")
    return workers_as_json(measured)


def measure_attacks(world: ServingWorld, options: Options) -> object:
    """Measure single predictions while other clients do their worst."""
    found = measure_starvation(world, options.seconds)
    print_starvation(found, options.seconds)
    return [one._asdict() for one in found]


PARTS: Mapping[str, Callable[[ServingWorld, Options], object]] = {
    "single": measure_single,
    "batch": measure_batch,
    "start": measure_start,
    "memory": measure_resident,
    "million": measure_million_products,
    "workers": measure_scaling,
    "starvation": measure_attacks,
}
"""What can be measured: each prints its tables and returns its JSON."""


def _measure(part: str, world: ServingWorld, options: Options) -> object:
    """Measure one part; if a server fails, say so and return the reason."""
    try:
        return PARTS[part](world, options)
    except ServerFailure as error:
        print(f"\nMISSED: the part {part} was not measured. {error}")
        return {"failure": str(error)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
