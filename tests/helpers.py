"""Ports, processes and stores for tests that use real ones."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

ROOT = Path(__file__).resolve().parents[1]
HTTP = build_opener(ProxyHandler({}))
"""All servers are on this machine, so no proxy is asked."""
PREDICTION = "/api/v0.1/time_to_dispatch"
EXAMPLE = {"product_code": "SKU001", "orders_placed": 112}


def free_port() -> int:
    """Return a port on which nobody listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(
    url: str, seconds: float = 30.0, process: "subprocess.Popen[bytes] | None" = None
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
    """Send SIGTERM to a process; kill it, and fail, if it does not end in time."""
    process.terminate()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
