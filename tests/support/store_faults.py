"""Faults between a machine and its S3 store, and the proxy that makes them.

The proxy stands between boto3 and a real S3 server. Each run has a prefix of its own in the bucket,
so that many can go through one proxy at once, each with its own fault.
"""

import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

Action = Literal["list", "read", "write"]
DRIP_SECONDS = 0.02
HELD_SECONDS = 60
HTML = b"<html><head><title>Welcome</title></head><body>Sign in to the network.</body></html>"
ONCE = 1
ALWAYS = 1_000_000


class Call(NamedTuple):
    """A request to the store: what is done, and the folder in which."""

    action: Action
    folder: str


class Reply(NamedTuple):
    """An answer of the S3 server."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Fault(NamedTuple):
    """Something that goes wrong with a request.

    Attributes:
        happens: answers a request, which the function that is given would pass on.
        times: how often it happens to the same request in a row.
        ends: whether the stage ends with an error, and does not go on after a retry.
    """

    happens: Callable[["Handler", Callable[[], Reply]], None]
    times: int
    ends: bool = False


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on to the S3 server, but for those that have a fault.

    Attributes:
        calls: the requests of each run, by its prefix.
        faults: of each run, and the number of the call that it happens to first; then it happens
            to those that are like it.
        on_condition: what is done with the condition of a PUT: as other servers do, it can
            `ignore` or `refuse` it.
        released: set at the end, for what holds a connection.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(self, endpoint: str) -> None:
        """Start to listen."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.target = endpoint.removeprefix("http://")
        self.calls: dict[str, list[Call]] = defaultdict(list)
        self.faults: dict[str, tuple[int, Fault]] = {}
        self.on_condition = "pass on"
        self.released = threading.Event()
        self._happened: dict[str, int] = defaultdict(int)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def fault_of(self, run: str, call: Call) -> Fault | None:
        """Note a request, and return what goes wrong with it."""
        calls = self.calls[run]
        calls.append(call)
        if run not in self.faults:
            return None
        number, fault = self.faults[run]
        is_meant = len(calls) > number and call == calls[number]
        if not is_meant or self._happened[run] >= fault.times:
            return None
        self._happened[run] += 1
        return fault

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that break off: they are meant to."""


class Handler(BaseHTTPRequestHandler):
    """Answers a request."""

    server: FaultyProxy
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Pass a request on, or do with it what its run wants."""
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.on_condition == "refuse" and "If-None-Match" in self.headers:
            self.send_error(501, "Not Implemented")
            return
        if self.server.on_condition == "ignore":
            del self.headers["If-None-Match"]
        run, call = call_of(self.command, self.path)
        fault = self.server.fault_of(run, call)

        def pass_on() -> Reply:
            with closing(HTTPConnection(self.server.target)) as connection:
                connection.request(self.command, self.path, body, dict(self.headers))
                reply = connection.getresponse()
                return Reply(reply.status, dict(reply.getheaders()), reply.read())

        if fault is None:
            self.reply(pass_on())
        else:
            fault.happens(self, pass_on)

    do_GET = do_HEAD = do_PUT = answer

    def reply(self, reply: Reply, of: int | None = None) -> None:
        """Send an answer, or the first bytes `of` its content."""
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.content[:of])

    def reset(self) -> None:
        """Close the connection as if the other end had crashed."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def hold(self) -> None:
        """Keep the connection open, and say nothing more."""
        self.server.released.wait(HELD_SECONDS)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def call_of(method: str, path: str) -> tuple[str, Call]:
    """Return the run that a request belongs to, and what it is."""
    url = urlsplit(path)
    query = parse_qs(url.query)
    if "list-type" in query:
        run, _, folder = query["prefix"][0].partition("/")
        return run, Call("list", folder.rstrip("/"))
    _, run, key = unquote(url.path).lstrip("/").split("/", 2)
    return run, Call("write" if method == "PUT" else "read", key.rpartition("/")[0])


def _reset_in_the_middle(handler: Handler, pass_on: Callable[[], Reply]) -> None:
    reply = pass_on()
    handler.reply(reply, of=len(reply.content) // 2)
    handler.reset()


def _hang_in_the_middle(handler: Handler, pass_on: Callable[[], Reply]) -> None:
    reply = pass_on()
    handler.reply(reply, of=len(reply.content) // 2)
    handler.wfile.flush()
    handler.hold()


def _drip(handler: Handler, pass_on: Callable[[], Reply]) -> None:
    """Send an endless header, a byte at a time."""
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not handler.server.released.wait(DRIP_SECONDS):
            handler.wfile.write(b"x")


def _broken(change: Callable[[bytes], bytes]) -> Callable[[Handler, Callable[[], Reply]], None]:
    """Return a fault that changes the content of a sound answer, and its length with it."""

    def happens(handler: Handler, pass_on: Callable[[], Reply]) -> None:
        reply = pass_on()
        content = change(reply.content)
        headers = {name: value for name, value in reply.headers.items() if name != "Content-Length"}
        handler.reply(reply._replace(headers=headers | _length(content), content=content))

    return happens


def _instead(status: int, content: bytes) -> Callable[[Handler, Callable[[], Reply]], None]:
    """Return a fault in which somebody else answers, and the store is never asked."""
    reply = Reply(status, _length(content), content)
    return lambda handler, pass_on: handler.reply(reply)


def _error(status: int, code: str) -> Callable[[Handler, Callable[[], Reply]], None]:
    """Return a fault in which the store gives an error."""
    return _instead(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())


def _lost(handler: Handler, pass_on: Callable[[], Reply]) -> None:
    """Do what is asked, and lose the answer."""
    pass_on()
    handler.reset()


def _length(content: bytes) -> dict[str, str]:
    return {"Content-Length": str(len(content))}


FAULTS: Mapping[str, Fault] = {
    "connection reset at once, for ever": Fault(lambda h, _: h.reset(), ALWAYS, ends=True),
    "connection reset at once": Fault(lambda h, _: h.reset(), ONCE),
    "connection reset in the middle of the answer": Fault(_reset_in_the_middle, ONCE),
    "no answer, for ever (black hole)": Fault(lambda h, _: h.hold(), ALWAYS, ends=True),
    "no answer": Fault(lambda h, _: h.hold(), ONCE),
    "silence in the middle of the answer": Fault(_hang_in_the_middle, ONCE),
    "an answer that drips without end, for ever": Fault(_drip, ALWAYS, ends=True),
    "503 SlowDown, twice": Fault(_error(503, "SlowDown"), 2),
    "500, once": Fault(_error(500, "InternalError"), ONCE),
    "500, for ever": Fault(_error(500, "InternalError"), ALWAYS, ends=True),
    "half of the answer, as if it were the whole": Fault(
        _broken(lambda content: content[: len(content) // 2]), ONCE
    ),
    "an answer with wrong bytes at its beginning": Fault(
        _broken(lambda content: b"\x00\xff" + content[2:]), ONCE
    ),
    "an empty 200": Fault(_instead(200, b""), ONCE),
    "an empty 200, for ever": Fault(_instead(200, b""), ALWAYS, ends=True),
    "a page of HTML with 200 (sign-in page, proxy)": Fault(_instead(200, HTML), ONCE),
    "a page of HTML with 200, for ever": Fault(_instead(200, HTML), ALWAYS, ends=True),
    "403 ExpiredToken, once": Fault(_error(403, "ExpiredToken"), ONCE),
    "403 ExpiredToken, for ever": Fault(_error(403, "ExpiredToken"), ALWAYS, ends=True),
    "403 RequestTimeTooSkewed (a wrong clock)": Fault(
        _error(403, "RequestTimeTooSkewed"), ALWAYS, ends=True
    ),
    "the answer is lost, after the work was done": Fault(_lost, ONCE),
}


def table() -> str:
    """Return the faults and their outcomes as a table of Markdown."""
    rows = [
        f"| {name} | {'ends with one line' if fault.ends else 'goes on after a retry'} |"
        for name, fault in FAULTS.items()
    ]
    return "\n".join(["| fault | training, service |", "|---|---|", *rows])
