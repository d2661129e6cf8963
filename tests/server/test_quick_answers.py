"""What is answered at once is answered as uvicorn and the application answer it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import uvicorn
from uvicorn.server import ServerState

from deploy.campaign.steady_load import request_bytes
from pipeline.api.counts import ServiceCounts
from pipeline.api.predictions import ESTIMATE, ESTIMATE_WITH_INTERVAL
from pipeline.api.product_curves import PRODUCT_CURVES
from pipeline.serve_model import create_app
from pipeline.server.quick_answers import QuickAnswersProtocol, QuickExchange
from pipeline.server.upgrades import HttpOnlyProtocol
from tests.support.service_clients import EXAMPLE_BODY
from tests.support.service_fixtures import hand_made_service

KEY = "a-key-that-is-known"
JSON = "Content-Type: application/json"
HEADERS = (JSON, f"X-API-Key: {KEY}", "X-Request-ID: of-the-client")
SETTINGS = ("--api-key", KEY, "--root-path", "/dispatch", "--cors-origins", "https://a.example")


class Memory(asyncio.Transport):
    """A transport that keeps what is written, and whether it was closed."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__({"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 50_000)})
        self.written = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        """Keep data, unless it was closed."""
        if not self.is_closed:
            self.written += data

    def close(self) -> None:
        """Close it."""
        self.is_closed = True

    def is_closing(self) -> bool:
        """Tell whether it was closed."""
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        """Tell that all was sent."""
        return 0

    def pause_reading(self) -> None:
        """Have nothing to pause."""

    def resume_reading(self) -> None:
        """Have nothing to resume."""


class Heard(NamedTuple):
    """What came of a connection.

    Attributes:
        written: all answers.
        is_closed: whether the server closed it.
        counts: of the service.
        was_quick: whether the last request was answered at once.
    """

    written: bytes
    is_closed: bool
    counts: ServiceCounts
    was_quick: bool


def talk(protocol: type[HttpOnlyProtocol], pieces: list[bytes], drains: bool = False) -> Heard:
    """Let a server read pieces of data, and wait until it has nothing more to do."""
    service = hand_made_service(*SETTINGS)
    service.answers()
    service.is_draining = drains
    memory = Memory()

    async def serve() -> bool:
        config = uvicorn.Config(create_app(service), log_config=None, proxy_headers=False)
        config.load()
        state = ServerState()
        connection = protocol(config, state, {})
        connection.connection_made(memory)
        for piece in pieces:
            connection.data_received(piece)
            for _ in range(20):
                await asyncio.sleep(0)
        while state.tasks:
            await asyncio.gather(*state.tasks)
        was_quick = isinstance(connection.cycle, QuickExchange)
        connection.connection_lost(None)
        return was_quick

    was_quick = asyncio.run(serve())
    counts = service.metrics.counts
    routes = {
        path: replace(route, in_buckets=[sum(route.in_buckets)], seconds=0.0)
        for path, route in counts.routes.items()
    }
    return Heard(memory.written, memory.is_closed, replace(counts, routes=routes), was_quick)


def order(path: str = ESTIMATE, *headers: str, body: bytes = EXAMPLE_BODY) -> bytes:
    """Return a request for a prediction."""
    return request_bytes("POST", path, body, headers=[*HEADERS, *headers])


def curve(code: str, *headers: str, method: str = "GET") -> bytes:
    """Return a request for a curve."""
    return request_bytes(method, PRODUCT_CURVES + code, headers=[*HEADERS, *headers])


CHUNKED = (
    order()
    .replace(b"Content-Length: %d" % len(EXAMPLE_BODY), b"Transfer-Encoding: chunked")
    .replace(EXAMPLE_BODY, b"%x\r\n%b\r\n0\r\n\r\n" % (len(EXAMPLE_BODY), EXAMPLE_BODY))
)
QUICK = {
    "v0.1": order(),
    "v0.2": order(ESTIMATE_WITH_INTERVAL),
    "behind a proxy": order(f"/dispatch{ESTIMATE}"),
    "the last": order(ESTIMATE, "Connection: close"),
    "of HTTP/1.0": order().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "in chunks": CHUNKED,
    "of a page": order(ESTIMATE, "Origin: https://a.example"),
    "a curve": curve("SKU001"),
    "a known curve": curve("SKU001", "If-None-Match: *"),
    "offers HTTP/2": order(ESTIMATE, "Connection: Upgrade", "Upgrade: h2c"),
}
SLOW = {
    "not valid": order(body=b"{}"),
    "without a key": order().replace(KEY.encode(), b"another"),
    "compressed": order(ESTIMATE, "Content-Encoding: gzip"),
    "with a query": order(f"{ESTIMATE}?a=b"),
    "expects to be asked": order(ESTIMATE, "Expect: 100-continue"),
    "a coded curve": curve("SKU%30%301"),
    "an unknown curve": curve("no"),
    "a head": curve("SKU001", method="HEAD"),
    "a page": request_bytes("GET", "/docs", headers=HEADERS),
}
MIXED = {
    "several": order() * 3,
    "before a refused one": order() + order(body=b"{}"),
    "after a refused one": order(body=b"{}") + order(),
    "before nonsense": order() + b"nonsense\r\n\r\n",
}


def cut(stream: bytes) -> Iterator[list[bytes]]:
    """Yield the pieces that a stream may come in."""
    head = stream.index(b"\r\n\r\n") + 4
    yield [stream]
    yield [stream[:head], stream[head:]]
    yield [stream[: head - 2], stream[head - 2 :]]
    yield [stream[:-3], stream[-3:]]
    yield [stream[i : i + 1] for i in range(len(stream))]


@pytest.mark.parametrize("drains", [False, True], ids=["", "in the drain"])
@pytest.mark.parametrize("name", [*QUICK, *SLOW, *MIXED])
def test_however_a_request_arrives_its_answer_is_the_same(name: str, drains: bool) -> None:
    stream = {**QUICK, **SLOW, **MIXED}[name]
    for pieces in cut(stream):
        ours, theirs = (
            talk(one, pieces, drains) for one in (QuickAnswersProtocol, HttpOnlyProtocol)
        )
        assert ours._replace(was_quick=False) == theirs
        assert pieces != [stream] or name in MIXED or ours.was_quick == (name in QUICK)


def test_an_answer_is_sent_although_the_server_begins_to_stop() -> None:
    service = hand_made_service()
    service.answers()
    memory = Memory()

    async def serve() -> None:
        config = uvicorn.Config(create_app(service), log_config=None, proxy_headers=False)
        config.load()
        connection = QuickAnswersProtocol(config, ServerState(), {})
        connection.connection_made(memory)
        connection.data_received(order())
        connection.shutdown()
        await asyncio.sleep(0)

    asyncio.run(serve())
    assert memory.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert memory.is_closed
