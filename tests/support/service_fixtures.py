"""Services without a process: a model made by hand, and requests in the form of ASGI."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message, Scope

from pipeline.api.service import DispatchService
from pipeline.model.arrays import Floats
from pipeline.model.product_codes import Positions
from pipeline.model.reader import DispatchModel
from pipeline.model.regressor import OrderColumns, Regressor
from pipeline.stages.settings import ServeSettings
from tests.support import builders
from tests.support.helpers import EXAMPLE

V0_1 = "/api/v0.1/time_to_dispatch"
V0_2 = "/api/v0.2/time_to_dispatch"
BATCH = "/api/v0.2/time_to_dispatch/batch"
PRODUCTS = "/api/v0.2/products"
PROBLEM = "application/problem+json"

JSON = (b"content-type", b"application/json")
ORDER = json.dumps(EXAMPLE).encode()
TOO_LONG = b" " * (1024 * 1024 + 1)
UNREADABLE = b"[" * 50_000
"""JSON that nests too deeply for any parser."""

Headers = Iterable[tuple[bytes, bytes]]


class HandMadeModel(builders.LineModel):
    """A model without training, whose products differ, and whose hours rise with the orders."""

    def __init__(
        self,
        products: Iterable[str] = builders.PRODUCTS,
        version: str = "by_hand",
        regressor: Regressor | None = None,
        **changes: Any,
    ) -> None:
        """Make it up, with these changes of its metadata."""
        facts = builders.metadata(products, **changes)
        lines = builders.lines_of(facts.catalogue.product_code)
        super().__init__(version, facts, lines, regressor)


class BrokenRegressor:
    """A regressor with a bug."""

    def hours(self, positions: Positions, orders: OrderColumns) -> Floats:
        """Fail."""
        raise ZeroDivisionError("the model is broken")

    def hours_of_one(self, position: int, order: Mapping[str, Any]) -> float:
        """Fail, too."""
        raise ZeroDivisionError("the model is broken")


def broken_model() -> DispatchModel:
    """Return a model with a bug."""
    return HandMadeModel(regressor=BrokenRegressor())


def hand_made_service(*arguments: str, model: DispatchModel | None = None) -> DispatchService:
    """Return a service with these command line arguments that serves a model made by hand."""
    service = DispatchService(ServeSettings.from_arguments(list(arguments)))
    service.serve(HandMadeModel() if model is None else model)
    return service


def service_without_model(folder: Path, *arguments: str) -> DispatchService:
    """Return a service that finds no model in an empty folder."""
    return DispatchService(ServeSettings.from_arguments([str(folder), *arguments]))


class Answer(NamedTuple):
    """What an application answered.

    Attributes:
        status: the HTTP status.
        headers: with names in lower case.
        body: all of it.
    """

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    app: ASGIApp,
    path: str,
    pieces: Sequence[bytes] = (b"",),
    headers: Headers = (JSON,),
    method: str = "POST",
    query: bytes = b"",
    leaves: asyncio.Event | None = None,
) -> Answer:
    """Send a request just as it is, which a client would put right, and return the answer.

    Args:
        app: what to ask.
        path: of the request.
        pieces: of the body, as they arrive.
        headers: of the request, with names in lower case.
        method: of the request.
        query: of its URL.
        leaves: set when the client goes away; by default it waits.
    """
    leaves = leaves or asyncio.Event()
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": position < len(pieces)}
        for position, piece in enumerate(pieces, 1)
    ]
    arriving = iter(messages)
    sent: list[Message] = []

    async def receive() -> Message:
        message = next(arriving, None)
        if message is None:
            await leaves.wait()
        return message or {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {**request_scope(method, path, headers), "query_string": query}
    await app(scope, receive, send)
    start, *rest = sent
    return Answer(
        start["status"],
        {name.decode().lower(): value.decode() for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in rest),
    )


def request_scope(method: str, path: str, headers: Headers) -> Scope:
    """Return what a server tells an ASGI application of a request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8_000),
    }


def send(
    app: ASGIApp,
    path: str,
    body: bytes = ORDER,
    *headers: tuple[bytes, bytes],
    method: str = "POST",
) -> Answer:
    """Send a request of JSON, and return the answer."""
    return asyncio.run(ask(app, path, [body], [JSON, *headers], method))
