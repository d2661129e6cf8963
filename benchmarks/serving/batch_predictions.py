"""Batches of predictions: how many predictions each second, and what they do to single ones."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import NamedTuple

from benchmarks.measuring.server_processes import Question, RunningServer, ServerFailure, running
from benchmarks.serving.load import (
    CONNECTIONS,
    Load,
    Requests,
    bodies_file,
    read_load,
    send,
    wrk_command,
)
from benchmarks.serving.single_predictions import BODIES, MAX_DIFFERENCE_HOURS, WARM_UP_SECONDS
from benchmarks.serving.targets import OUR_HEADERS, V1_PATH, hours_of, our_server, request_body
from benchmarks.serving.world import Order, ServingWorld, batch_body

BATCH_PATH = "/api/v0.2/time_to_dispatch/batch"
BATCH_SIZES = (1_000, 10_000)
ORDERS_PREPARED = 100_000
MAX_BATCH_ORDERS = max(BATCH_SIZES)
BESIDE_CONNECTIONS = (1, CONNECTIONS)
"""On how many connections single predictions are sent beside batches."""
HEAD_START_SECONDS = 1
"""Batches begin so much before the single predictions beside them, and end so much after."""


class BatchCost(NamedTuple):
    """Batches of one size to a service that has one processor.

    Attributes:
        orders: in each batch.
        remembers: whether the service may remember estimates, or must ask the model every time.
        loads: one for each round.
        processor_seconds: that the service took, one for each round.
    """

    orders: int
    remembers: bool
    loads: tuple[Load, ...]
    processor_seconds: tuple[float, ...]

    def faults(self) -> int:
        """Return how many things went wrong; any makes the figures invalid."""
        return sum(sum(load.faults().values()) for load in self.loads)

    def rate(self) -> float:
        """Return the predictions each second."""
        return median(self.orders * load.rate for load in self.loads)

    def processor_rate(self) -> float:
        """Return the predictions for each second of processor time."""
        pairs = zip(self.loads, self.processor_seconds)
        return median(self.orders * load.requests / seconds for load, seconds in pairs)


class Interference(NamedTuple):
    """Single predictions alone, and while a client sends the largest batches without pause.

    Attributes:
        connections: that send single predictions.
        alone: one load for each round.
        beside: the same beside batches.
        batches: the loads of batches meanwhile.
    """

    connections: int
    alone: tuple[Load, ...]
    beside: tuple[Load, ...]
    batches: tuple[Load, ...]


def measure_batches(
    world: ServingWorld, seconds: int, rounds: int, remembers: bool
) -> list[BatchCost]:
    """Send batches of each size to a service that is kept on one core.

    Raises:
        ServerFailure: the service does not start, or answers something wrong.
    """
    loads: dict[int, list[Load]] = {size: [] for size in BATCH_SIZES}
    used: dict[int, list[float]] = {size: [] for size in BATCH_SIZES}
    options = () if remembers else ("--answer-cache", "0")
    pinned = our_server(str(world.store), *options)._replace(on_one_core=True)
    with ExitStack() as stack:
        server = stack.enter_context(running(pinned))
        prepared = {
            size: stack.enter_context(batch_requests(world, server, size)) for size in BATCH_SIZES
        }
        for number in range(rounds):
            for size, requests in prepared.items():
                before = server.processor_seconds()
                loads[size].append(send(requests, seconds, CONNECTIONS, seed=number))
                used[size].append(server.processor_seconds() - before)
    return [
        BatchCost(size, remembers, tuple(loads[size]), tuple(used[size])) for size in BATCH_SIZES
    ]


def measure_interference(
    world: ServingWorld, seconds: int, rounds: int, connections: int
) -> Interference:
    """Send single predictions to v0.1 alone and beside batches, in turn.

    Raises:
        ServerFailure: the service does not start, or answers something wrong.
    """
    alone, beside, batches = [], [], []
    with ExitStack() as stack:
        server = stack.enter_context(running(our_server(str(world.store))))
        large = stack.enter_context(batch_requests(world, server, MAX_BATCH_ORDERS))
        bodies = [request_body(order) for order in world.draw_orders(BODIES, seed=1)]
        path = stack.enter_context(bodies_file(bodies))
        single = Requests(server.url(V1_PATH), OUR_HEADERS, path)
        send(single, WARM_UP_SECONDS, connections)
        for number in range(rounds):
            alone.append(send(single, seconds, connections, seed=number))
            whole = seconds + 2 * HEAD_START_SECONDS
            command = wrk_command(large, whole, connections=1, seed=number)
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sender:
                time.sleep(HEAD_START_SECONDS)
                beside.append(send(single, seconds, connections, seed=number))
                output, _ = sender.communicate()
            batches.append(read_load(output))
    return Interference(connections, tuple(alone), tuple(beside), tuple(batches))


@contextmanager
def batch_requests(world: ServingWorld, server: RunningServer, size: int) -> Iterator[Requests]:
    """Prepare batches of one size, and see that one is answered rightly.

    Raises:
        ServerFailure: the service does not start, or answers something wrong.
    """
    orders = world.draw_orders(ORDERS_PREPARED, seed=2)
    batches = [orders[start : start + size] for start in range(0, ORDERS_PREPARED, size)]
    bodies = [batch_body(batch) for batch in batches]
    answer = server.first_answer(Question(BATCH_PATH, OUR_HEADERS, bodies[0]))
    _check_batch(world, batches[0], answer["predictions"])
    with bodies_file(bodies) as path:
        requests = Requests(server.url(BATCH_PATH), OUR_HEADERS, path)
        send(requests, WARM_UP_SECONDS, CONNECTIONS)
        yield requests


def _check_batch(
    world: ServingWorld, batch: Sequence[Order], predictions: Sequence[dict[str, object]]
) -> None:
    """See that every order has its hours.

    Raises:
        ServerFailure: one has not.
    """
    codes = [order.product_code for order in batch]
    expected = world.model.estimate(
        {"product_code": codes, "orders_placed": [float(order.orders_placed) for order in batch]}
    )
    if len(predictions) != len(batch):
        raise ServerFailure(f"{len(predictions):,} predictions for {len(batch):,} orders.")
    for order, hours, prediction in zip(batch, expected, predictions):
        wrong = "errors" in prediction
        if wrong or abs(hours_of(prediction) - hours) > MAX_DIFFERENCE_HOURS:
            raise ServerFailure(f"It answers {prediction} to {order} instead of {hours} h.")
