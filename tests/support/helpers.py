"""Ports, processes, servers and stores for tests that use real ones."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
HTTP = build_opener(ProxyHandler({}))
"""All servers are on this machine, so no proxy is asked."""
PREDICTION = "/api/v0.1/time_to_dispatch"
EXAMPLE = {"product_code": "SKU001", "orders_placed": 112}
SAMPLE_WEEKS = sorted((ROOT / "data" / "datasets").glob("*.csv"))[:4]
"""The datasets of the sample store that git has; `make week` adds newer ones beside them."""
NEXT_WEEK = "datasets/time_to_dispatch_2026-11-27T23-00-00.csv"
"""Newer than all of them."""
WEBHOOK_TOKEN = "T0000-B0000-XXXX"


def free_port() -> int:
    """Return a port of this machine on which nobody listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(
    url: str, seconds: float = 120.0, process: "subprocess.Popen[bytes] | None" = None
) -> None:
    """Return when a GET of a URL is answered.

    Fail if that does not happen in time, or if the process that should answer has ended.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        try:
            with HTTP.open(url, timeout=seconds):
                return
        except (URLError, ConnectionError):
            time.sleep(0.05)
    pytest.fail(f"{url} did not answer within {seconds:g} s, or its process has ended")


def predict(url: str, product_code: str = "SKU001", orders_placed: float = 112) -> dict[str, Any]:
    """Ask a service for a prediction, and return its answer; anything but 2xx is an error."""
    body = json.dumps({"product_code": product_code, "orders_placed": orders_placed}).encode()
    request = Request(url + PREDICTION, body, {"content-type": "application/json"})
    with HTTP.open(request, timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


@contextmanager
def running_service(
    *arguments: str,
    command: Sequence[str] = (sys.executable, "-m", "pipeline.serve_model"),
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run the service as a process on a free port, and yield its URL once it is ready.

    Args:
        arguments: of the stage, before `--port`.
        command: starts the stage.
        cwd: working directory of the process.
        environment: of the process; that of the test by default.
    """
    port = free_port()
    full_command = [*command, *arguments, "--port", str(port)]
    process = subprocess.Popen(full_command, cwd=cwd, env=environment)
    with process:
        try:
            wait_for(f"http://127.0.0.1:{port}/readyz", process=process)
            yield f"http://127.0.0.1:{port}"
        finally:
            stop(process)


def stop(process: "subprocess.Popen[bytes]", seconds: float = 30.0) -> None:
    """Stop a process at once, without draining; kill it, and fail, if it does not end in time."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def deliver(store: Path, week: pd.DataFrame | str) -> None:
    """Put a week into a store as its newest dataset."""
    text = week if isinstance(week, str) else week.to_csv(index=False)
    (store / NEXT_WEEK).parent.mkdir(parents=True, exist_ok=True)
    (store / NEXT_WEEK).write_text(text)


def names_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder without their suffixes, sorted."""
    return sorted(path.stem for path in folder.iterdir()) if folder.is_dir() else []


def logged(caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    """Return the messages that were logged at a level."""
    return [record.getMessage() for record in caplog.records if record.levelname == level]


class Webhook(ThreadingHTTPServer):
    """A server that keeps what it received.

    Attributes:
        statuses: of its next answers; the last one is that of all others.
        received: path, headers and body of each request.
    """

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), _WebhookHandler)
        self.statuses = [200]
        self.received: list[tuple[str, dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        """The URL that stands for the webhook, token included."""
        return f"http://127.0.0.1:{self.server_port}/services/{WEBHOOK_TOKEN}"

    @property
    def texts(self) -> list[str]:
        """The texts that were posted."""
        return [body["text"] for _, _, body in self.received]


class QuietHandler(BaseHTTPRequestHandler):
    """Answers the requests to a stand-in, and logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


class _WebhookHandler(QuietHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Webhook)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.received.append((self.path, dict(self.headers), body))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("location", "/elsewhere")
        self.end_headers()
        self.wfile.write(f"no service {WEBHOOK_TOKEN}".encode())

    def do_GET(self) -> None:
        assert isinstance(self.server, Webhook)
        self.server.received.append((self.path, dict(self.headers), None))
        self.send_response(200)
        self.end_headers()
