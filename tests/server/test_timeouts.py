"""Clients that are slow, or many, get little of the service's time, and others all they need."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http import HTTPStatus
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from socket import socket
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import uvicorn

from deploy.campaign.steady_load import Answer, request_bytes
from pipeline.api.metrics import ServiceMetrics
from pipeline.api.predictions import ESTIMATE, ESTIMATE_BATCH
from pipeline.server.last_answers import last_answer
from pipeline.server.server import allow_many_connections
from pipeline.server.timeouts import TOO_SLOW, UVICORN_VERSION, ConnectionTimeouts
from pipeline.stages.settings import ServeSettings
from tests.support.service_clients import (
    EXAMPLE_REQUEST,
    WatchedService,
    connect_without_room,
    exchange,
    is_closed,
    read_answer,
    talk_slowly,
    wait_until,
    watched_service,
)
from tests.support.service_fixtures import PROBLEM

FULL_PATH = request_bytes("GET", "/api/v0.1/model")
"""A request that FastAPI answers, within the limit on concurrency."""
LARGE_BATCH = request_bytes(
    "POST",
    ESTIMATE_BATCH,
    json.dumps({"orders": [{"product_code": "SKU001", "orders_placed": 112}] * 10_000}).encode(),
)
CHUNKED = (
    f"POST {ESTIMATE} HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\n"
    "Transfer-Encoding: chunked\r\n\r\n"
).encode()
LARGE_CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"


FIRST, NEXT = {"path": ESTIMATE}, {"path": ESTIMATE_BATCH}
"""Stand for the scopes of two requests on a connection."""
REQUEST_TIMEOUT = last_answer(HTTPStatus.REQUEST_TIMEOUT, TOO_SLOW)


class Connection:
    """Has of uvicorn's `HttpToolsProtocol` what the timeouts look at."""

    def __init__(
        self,
        scope: object = None,
        answer: tuple[bool, bool] | None = None,
        unread: int = 0,
        is_closing: bool = False,
    ) -> None:
        """Be somewhere in a request.

        Args:
            scope: of the request that has begun last.
            answer: to the first request, if its headers are complete: whether it has begun, and
                whether it is complete.
            unread: bytes that the client has not read.
            is_closing: whether uvicorn is closing it.
        """
        self.scope = scope
        self.cycle: object = None
        if answer is not None:
            started, complete = answer
            self.cycle = SimpleNamespace(
                scope=FIRST, response_started=started, response_complete=complete
            )
        self.transport = Mock()
        self.transport.get_write_buffer_size.return_value = unread
        self.transport.is_closing.return_value = is_closing

    def what_happened(self) -> tuple[bytes, str]:
        """Return what was written, and how it was closed."""
        written = b"".join(call.args[0] for call in self.transport.write.call_args_list)
        ends = [end for end in ("close", "abort") if getattr(self.transport, end).called]
        return written, " ".join(ends)


def timeouts(
    header_seconds: float, request_seconds: float
) -> tuple[ConnectionTimeouts, Callable[[], bool]]:
    """Return timeouts, and what tells whether they have counted a connection as too slow."""
    metrics = ServiceMetrics()
    settings = ServeSettings(header_seconds=header_seconds, request_seconds=request_seconds)
    too_slow = b'ttd_refused_inputs_total{reason="too_slow"} 1.0'
    return ConnectionTimeouts(settings, metrics), lambda: too_slow in metrics.exposition()


WAITING, ANSWERING, ANSWERED = (False, False), (True, False), (True, True)


@pytest.mark.parametrize(
    ("connection", "limit", "happens", "is_counted"),
    [
        (Connection(), "headers", (b"", "close"), False),
        (Connection(FIRST), "headers", (REQUEST_TIMEOUT, "close"), True),
        (Connection(FIRST, ANSWERED), "headers", (b"", "close"), False),
        (Connection(NEXT, ANSWERED), "headers", (REQUEST_TIMEOUT, "close"), True),
        (Connection(FIRST, is_closing=True), "headers", (b"", ""), False),
        (Connection(FIRST, WAITING), "request", (REQUEST_TIMEOUT, "close"), True),
        (Connection(FIRST, ANSWERING), "request", (b"", "close"), False),
        (Connection(FIRST, ANSWERED, unread=1), "request", (b"", "abort"), True),
        (Connection(FIRST, ANSWERED, unread=1, is_closing=True), "request", (b"", "abort"), True),
    ],
)
def test_a_connection_that_is_too_slow_is_closed(
    connection: Connection, limit: str, happens: tuple[bytes, str], is_counted: bool
) -> None:
    for is_short in (False, True):
        seconds = (0.01, 1_000) if (limit == "headers") == is_short else (1_000, 0.01)
        connections, has_counted = timeouts(*seconds)
        connections.close_slow([connection])
        time.sleep(0.02)
        connections.close_slow([connection])
        assert connection.what_happened() == (happens if is_short else (b"", ""))
        assert has_counted() == (is_counted and is_short)


@pytest.mark.parametrize(
    ("path", "media_type"),
    [("", "application/json"), (ESTIMATE, "application/json"), (ESTIMATE_BATCH, PROBLEM)],
)
def test_the_answer_to_who_is_too_slow_is_json_in_the_form_of_its_version(
    path: str, media_type: str
) -> None:
    head, body = last_answer(HTTPStatus.REQUEST_TIMEOUT, TOO_SLOW, path).split(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    assert status_line == "HTTP/1.1 408 Request Timeout"
    assert set(lines) == {
        "connection: close",
        f"content-type: {media_type}",
        f"content-length: {len(body)}",
    }
    assert json.loads(body)["detail"] == TOO_SLOW


def test_this_is_the_uvicorn_that_the_timeouts_were_written_for() -> None:
    assert uvicorn.__version__ == UVICORN_VERSION, (
        "timeouts.py and upgrades.py look into uvicorn's HttpToolsProtocol. See whether the "
        "attributes that UVICORN_VERSION names still mean the same, let the system tests here "
        "pass, and change the version there."
    )


SLOW_CLIENTS = {
    "idle": (b"", b""),
    "headers": (b"POST /api", b"a"),
    "headers after an answer": (request_bytes("GET", "/healthz") + b"GET ", b"/"),
    "half a body": (EXAMPLE_REQUEST[:-10], b""),
    "a body byte by byte": (request_bytes("POST", ESTIMATE, b"{", length=1_000), b" "),
    "chunks without end": (CHUNKED, b"1\r\nx\r\n"),
    "large chunks without end": (CHUNKED + 20 * LARGE_CHUNK, LARGE_CHUNK),
}
"""What each of them sends at first, and then again and again."""


@pytest.mark.system
def test_slow_clients_are_sent_away_while_others_are_served(
    trained_store: Path, tmp_path: Path
) -> None:
    limits = ("--header-seconds", "2", "--request-seconds", "3")
    with (
        watched_service(tmp_path, str(trained_store), *limits) as service,
        ThreadPoolExecutor(len(SLOW_CLIENTS)) as threads,
        service.connect() as patient,
    ):
        talks = {
            name: threads.submit(talk_slowly, service.port, *said)
            for name, said in SLOW_CLIENTS.items()
        }
        # In all, this client takes longer than the limits, but for no step.
        answers = [_exchange_in_pieces(patient, pause=0.3) for _ in range(5)]
        answers.append(service.ask(EXAMPLE_REQUEST))
        heard = {name: talk.result() for name, talk in talks.items()}
        assert service.metric("ttd_refused_inputs_total", reason="too_slow") == 5
        assert service.metric("ttd_refused_inputs_total", reason="body_too_long") == 1
        assert service.errors == []
    assert [answer.status for answer in answers] == [200] * 6
    assert heard.pop("idle") == b""
    assert heard.pop("large chunks without end").startswith(b"HTTP/1.1 413 ")
    after_an_answer = heard.pop("headers after an answer")
    assert after_an_answer.startswith(b"HTTP/1.1 200 ")
    assert after_an_answer.endswith(b'{"status":"ok","git_commit":null}' + REQUEST_TIMEOUT)
    assert heard == dict.fromkeys(heard, REQUEST_TIMEOUT)


def _exchange_in_pieces(connection: socket, pause: float) -> Answer:
    """Send a request in pieces, with pauses in its headers and in its body."""
    for piece in (EXAMPLE_REQUEST[:20], EXAMPLE_REQUEST[20:-10], EXAMPLE_REQUEST[-10:]):
        time.sleep(pause)
        connection.sendall(piece)
    return read_answer(connection)


@pytest.mark.system
def test_answers_that_nobody_reads_are_not_kept_for_ever(
    trained_store: Path, tmp_path: Path
) -> None:
    limits = ("--header-seconds", "2", "--request-seconds", "2")
    with watched_service(tmp_path, str(trained_store), *limits) as service:
        files = service.metric("process_open_fds")
        with connect_without_room(service.port) as deaf:
            _ask_until_too_slow(deaf, service)
            wait_until(
                lambda: service.metric("process_open_fds") == files, "the connection is closed"
            )
        assert service.metric("ttd_refused_inputs_total", reason="too_slow") == 1
        assert service.ask(EXAMPLE_REQUEST).status == 200
        assert service.errors == []


def _ask_until_too_slow(deaf: socket, service: WatchedService) -> None:
    """Ask for large answers, which the system itself keeps at first, until that is too much."""

    def is_too_slow() -> bool:
        return service.metric("ttd_refused_inputs_total", reason="too_slow") > 0

    def answered() -> float:
        return service.metric("ttd_requests_total", route=ESTIMATE_BATCH)

    for batches in range(1, 100):
        with suppress(ConnectionError):
            deaf.sendall(LARGE_BATCH)
        wait_until(
            lambda: is_too_slow() or answered() == batches,
            "a batch is answered, or the client is found to be too slow",
        )
        if is_too_slow():
            return
    pytest.fail("All answers found room somewhere.")


@pytest.fixture
def many_files() -> Iterator[int]:
    """Let this process open as many files as it may, and return how many that are."""
    before = getrlimit(RLIMIT_NOFILE)
    allow_many_connections()
    yield before[1]
    setrlimit(RLIMIT_NOFILE, before)


@pytest.mark.system
def test_thousands_of_idle_and_half_sent_requests_cost_nobody_an_answer(
    trained_store: Path, tmp_path: Path, many_files: int
) -> None:
    n_idle = min(2_000, many_files - 400)
    arguments = (str(trained_store), "--header-seconds", "10", "--max-concurrency", "1")
    with watched_service(tmp_path, *arguments) as service, ExitStack() as connections:
        files = service.metric("process_open_fds")
        half_sent = [connections.enter_context(service.connect()) for _ in range(200)]
        for connection in half_sent:
            connection.sendall(EXAMPLE_REQUEST[:-10])
        idle = [connections.enter_context(service.connect()) for _ in range(n_idle)]
        answers = [service.ask(request) for request in [EXAMPLE_REQUEST, FULL_PATH] * 20]
        assert service.metric("process_open_fds") >= files + n_idle
        answers += [exchange(connection, EXAMPLE_REQUEST[-10:]) for connection in half_sent]
        assert {answer.status for answer in answers} == {200}
        wait_until(lambda: service.metric("process_open_fds") == files, "all are closed")
        assert all(is_closed(connection) for connection in idle)
        assert service.metric("ttd_refused_inputs_total") == 0
        assert service.errors == []
