"""The clients of docs/how-to/call_the_api.md, against a service that is busy at first."""

import os
import shutil
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request

import pytest

from tests.support.helpers import HTTP, running_service
from tests.support.how_to import blocks, page, run
from tests.support.local_servers import serving

pytestmark = [pytest.mark.system, pytest.mark.documents]

KEY = "a-secret-key"
NODE = str(Path(sys.executable).with_name("node"))
CLIENTS = {
    "python": ("client.py", [sys.executable]),
    "js": ("client.js", [NODE]),
    "java": ("Dispatch.java", ["java", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]),
}
"""The file of each language, and what runs it."""


@pytest.fixture(scope="module")
def service(trained_store: Path) -> Iterator[str]:
    environment = {**os.environ, "TTD_API_KEY": KEY}
    with running_service(str(trained_store), environment=environment) as url:
        yield url


class BusyAtFirst(BaseHTTPRequestHandler):
    """Has no time for the first request, breaks the second off, and passes on those after them."""

    service: str
    requests = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).requests += 1
        if self.requests == 1:
            self.send_response(503)
            self.send_header("retry-after", "0")
            self.send_header("content-length", "0")
            self.end_headers()
        elif self.requests == 2:
            self.close_connection = True
        else:
            headers = {name: self.headers[name] for name in ("content-type", "x-api-key")}
            with HTTP.open(Request(self.service + self.path, body, headers)) as answer:
                self.send_response(200)
                content = answer.read()
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of requests."""


@pytest.mark.parametrize("language", CLIENTS)
def test_a_client_gets_its_estimate_in_the_end(
    language: str, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, command = CLIENTS[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"This machine has no {command[0]}.")
    (code,) = blocks(page("call_the_api"), language)
    (tmp_path / name).write_text(code)
    monkeypatch.setenv("DISPATCH_KEY", KEY)

    class Busy(BusyAtFirst):
        pass

    Busy.service = service
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Busy)) as server:
        monkeypatch.setenv("DISPATCH_URL", f"http://127.0.0.1:{server.server_port}")
        done = run(tmp_path, *command, name)

    assert done.returncode == 0, done.stderr
    assert "9." in done.stdout
    assert Busy.requests == 3
