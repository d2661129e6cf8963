"""Clients that are slow, or many, get little of the service's time, and others all they need."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
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
from pipeline.server.timeouts import (
    DRAIN_IDLE_SECONDS,
    IDLE_SECONDS,
    MAX_STEP_SECONDS,
    TOO_SLOW,
    UVICORN_VERSION,
    ConnectionTimeouts,
)
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
        more_body: bool = False,
    ) -> None:
        """Be somewhere in a request.

        Args:
            scope: of the request that has begun last.
            answer: to the first request, if its headers are complete: whether it has begun, and
                whether it is complete.
            unread: bytes that the client has not read.
            is_closing: whether uvicorn is closing it.
            more_body: whether some of the first request has not arrived.
        """
        self.scope = scope
        self.cycle: object = None
        if answer is not None:
            started, complete = answer
            self.cycle = SimpleNamespace(
                scope=FIRST,
                response_started=started,
                response_complete=complete,
                more_body=more_body,
            )
        self.transport = Mock()
        self.transport.get_write_buffer_size.return_value = unread
        self.transport.is_closing.return_value = is_closing

    def what_happened(self) -> tuple[bytes, str]:
        """Return what was written, and how it was closed."""
        written = b"".join(call.args[0] for call in self.transport.write.call_args_list)
        ends = [end for end in ("close", "abort") if getattr(self.transport, end).called]
        return written, " ".join(ends)


class Looks:
    """Looks at a connection at times that a test sets."""

    def __init__(self) -> None:
        """Begin at no time, with limits that differ."""
        self.now = 0.0
        self.metrics = ServiceMetrics()
        settings = ServeSettings(header_seconds=HEADERS, request_seconds=REQUEST)
        self.timeouts = ConnectionTimeouts(settings, self.metrics, lambda: self.now)

    def seconds_until_closed(self, connection: Connection, is_draining: bool = False) -> float:
        """Look once a second until the connection is closed, and return when it was."""
        while not connection.what_happened()[1] and self.now < 1_000:
            asyncio.run(self.timeouts.close_slow([connection], is_draining))
            self.now += 1
        return self.now - 2  # beyond the limit, and a second was counted after the look


HEADERS, REQUEST = 20.0, 40.0
WAITING, ANSWERING, ANSWERED = (False, False), (True, False), (True, True)


@pytest.mark.parametrize(
    ("connection", "limit", "happens", "is_counted"),
    [
        (Connection(), HEADERS, (b"", "close"), False),
        (Connection(FIRST), HEADERS, (REQUEST_TIMEOUT, "close"), True),
        (Connection(FIRST, ANSWERED), IDLE_SECONDS, (b"", "close"), False),
        (Connection(FIRST, ANSWERED, more_body=True), HEADERS, (b"", "close"), False),
        (Connection(NEXT, ANSWERED), HEADERS, (REQUEST_TIMEOUT, "close"), True),
        (Connection(FIRST, is_closing=True), 998, (b"", ""), False),
        (Connection(FIRST, WAITING), REQUEST, (REQUEST_TIMEOUT, "close"), True),
        (Connection(FIRST, ANSWERING), REQUEST, (b"", "close"), False),
        (Connection(FIRST, ANSWERED, unread=1), REQUEST, (b"", "abort"), True),
        (Connection(FIRST, ANSWERED, unread=1, is_closing=True), REQUEST, (b"", "abort"), True),
    ],
)
def test_a_connection_that_is_too_slow_is_closed(
    connection: Connection, limit: float, happens: tuple[bytes, str], is_counted: bool
) -> None:
    looks = Looks()
    assert looks.seconds_until_closed(connection) == limit
    assert connection.what_happened() == happens
    too_slow = b'ttd_refused_inputs_total{reason="too_slow"} 1.0'
    assert (too_slow in looks.metrics.exposition()) == is_counted


@pytest.mark.parametrize(
    ("connection", "limit"),
    [
        (Connection(FIRST, ANSWERED), DRAIN_IDLE_SECONDS),
        (Connection(NEXT, ANSWERED), HEADERS),
        (Connection(FIRST, WAITING), REQUEST),
    ],
)
def test_the_drain_closes_those_sooner_that_are_idle(connection: Connection, limit: float) -> None:
    assert Looks().seconds_until_closed(connection, is_draining=True) == limit


def test_time_in_which_the_process_stood_still_is_not_the_clients() -> None:
    looks = Looks()
    connection = Connection(FIRST, WAITING)
    asyncio.run(looks.timeouts.close_slow([connection]))
    looks.now += 10 * REQUEST
    assert looks.seconds_until_closed(connection) == 11 * REQUEST - MAX_STEP_SECONDS


def test_what_has_arrived_is_read_before_a_connection_is_looked_at() -> None:
    looks = Looks()
    connection = Connection(FIRST, ANSWERED)

    async def look_when_a_request_arrives() -> None:
        for _ in range(int(IDLE_SECONDS) + 1):
            await looks.timeouts.close_slow([connection])
            looks.now += 1
        asyncio.get_running_loop().call_soon(setattr, connection, "scope", NEXT)
        await looks.timeouts.close_slow([connection])

    asyncio.run(look_when_a_request_arrives())
    assert connection.what_happened() == (b"", "")


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
        "x-content-type-options: nosniff",
    }
    assert json.loads(body)["detail"] == TOO_SLOW


def test_this_is_the_uvicorn_that_the_timeouts_were_written_for() -> None:
    assert uvicorn.__version__ == UVICORN_VERSION, (
        "timeouts.py, upgrades.py and header_limit.py look into uvicorn's protocol. See whether "
        "what UVICORN_VERSION names still means the same, let the system tests of these modules "
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
    assert after_an_answer.endswith(b',"git_commit":null}' + REQUEST_TIMEOUT)
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
        for connection in half_sent:
            connection.close()
        wait_until(lambda: service.metric("process_open_fds") == files, "all are closed")
        assert all(is_closed(connection) for connection in idle)
        assert service.metric("ttd_refused_inputs_total") == 0
        assert service.errors == []


@pytest.mark.system
def test_a_process_that_stood_still_answers_what_has_come_meanwhile(
    trained_store: Path, tmp_path: Path
) -> None:
    limits = ("--header-seconds", "1", "--request-seconds", "1")
    with (
        watched_service(tmp_path, str(trained_store), *limits) as service,
        service.connect() as idle,
        service.connect() as new,
        service.connect() as half_headers,
        service.connect() as half_body,
    ):
        exchange(idle, EXAMPLE_REQUEST)
        half_headers.sendall(EXAMPLE_REQUEST[:20])
        half_body.sendall(EXAMPLE_REQUEST[:-10])
        service.ask(EXAMPLE_REQUEST)  # by now all of that has arrived
        service.process.send_signal(signal.SIGSTOP)
        for connection in (idle, new):
            connection.sendall(EXAMPLE_REQUEST)
        half_headers.sendall(EXAMPLE_REQUEST[20:])
        half_body.sendall(EXAMPLE_REQUEST[-10:])
        time.sleep(2.5)
        service.process.send_signal(signal.SIGCONT)
        for connection in (idle, new, half_headers, half_body):
            assert read_answer(connection).status == 200
