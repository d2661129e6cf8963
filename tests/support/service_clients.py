"""A service as a process that tests can watch, and clients that talk to it as they like."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path
from socket import AF_INET, SO_RCVBUF, SOCK_STREAM, SOL_SOCKET, create_connection, socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.campaign.steady_load import PATIENCE_SECONDS, Answer, request_bytes
from pipeline.api.predictions import ESTIMATE
from tests.support.helpers import HTTP, ROOT, free_port, wait_for

EXAMPLE_BODY = b'{"product_code": "SKU001", "orders_placed": 112}'
STAGE = (sys.executable, "-m", "pipeline.serve_model")


class WatchedService:
    """A running service, whose log is kept."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        """Take over a process that listens on a port and writes its standard error to a file."""
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text()

    @property
    def errors(self) -> list[str]:
        """The lines of its log at level ERROR."""
        return [line for line in self.log.splitlines() if " - ERROR - " in line]

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over its series with these labels."""
        with HTTP.open(f"{self.url}/metrics", timeout=PATIENCE_SECONDS) as response:
            families = list(text_string_to_metric_families(response.read().decode()))
        samples = [sample for family in families for sample in family.samples]
        return sum(
            sample.value
            for sample in samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def connect(self) -> socket:
        """Open a connection."""
        return create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)

    def ask(self, request: bytes) -> Answer:
        """Send a request on a connection of its own, and return the answer."""
        with self.connect() as connection:
            return exchange(connection, request)


@contextmanager
def watched_service(
    folder: Path, *arguments: str, command: Sequence[str] = STAGE
) -> Iterator[WatchedService]:
    """Run the service as a process on a free port, and yield it once it is ready.

    Args:
        folder: where its log is kept.
        arguments: of the stage, before `--port`.
        command: starts the stage.
    """
    port = free_port()
    log = folder / f"service_{port}.log"
    full_command = [*command, *arguments, "--port", str(port)]
    with (
        log.open("wb") as stderr,
        subprocess.Popen(full_command, cwd=ROOT, stderr=stderr) as process,
    ):
        try:
            wait_for(f"http://127.0.0.1:{port}/readyz", PATIENCE_SECONDS, process)
            yield WatchedService(process, port, log)
        finally:
            process.kill()


def flip_a_bit(artifact: Path, damaged: Path) -> None:
    """Write an artifact with one flipped bit."""
    content = bytearray(artifact.read_bytes())
    content[len(content) // 2] ^= 0b0000_1000
    damaged.write_bytes(content)


EXAMPLE_REQUEST = request_bytes("POST", ESTIMATE, EXAMPLE_BODY)


def exchange(connection: socket, request: bytes) -> Answer:
    """Send a request, or the rest of one, and return the answer; the connection stays open."""
    connection.sendall(request)
    return read_answer(connection)


def read_answer(connection: socket) -> Answer:
    """Return the next answer on a connection."""
    with HTTPResponse(connection) as response:
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())


def is_closed(connection: socket) -> bool:
    """Wait until a connection gives something, and tell whether that is its end."""
    with suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


def talk_slowly(port: int, begin: bytes, drip: bytes = b"", pause: float = 0.1) -> bytes:
    """Send something, and then little pieces, until the server closes the connection.

    Args:
        port: of the server.
        begin: what is sent first.
        drip: what is sent after each pause.
        pause: in seconds.

    Returns:
        All that the server sent.
    """
    received = b""
    with create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(begin)
        connection.settimeout(pause)
        with suppress(ConnectionResetError):
            while True:
                try:
                    piece = connection.recv(65_536)
                except TimeoutError:
                    with suppress(OSError):  # the next look at what came tells that it is closed
                        connection.send(drip)
                    continue
                if not piece:
                    break
                received += piece
    return received


def connect_without_room(port: int) -> socket:
    """Open a connection with hardly any room for what comes and is not read."""
    connection = socket(AF_INET, SOCK_STREAM)
    connection.setsockopt(SOL_SOCKET, SO_RCVBUF, 4_096)
    connection.settimeout(PATIENCE_SECONDS)
    connection.connect(("127.0.0.1", port))
    return connection


def wait_until(happened: Callable[[], bool], what: str) -> None:
    """Return when something has happened; fail if it does not happen in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if happened():
            return
        time.sleep(0.05)
    pytest.fail(f"It did not happen within {PATIENCE_SECONDS:g} s: {what}")
