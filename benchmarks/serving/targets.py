"""What answers single predictions in the benchmark: the references, and our service."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from benchmarks.measuring.server_processes import (
    PORT,
    Question,
    Server,
    ServerFailure,
    ask,
    running,
)
from benchmarks.serving.world import Order, ServingWorld, compact_json

CEILING, PLAIN = "bare ASGI function", "plain FastAPI handler"
V1, V2 = "v0.1", "v0.2"
MANY_PRODUCTS = (10_000, 1_000_000)
"""Of the models that are served beside that of five products."""
V1_PATH, V2_PATH = "/api/v0.1/time_to_dispatch", "/api/v0.2/time_to_dispatch"
KEY = "a-key-of-the-benchmark"
JSON_HEADERS = {"Content-Type": "application/json"}
OUR_HEADERS = {**JSON_HEADERS, "X-API-Key": KEY}

UVICORN_OPTIONS = ["--workers", "1", "--loop", "uvloop", "--http", "httptools"]
UVICORN_OPTIONS += ["--no-access-log", "--log-level", "error"]
UVICORN_OPTIONS += ["--no-server-header", "--no-proxy-headers"]
"""Those of our service; with fewer, the ceiling would be lower."""


class Target(NamedTuple):
    """A route of a server that is asked for single predictions.

    Attributes:
        name: for the table.
        server: key of its server; targets may share one.
        path: of the URL.
        headers: of each request.
        body: makes the body of a request.
        hours_in: finds the hours in an answer, or None where the answer is constant.
        expected_hours: what it should answer.
        draw_orders: draws so many orders to ask for, by a seed.
    """

    name: str
    server: str
    path: str
    headers: Mapping[str, str]
    body: Callable[[Order], str]
    hours_in: Callable[[Any], float] | None
    expected_hours: Callable[[Order], float]
    draw_orders: Callable[[int, int], list[Order]]


def our_server(store: str, *options: str, environment: Mapping[str, str] = {}) -> Server:
    """Return our service on a store, as one starts it by hand, with an API key.

    It logs no more than the references do, and stops at once.
    """
    stage = [sys.executable, "-m", "pipeline.serve_model", store, "--port", PORT, *options]
    unmeasured = ["--log-level", "ERROR", "--drain-seconds", "0"]
    return Server([*stage, *unmeasured], {"TTD_API_KEY": KEY, **environment})


def plain_server(world: ServingWorld) -> Server:
    """Return the plain FastAPI handler with the tree."""
    return _under_uvicorn("plain_handler", tree_variables(world))


def tree_variables(world: ServingWorld) -> dict[str, str]:
    """Return the environment variables in which a server finds the tree and its products."""
    return {"MODEL_FILE": str(world.tree_path), "PRODUCT_CODES": ",".join(world.codes)}


def bare_server(answer: str) -> Server:
    """Return the bare ASGI function, which always gives this answer."""
    return _under_uvicorn("bare_function", {"ANSWER": answer})


def with_products(version: str, n_products: int) -> str:
    """Return the name of a version of our API, or of our server, with so many products."""
    return f"{version}, {n_products:,} products"


def servers(
    world: ServingWorld, larger: Mapping[int, ServingWorld], answer: str
) -> dict[str, Server]:
    """Return all servers of the comparison by name.

    Args:
        world: what they serve.
        larger: the same with more products, by their number.
        answer: of our v0.1, which gives its length to the constant answer of the ceiling.
    """
    return {
        CEILING: bare_server(answer),
        PLAIN: plain_server(world),
        V1: our_server(str(world.store)),
        **{with_products(V1, n): our_server(str(one.store)) for n, one in larger.items()},
    }


def targets(world: ServingWorld, larger: Mapping[int, ServingWorld]) -> list[Target]:
    """Return the targets of all these servers, in the order of the table."""
    plain = ("/time_to_dispatch", JSON_HEADERS, request_body, hours_of, world.tree_hours)
    bare = ("/", JSON_HEADERS, request_body, None, world.model_hours)
    return [
        Target(CEILING, CEILING, *bare, world.draw_orders),
        Target(PLAIN, PLAIN, *plain, world.draw_orders),
        our_target(world, V1, V1, V1_PATH),
        our_target(world, V2, V1, V2_PATH),
        *(
            our_target(one, with_products(version, n), with_products(V1, n), path)
            for n, one in larger.items()
            for version, path in ((V1, V1_PATH), (V2, V2_PATH))
        ),
    ]


def our_target(world: ServingWorld, name: str, server: str, path: str) -> Target:
    """Return a route of our service."""
    asked = (path, OUR_HEADERS, request_body, hours_of, world.model_hours, world.draw_orders)
    return Target(name, server, *asked)


def answer_of_v1(world: ServingWorld) -> str:
    """Return the body of an answer of our v0.1, and see that it asks for a key.

    Raises:
        ServerFailure: our service does not answer, or answers anybody.
    """
    (order,) = world.draw_orders(1, seed=0)
    asked = Question(V1_PATH, OUR_HEADERS, request_body(order))
    with running(our_server(str(world.store))) as server:
        answer = server.first_answer(asked)
        status, _ = ask(server.port, asked._replace(headers=JSON_HEADERS))
    if status != 401:
        raise ServerFailure(f"Without a key our service answers {status} instead of 401.")
    return compact_json(answer)


def request_body(order: Order) -> str:
    """Return the body that our service and the plain handler take."""
    return compact_json(order.as_request())


def hours_of(answer: Any) -> float:
    """Return the hours in an answer of our service or of the plain handler."""
    return float(answer["est_hours_to_dispatch"])


def _under_uvicorn(module: str, environment: Mapping[str, str]) -> Server:
    app = f"benchmarks.serving.{module}:app"
    command = [sys.executable, "-m", "uvicorn", app, "--port", PORT, *UVICORN_OPTIONS]
    return Server(command, environment)
