"""What a model of a million products costs: to write, to start with, to hold, and to ask about."""

import http.client
import time
from collections.abc import Mapping
from statistics import median
from typing import NamedTuple
from urllib.parse import urlencode

from benchmarks.measuring.result_tables import print_table
from benchmarks.measuring.server_processes import (
    HOST,
    Question,
    RunningServer,
    ServerFailure,
    running,
)
from benchmarks.serving.goals import Goal, goal_cells, goal_met
from benchmarks.serving.many_products import product_codes, publish_curves
from benchmarks.serving.targets import OUR_HEADERS, V1_PATH, our_server
from benchmarks.serving.world import ServingWorld, compact_json
from benchmarks.worlds.weekly_stores import temporary_store
from pipeline.model.artifact import MODELS

PRODUCTS = 1_000_000
ASKED = 20
"""How many times each route is asked."""
INDEX_SECONDS = 120.0
"""Until the closest products to an unknown code are named."""
MIB = 2**20
LIST = "/api/v0.2/products"
ROUTES: Mapping[str, str] = {
    "the model": "/api/v0.1/model",
    "the API's description": "/openapi.json",
    "a page of 100 products": f"{LIST}?limit=100&after=SKU0500000",
    "the same without curves": f"{LIST}?limit=100&after=SKU0500000&curves=false",
    "a search with 20 hits": f"{LIST}?search=999&limit=20&curves=false",
    "a search in vain": f"{LIST}?search=x&limit=20&curves=false",
    "one product": f"{LIST}?{urlencode({'product_code': 'SKU0999999'})}",
    "an unknown product": f"{LIST}?{urlencode({'product_code': 'SKU9999999'})}",
    "metrics": "/metrics",
    "the web page": "/",
}
MAX_BYTES = Goal(1e6, False)
"""Of any of these answers."""
MAX_SECONDS = Goal(5.0, False, ".1f")
"""From the start of the process to the first answer."""
MAX_MEMORY_MIB = Goal(250, False)
"""Resident after the first answer."""


class RouteCost(NamedTuple):
    """What one route costs.

    Attributes:
        bytes: of the answer.
        first_ms: until the first answer.
        ms: until an answer, the median of the others.
        processor_ms: of the service for each answer.
    """

    bytes: int
    first_ms: float
    ms: float
    processor_ms: float


class MillionCost(NamedTuple):
    """What a million products cost.

    Attributes:
        artifact_bytes: size of the artifact.
        write_seconds: processor time to convert the curves and to store the artifact.
        start_seconds: from the start of the process to the first answer.
        start_processor_seconds: processor time for that.
        first_mib: resident after the first answer.
        mib: resident after all routes were asked, with the index of similar codes.
        routes: by what is asked for.
    """

    artifact_bytes: int
    write_seconds: float
    start_seconds: float
    start_processor_seconds: float
    first_mib: float
    mib: float
    routes: Mapping[str, RouteCost]


def measure_million(world: ServingWorld) -> MillionCost:
    """Publish a million made-up curves, serve them, and ask for all that there is to ask.

    Args:
        world: its model lends what a model says of itself beside its products.

    Raises:
        ServerFailure: the service does not start or answer.
    """
    with temporary_store() as store:
        start = time.process_time()
        publish_curves(store, world.model.metadata, product_codes(PRODUCTS))
        write_seconds = time.process_time() - start
        (artifact,) = (store / MODELS).iterdir()
        size = artifact.stat().st_size
        body = compact_json({"product_code": "SKU0123456", "orders_placed": 100})
        with running(our_server(str(store))) as server:
            server.first_answer(Question(V1_PATH, OUR_HEADERS, body))
            seconds, taken = time.perf_counter() - server.started_at, server.processor_seconds()
            first_mib = server.resident_mib()
            _wait_for_index(server)
            routes = {name: _cost_of(server, path) for name, path in ROUTES.items()}
            mib = server.resident_mib()
    return MillionCost(size, write_seconds, seconds, taken, first_mib, mib, routes)


def print_million(cost: MillionCost) -> None:
    """Print what a million products cost, with the goals."""
    rows = [
        ["artifact (MiB)", f"{cost.artifact_bytes / MIB:,.1f}", "", ""],
        ["writing it (s of processor time)", f"{cost.write_seconds:,.1f}", "", ""],
        ["start to first answer (s)", f"{cost.start_seconds:,.2f}"]
        + goal_cells(MAX_SECONDS, cost.start_seconds),
        ["the same (s of processor time)", f"{cost.start_processor_seconds:,.2f}", "", ""],
        ["resident then (MiB)", f"{cost.first_mib:,.0f}"]
        + goal_cells(MAX_MEMORY_MIB, cost.first_mib),
        ["resident after all below (MiB)", f"{cost.mib:,.0f}", "", ""],
    ]
    print_table(f"A model of {PRODUCTS:,} products", ["what", "found", "goal", ""], rows)
    header = ["asked for", "bytes", "goal", "", "first (ms)", "median (ms)", "processor (ms)"]
    routes = [
        [name, f"{route.bytes:,}", *goal_cells(MAX_BYTES, route.bytes)]
        + [f"{value:,.1f}" for value in route[1:]]
        for name, route in cost.routes.items()
    ]
    print_table(f"What may be asked of it, {ASKED} times each", header, routes)


def million_as_json(cost: MillionCost) -> dict[str, object]:
    """Return the costs for the JSON of the results, with whether goals are met."""
    largest = max(route.bytes for route in cost.routes.values())
    return {
        **cost._asdict(),
        "routes": {name: route._asdict() for name, route in cost.routes.items()},
        "goals_met": {
            "start": goal_met(MAX_SECONDS, cost.start_seconds),
            "memory": goal_met(MAX_MEMORY_MIB, cost.first_mib),
            "bytes": goal_met(MAX_BYTES, largest),
        },
    }


def _cost_of(server: RunningServer, path: str) -> RouteCost:
    """Ask one route again and again."""
    first_ms, _ = _ask(server, path)
    before = server.processor_seconds()
    answers = [_ask(server, path) for _ in range(ASKED)]
    processor_ms = (server.processor_seconds() - before) * 1e3 / ASKED
    size = max(len(content) for _, content in answers)
    return RouteCost(size, first_ms, median(ms for ms, _ in answers), processor_ms)


def _wait_for_index(server: RunningServer) -> None:
    """Ask for an unknown product until similar ones are named."""
    deadline = time.monotonic() + INDEX_SECONDS
    while b"closest" not in _ask(server, ROUTES["an unknown product"])[1]:
        if time.monotonic() > deadline:
            raise ServerFailure(f"No similar product was named within {INDEX_SECONDS:.0f} s.")
        time.sleep(0.1)


def _ask(server: RunningServer, path: str) -> tuple[float, bytes]:
    """Return the milliseconds until the answer to a GET, and its body."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=60)
    try:
        start = time.perf_counter()
        connection.request("GET", path, headers=OUR_HEADERS)
        content = connection.getresponse().read()
        return (time.perf_counter() - start) * 1e3, content
    finally:
        connection.close()
