"""Servers that run beside the tests: in a thread, or as a process of their own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer
from typing import Any, TypeVar

from tests.support.helpers import free_port, wait_for

SomeServer = TypeVar("SomeServer", bound=BaseServer)


@contextmanager
def serving(server: SomeServer) -> Iterator[SomeServer]:
    """Run a server in a thread, and close it in the end."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def answer_json(handler: BaseHTTPRequestHandler, status: int, content: Any) -> None:
    """Answer the request that a handler has at hand."""
    body = json.dumps(content).encode()
    handler.send_response(status)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def s3_server() -> Iterator[str]:
    """Run an empty S3 server as a process of its own, and yield its URL.

    It lists ten keys on a page, where S3 lists a thousand.
    """
    port = free_port()
    pages = {"MOTO_S3_DEFAULT_MAX_KEYS": "10"}
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with subprocess.Popen(
        command, env=os.environ | pages, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/moto-api/", process=server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
