"""Batches of predictions: how many predictions each second, and what they do to single ones."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any, NamedTuple

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
from benchmarks.serving.targets import OUR_HEADERS, V1_PATH, our_server, request_body
from benchmarks.serving.world import COLUMNS, ROWS, Order, ServingWorld, batch_body

BATCH_PATH = "/api/v0.2/time_to_dispatch/batch"
HOURS_FIELD = "est_hours_to_dispatch"
BATCH_PRODUCTS = 10_000
"""That the model knows."""


class Batch(NamedTuple):
    """A kind of batch.

    Attributes:
        form: rows or columns.
        orders: in each.
    """

    form: str
    orders: int

    def __str__(self) -> str:
        """Return the name that it has in the tables."""
        return f"{self.orders:,} as {self.form}"


BATCHES = (
    *(Batch(ROWS, orders) for orders in (1_000, 10_000)),
    *(Batch(COLUMNS, orders) for orders in (1_000, 10_000, 100_000)),
)
BESIDE_BATCHES = (Batch(ROWS, 10_000), Batch(COLUMNS, 10_000), Batch(COLUMNS, 100_000))
"""That are sent without pause beside single predictions."""
ORDERS_PREPARED = 200_000
BESIDE_CONNECTIONS = (1, CONNECTIONS)
"""On how many connections single predictions are sent beside batches."""
HEAD_START_SECONDS = 1
"""Batches begin so much before the single predictions beside them, and end so much after."""


class BatchCost(NamedTuple):
    """Batches of one kind to a service that has one processor.

    Attributes:
        batch: their kind.
        loads: one for each round.
        processor_seconds: that the service took, one for each round.
    """

    batch: Batch
    loads: tuple[Load, ...]
    processor_seconds: tuple[float, ...]

    def faults(self) -> int:
        """Return how many things went wrong; any makes the figures invalid."""
        return sum(sum(load.faults().values()) for load in self.loads)

    def rate(self) -> float:
        """Return the predictions each second."""
        return median(self.batch.orders * load.rate for load in self.loads)

    def processor_rate(self) -> float:
        """Return the predictions for each second of processor time."""
        pairs = zip(self.loads, self.processor_seconds)
        return median(self.batch.orders * load.requests / seconds for load, seconds in pairs)


class Interference(NamedTuple):
    """Single predictions alone, and while a client sends batches without pause.

    Attributes:
        batch: kind of the batches.
        connections: that send single predictions.
        alone: one load for each round.
        beside: the same beside batches.
        batches: the loads of batches meanwhile.
    """

    batch: Batch
    connections: int
    alone: tuple[Load, ...]
    beside: tuple[Load, ...]
    batches: tuple[Load, ...]


def measure_batches(world: ServingWorld, seconds: int, rounds: int) -> list[BatchCost]:
    """Send batches of each kind to a service that is kept on one core.

    Raises:
        ServerFailure: the service does not start, or answers something wrong.
    """
    loads: dict[Batch, list[Load]] = {batch: [] for batch in BATCHES}
    used: dict[Batch, list[float]] = {batch: [] for batch in BATCHES}
    pinned = our_server(str(world.store))._replace(on_one_core=True)
    with ExitStack() as stack:
        server = stack.enter_context(running(pinned))
        prepared = {
            batch: stack.enter_context(batch_requests(world, server, batch)) for batch in BATCHES
        }
        for number in range(rounds):
            for batch, requests in prepared.items():
                before = server.processor_seconds()
                loads[batch].append(send(requests, seconds, CONNECTIONS, seed=number))
                used[batch].append(server.processor_seconds() - before)
    return [BatchCost(batch, tuple(loads[batch]), tuple(used[batch])) for batch in BATCHES]


def measure_interference(
    world: ServingWorld, seconds: int, rounds: int, connections: int, batch: Batch
) -> Interference:
    """Send single predictions to v0.1 alone and beside batches, in turn.

    Raises:
        ServerFailure: the service does not start, or answers something wrong.
    """
    alone, beside, batches = [], [], []
    with ExitStack() as stack:
        server = stack.enter_context(running(our_server(str(world.store))))
        large = stack.enter_context(batch_requests(world, server, batch))
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
    return Interference(batch, connections, tuple(alone), tuple(beside), tuple(batches))


@contextmanager
def batch_requests(world: ServingWorld, server: RunningServer, kind: Batch) -> Iterator[Requests]:
    """Prepare batches of one kind, and see that one is answered rightly.

    Raises:
        ServerFailure: the service does not start, or answers something wrong.
    """
    orders = world.draw_orders(ORDERS_PREPARED, seed=2)
    starts = range(0, ORDERS_PREPARED, kind.orders)
    batches = [orders[start : start + kind.orders] for start in starts]
    bodies = [batch_body(batch, kind.form) for batch in batches]
    answer = server.first_answer(Question(BATCH_PATH, OUR_HEADERS, bodies[0]))
    _check_batch(world, batches[0], _hours_in(answer["predictions"], kind.form))
    with bodies_file(bodies) as path:
        requests = Requests(server.url(BATCH_PATH), OUR_HEADERS, path)
        send(requests, WARM_UP_SECONDS, CONNECTIONS)
        yield requests


def _hours_in(predictions: Any, form: str) -> list[Any]:
    """Return the hours in the predictions of an answer; None where an order was refused."""
    if form == COLUMNS:
        return list(predictions[HOURS_FIELD])
    return [row.get(HOURS_FIELD) for row in predictions]


def _check_batch(world: ServingWorld, batch: Sequence[Order], answered: Sequence[Any]) -> None:
    """See that every order has its hours.

    Raises:
        ServerFailure: one has not.
    """
    codes = [order.product_code for order in batch]
    expected = world.model.estimate(
        {"product_code": codes, "orders_placed": [float(order.orders_placed) for order in batch]}
    )
    if len(answered) != len(batch):
        raise ServerFailure(f"{len(answered):,} predictions for {len(batch):,} orders.")
    for order, hours, found in zip(batch, expected, answered):
        if found is None or abs(found - hours) > MAX_DIFFERENCE_HOURS:
            raise ServerFailure(f"It answers {found} h to {order} instead of {hours} h.")
