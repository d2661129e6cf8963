"""What the service takes to start, and how much memory it holds."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import NamedTuple

from benchmarks.measuring.server_processes import Server, running
from benchmarks.serving.load import Requests, bodies_file, send
from benchmarks.serving.s3_store import bucket_store
from benchmarks.serving.single_predictions import BODIES, question
from benchmarks.serving.targets import (
    MANY_PRODUCTS,
    OUR_HEADERS,
    V1,
    V1_PATH,
    our_server,
    our_target,
    request_body,
)
from benchmarks.serving.world import ServingWorld

FOLDER, S3 = "folder", "S3"
MANY = f"folder, {max(MANY_PRODUCTS):,} products"
MEMORY_REQUESTS = 100_000
SOAK_REQUESTS = 1_000_000
SLICE_SECONDS = 5
"""Requests are sent in slices of so many seconds, until there have been enough."""


class StartCost(NamedTuple):
    """How long the service takes from the start of its process to its first prediction.

    Attributes:
        store: kind of the store.
        seconds: of each start.
    """

    store: str
    seconds: tuple[float, ...]

    def median(self) -> float:
        """Return the median of the starts in seconds."""
        return median(self.seconds)


class MemoryCost(NamedTuple):
    """Resident memory of the service.

    Attributes:
        store: kind of the store.
        first_mib: after its first prediction.
        requests: that were answered after that.
        mib: after these.
        soak_requests: that were answered after these; 0 if there was no soak.
        soak_mib: after these as well.
        faults: how many things went wrong; any makes the figures invalid.
    """

    store: str
    first_mib: float
    requests: int
    mib: float
    soak_requests: int
    soak_mib: float
    faults: int

    def growth_mib(self) -> float | None:
        """Return by how much the memory grew in the soak."""
        return self.soak_mib - self.mib if self.soak_requests else None


@contextmanager
def service_of_each_store(
    world: ServingWorld,
) -> Iterator[Mapping[str, tuple[ServingWorld, Server]]]:
    """Return what our service serves and how it is started, by kind of store."""
    many = world.with_products(max(MANY_PRODUCTS))
    with bucket_store(world.store) as bucket:
        yield {
            FOLDER: (world, our_server(str(world.store))),
            S3: (world, our_server(bucket.url, environment=bucket.environment)),
            MANY: (many, our_server(str(many.store))),
        }


def measure_starts(world: ServingWorld, repeats: int) -> list[StartCost]:
    """Start the service several times from each kind of store, in turn.

    Each is started once before that, so that the disk is warm and the bytecode of everything that
    it imports is compiled.

    Raises:
        ServerFailure: the service does not start.
    """
    seconds: dict[str, list[float]] = {FOLDER: [], S3: [], MANY: []}
    with service_of_each_store(world) as services, tempfile.TemporaryDirectory() as bytecode:
        variables = {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
        for number in range(repeats + 1):
            for store, (served, service) in services.items():
                compiled = service._replace(environment={**service.environment, **variables})
                took = _seconds_to_first_answer(served, compiled)
                if number > 0:
                    seconds[store].append(took)
    return [StartCost(store, tuple(found)) for store, found in seconds.items()]


def measure_memory(world: ServingWorld, with_soak: bool) -> list[MemoryCost]:
    """Measure the memory of the service on each kind of store after many requests to v0.1.

    Raises:
        ServerFailure: the service does not start.
    """
    with service_of_each_store(world) as services:
        return [_memory(served, store, one, with_soak) for store, (served, one) in services.items()]


def _seconds_to_first_answer(world: ServingWorld, service: Server) -> float:
    target = our_target(world, V1, V1, V1_PATH)
    (order,) = world.draw_orders(1, seed=0)
    with running(service) as server:
        server.first_answer(question(target, order))
        return time.perf_counter() - server.started_at


def _memory(world: ServingWorld, store: str, service: Server, with_soak: bool) -> MemoryCost:
    target = our_target(world, V1, V1, V1_PATH)
    orders = world.draw_orders(BODIES, seed=1)
    with running(service) as server, bodies_file(list(map(request_body, orders))) as path:
        server.first_answer(question(target, orders[0]))
        first = server.resident_mib()
        requests = Requests(server.url(V1_PATH), OUR_HEADERS, path)
        sent, faults = _send_many(requests, MEMORY_REQUESTS)
        mib = server.resident_mib()
        soaked, more = _send_many(requests, SOAK_REQUESTS) if with_soak else (0, 0)
        soak_mib = server.resident_mib()
    return MemoryCost(store, first, sent, mib, soaked, soak_mib, faults + more)


def _send_many(requests: Requests, min_requests: int) -> tuple[int, int]:
    """Send requests until so many have been answered; return how many, and how many faults."""
    answered, faults = 0, 0
    while answered < min_requests:
        load = send(requests, SLICE_SECONDS, seed=answered)
        answered += load.requests
        faults += sum(load.faults().values())
        if not load.requests:
            break
    return answered, faults
