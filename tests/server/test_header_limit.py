"""Headers and trailers without end are refused, in little memory, and long ones are read."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from socket import socket

import psutil
import pytest

from deploy.campaign.steady_load import request_bytes
from pipeline.api.predictions import ESTIMATE, ESTIMATE_BATCH
from pipeline.server.header_limit import MAX_HEAD_BYTES, MAX_HEADERS, PIECE_BYTES, TOO_LONG
from tests.support.service_clients import (
    EXAMPLE_BODY,
    EXAMPLE_REQUEST,
    WatchedService,
    exchange,
    is_closed,
    read_answer,
    watched_service,
)
from tests.support.service_fixtures import PROBLEM

pytestmark = pytest.mark.system

MIB = 1024 * 1024
BEGIN = f"POST {ESTIMATE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
CHUNKED = BEGIN + b"Transfer-Encoding: chunked\r\n\r\n"
ONE_CHUNK = b"%x\r\n%b\r\n" % (len(EXAMPLE_BODY), EXAMPLE_BODY)
WITHOUT_END = {
    "one header": (BEGIN + b"X-Long: ", b"a"),
    "many headers": (BEGIN, b"a: b\r\n"),
    "the path": (b"GET /", b"a"),
    "one trailer": (CHUNKED + ONE_CHUNK + b"0\r\nX-Long: ", b"a"),
    "many trailers": (CHUNKED + ONE_CHUNK + b"0\r\n", b"a: b\r\n"),
    "headers after another request": (EXAMPLE_REQUEST + BEGIN, b"a: b\r\n"),
}
"""What is sent at first, and then again and again."""


@pytest.fixture(scope="module")
def service(
    trained_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WatchedService]:
    """Run the service."""
    with watched_service(tmp_path_factory.mktemp("log"), str(trained_store)) as running:
        yield running
        assert running.errors == []


def send_until_closed(connection: socket, drip: bytes, most: int) -> bool:
    """Send something again and again; return whether the connection was closed before so much."""
    pieces = drip * (most // 16 // len(drip))
    with suppress(ConnectionError):
        for _ in range(16):
            connection.sendall(pieces)
        return False
    return True


@pytest.mark.parametrize("name", WITHOUT_END)
def test_what_has_no_end_is_refused_and_takes_no_memory(name: str, service: WatchedService) -> None:
    begin, drip = WITHOUT_END[name]
    memory = psutil.Process(service.process.pid).memory_info().rss
    refused = service.metric("ttd_refused_inputs_total", reason="headers_too_long")
    for _ in range(8):
        with service.connect() as connection:
            connection.sendall(begin)
            assert send_until_closed(connection, drip, most=16 * MIB)
    assert psutil.Process(service.process.pid).memory_info().rss < memory + 8 * MIB
    assert service.metric("ttd_refused_inputs_total", reason="headers_too_long") == refused + 8
    assert service.ask(EXAMPLE_REQUEST).status == 200


@pytest.mark.parametrize(
    ("path", "media_type"), [(ESTIMATE, "application/json"), (ESTIMATE_BATCH, PROBLEM)]
)
def test_the_limit_is_exact_and_the_refusal_in_the_form_of_its_version(
    path: str, media_type: str, service: WatchedService
) -> None:
    head = request_bytes("GET", path, headers=["X-Long: "])[:-4]
    longest = head + b"a" * (MAX_HEAD_BYTES - len(head) - 4)
    with service.connect() as connection:
        assert exchange(connection, longest + b"\r\n\r\n").status == 405
        answer = exchange(connection, longest + b"aaaa")
        assert is_closed(connection)
    assert (answer.status, answer.is_last) == (431, True)
    assert answer.headers["content-type"] == media_type
    assert json.loads(answer.body)["detail"] == TOO_LONG


def test_trailers_are_refused_in_place_of_an_answer(service: WatchedService) -> None:
    with service.connect() as connection:
        connection.sendall(CHUNKED + ONE_CHUNK + b"0\r\nX-Long: " + b"a" * MAX_HEAD_BYTES)
        assert read_answer(connection).status == 431
        assert is_closed(connection)


def test_many_short_headers_that_are_not_complete_are_refused(service: WatchedService) -> None:
    with service.connect() as connection:
        assert exchange(connection, BEGIN + b"a: b\r\n" * MAX_HEADERS).status == 431
        assert is_closed(connection)


def test_long_bodies_and_many_requests_are_no_headers(service: WatchedService) -> None:
    blanks = b" " * (MIB - len(EXAMPLE_BODY))
    long = EXAMPLE_BODY + blanks
    small_chunks = b"".join(b"1\r\n%b\r\n" % bytes([byte]) for byte in EXAMPLE_BODY)
    large_chunks = b"".join(b"%x\r\n%b\r\n" % (PIECE_BYTES, blanks[:PIECE_BYTES]) for _ in range(9))
    trailers = b"0\r\nX-Long: " + b"a" * (MAX_HEAD_BYTES // 2) + b"\r\n\r\n"
    requests = [
        request_bytes("POST", ESTIMATE, long),
        CHUNKED + small_chunks + large_chunks + trailers,
        *[EXAMPLE_REQUEST] * 999,
        request_bytes("GET", "/healthz", headers=["Connection: close", f"X-Long: {'a' * 40_000}"]),
    ]
    with service.connect() as connection:
        connection.sendall(b"".join(requests))
        heard = b"".join(iter(lambda: connection.recv(MIB), b""))
    assert heard.count(b"HTTP/1.1 200 OK") == heard.count(b"HTTP/1.1 ") == len(requests)


def test_requests_that_wait_behind_others_take_no_memory(service: WatchedService) -> None:
    n_requests = 20_000
    process = psutil.Process(service.process.pid)
    memory = process.memory_info().rss
    last = request_bytes("GET", "/healthz", headers=["Connection: close"])
    with service.connect() as connection, ThreadPoolExecutor(1) as thread:
        sending = thread.submit(connection.sendall, EXAMPLE_REQUEST * n_requests + last)
        heard, most = 0, memory
        while piece := connection.recv(MIB):
            heard += piece.count(b"est_hours")
            most = max(most, process.memory_info().rss)
        sending.result()
    assert heard == pytest.approx(n_requests, abs=99)  # some are cut where a piece ends
    assert most < memory + 16 * MIB


def test_an_answer_before_the_end_of_its_request_lifts_no_limit(service: WatchedService) -> None:
    refused_early = CHUNKED.replace(b"Host", b"Content-Encoding: gzip\r\nHost") + ONE_CHUNK
    too_long = request_bytes("POST", ESTIMATE, b" " * MIB, length=2 * MIB)
    with service.connect() as connection:
        answer = exchange(connection, too_long)
        assert (answer.status, exchange(connection, b" " * MIB + EXAMPLE_REQUEST).status) == (
            413,
            200,
        )
        connection.sendall(refused_early + b"0\r\n")
        assert send_until_closed(connection, b"a: b\r\n", most=16 * MIB)
