"""Clients that offer another protocol are answered in HTTP/1.1, each request once."""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.campaign.steady_load import request_bytes
from pipeline.api.predictions import ESTIMATE
from tests.support.service_clients import EXAMPLE_BODY, WatchedService, watched_service

pytestmark = pytest.mark.system

H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB"
OFFERS = {
    "h2c": H2C,
    "websocket": "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13",
    "several": "upgrade: h2c, TLS/1.3\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nConnection: x",
    "no connection header": "Upgrade: h2c",
    "nothing to upgrade to": "Connection: Upgrade",
}
FRAMINGS = {
    "length": (f"Content-Length: {len(EXAMPLE_BODY)}", EXAMPLE_BODY),
    "chunks": (
        "Transfer-Encoding: chunked",
        b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n"
        % (EXAMPLE_BODY[:5], len(EXAMPLE_BODY) - 5, EXAMPLE_BODY[5:]),
    ),
}
LAST = request_bytes("GET", "/healthz", headers=["Connection: close"])


@pytest.fixture(scope="module")
def service(
    trained_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WatchedService]:
    """Run the service."""
    with watched_service(tmp_path_factory.mktemp("log"), str(trained_store)) as running:
        yield running


def talk(service: WatchedService, pieces: Sequence[bytes]) -> bytes:
    """Send pieces, each in a segment of its own, and return all that comes until the end."""
    heard = b""
    with service.connect() as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.02 if len(pieces) < 10 else 0.001)
        with suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                heard += piece
    return heard


def order_with(offer: str, framing: str) -> tuple[bytes, bytes]:
    """Return the head and the body of a request for a prediction with an offer."""
    how, body = FRAMINGS[framing]
    lines = f"POST {ESTIMATE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{offer}\r\n"
    return f"{lines}{how}\r\n\r\n".encode(), body


def check_answers(heard: bytes, orders: int) -> None:
    """Fail unless so many predictions were answered, and then the last request; nothing else."""
    *answers, last = heard.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [b'{"est_hours_to_dispatch":' in answer for answer in answers] == [True] * orders
    assert last.endswith(b',"git_commit":null}')
    assert heard.count(b"HTTP/1.1 ") == orders + 1


@pytest.mark.parametrize("cut", ["nowhere", "before the body", "within both", "everywhere"])
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("offer", OFFERS)
def test_a_request_with_an_offer_is_answered_once_and_so_is_the_next(
    offer: str, framing: str, cut: str, service: WatchedService
) -> None:
    head, body = order_with(OFFERS[offer], framing)
    pieces = {
        "nowhere": [head + body + LAST],
        "before the body": [head, body, LAST],
        "within both": [head[:70], head[70:] + body[:9], body[9:] + LAST[:9], LAST[9:]],
        "everywhere": [bytes([byte]) for byte in head + body + LAST],
    }[cut]
    check_answers(talk(service, pieces), orders=1)


def test_many_requests_with_offers_may_come_at_once(service: WatchedService) -> None:
    requests = b"".join(order_with(H2C, "chunks")) * 500
    check_answers(talk(service, [requests + LAST]), orders=500)


def test_the_last_request_of_a_connection_may_have_an_offer(service: WatchedService) -> None:
    head, body = order_with(H2C.replace("Upgrade,", "close, Upgrade,"), "length")
    heard = talk(service, [head, body])
    assert heard.count(b"HTTP/1.1 ") == heard.count(b"HTTP/1.1 200 OK\r\n") == 1


def test_a_tunnel_is_refused(service: WatchedService) -> None:
    asked = f"CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example\r\n{H2C}\r\n\r\n".encode()
    heard = talk(service, [asked + LAST])
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert heard.count(b"HTTP/1.1 ") == 1
    detail = "Invalid HTTP request received. The connection is closed."
    assert json.loads(heard.partition(b"\r\n\r\n")[2]) == {"detail": detail}


def test_a_client_that_prefers_http_2_is_served(service: WatchedService) -> None:
    command = ["curl", "--silent", "--show-error", "--http2", "--noproxy", "*"]
    command += ["--json", EXAMPLE_BODY.decode(), "--write-out", r"\n%{http_version} %{http_code}\n"]
    asked = subprocess.run(
        [*command, *[service.url + ESTIMATE] * 3], capture_output=True, text=True, check=True
    )
    lines = asked.stdout.splitlines()
    assert [json.loads(line).keys() for line in lines[::2]] == [
        {"est_hours_to_dispatch", "model_version"}
    ] * 3
    assert lines[1::2] == ["1.1 200"] * 3
