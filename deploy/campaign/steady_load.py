"""A steady load of predictions.

It needs nothing but Python, so that it also runs as a file alone, inside a cluster:
`python steady_load.py HOST PORT --until FILE` asks a service for predictions until that file is
there, and prints what came of it as JSON. The environment variable TTD_API_KEY holds the key.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

ESTIMATE = "/api/v0.1/time_to_dispatch"
MAX_ORDERS_PLACED = 320
KEPT_CONNECTIONS = 16
PATIENCE_SECONDS = 60.0
"""Upper bound for whatever should happen soon; long, since the machine may be busy."""
SHOWN_FAILURES = 20
Connection = tuple[StreamReader, StreamWriter]


def main(arguments: Sequence[str]) -> int:
    """Ask a service as the command line says, print what came of it, and return 0."""
    parser = argparse.ArgumentParser(description="Ask a service for predictions, steadily.")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--until", type=Path, required=True, help="file whose arrival ends it")
    parser.add_argument("--product-codes", type=lambda text: text.split(","), required=True)
    parser.add_argument("--per-second", type=float, required=True)
    parser.add_argument("--max-seconds", type=float, required=True, help="end it then anyhow")
    options = parser.parse_args(arguments)
    headers = [f"X-API-Key: {os.environ['TTD_API_KEY']}"] if "TTD_API_KEY" in os.environ else []
    load = SteadyLoad(
        options.port, options.product_codes, options.per_second, options.host, headers
    )
    end = time.monotonic() + options.max_seconds
    asked = asyncio.run(load.run(lambda: options.until.exists() or time.monotonic() > end))
    print(json.dumps(summary(asked)))
    return 0


def summary(asked: "Sequence[Asked]") -> dict[str, Any]:
    """Return what came of requests, for JSON.

    Returns:
        The numbers of `requests`, of those on connections `kept_alive`, and of those that
        `failed`; the first of the latter as `failures`; the number of `answers` of each model; and
        the `longest_pause` between two requests in seconds, which tells how steady the load was.
    """
    failures = [one for one in asked if not one.is_answered]
    answers = Counter(
        json.loads(one.answer.body)["model_version"] for one in asked if one.is_answered
    )
    return {
        "requests": len(asked),
        "kept_alive": sum(one.kept_alive for one in asked),
        "failed": len(failures),
        "failures": [one.told(since=asked[0].sent_at) for one in failures[:SHOWN_FAILURES]],
        "answers": dict(answers),
        "longest_pause": max(
            (later.sent_at - sooner.sent_at for sooner, later in pairwise(asked)), default=0.0
        ),
    }


class Answer(NamedTuple):
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_last(self) -> bool:
        """Whether it says that the connection is closed after it."""
        return self.headers.get("connection", "").lower() == "close"


class Asked(NamedTuple):
    """A prediction that was asked for.

    Attributes:
        product_code: of the order.
        orders_placed: of the order.
        sent_at: when it was sent, as `time.monotonic` tells it.
        kept_alive: whether on a connection that is kept for others.
        answer: what came; the status is 0, and the body the reason, if nothing did.
    """

    product_code: str
    orders_placed: int
    sent_at: float
    kept_alive: bool
    answer: Answer

    @property
    def is_answered(self) -> bool:
        """Whether a prediction came."""
        return self.answer.status == 200 and b'"model_version"' in self.answer.body

    def told(self, since: float) -> str:
        """Return in words what came, and when after a moment it had been asked for."""
        connection = "a kept" if self.kept_alive else "its own"
        status, body = self.answer.status, self.answer.body.decode(errors="replace")
        return f"after {self.sent_at - since:.1f} s on {connection} connection: {status} {body}"


class SteadyLoad:
    """Asks for predictions at a steady rate, however long the answers take.

    Every second request goes over a connection of its own. The others take turns on connections
    that are kept, until an answer says that it is the last one there.
    """

    def __init__(
        self,
        port: int,
        product_codes: Sequence[str],
        per_second: float,
        host: str = "127.0.0.1",
        headers: Sequence[str] = (),
    ) -> None:
        """Prepare to ask a port for predictions for some products.

        Args:
            port: of the service.
            product_codes: that take turns.
            per_second: how many predictions to ask for.
            host: of the service.
            headers: that go along, as whole lines.
        """
        self._host = host
        self._port = port
        self._product_codes = product_codes
        self._per_second = per_second
        self._headers = headers
        self._kept: deque[Connection] = deque()

    async def run(self, is_over: Callable[[], bool]) -> list[Asked]:
        """Ask until it is over, and return what was asked once everything is answered."""
        self._kept.extend([await self._connect() for _ in range(KEPT_CONNECTIONS)])
        started = time.monotonic()
        requests: list[asyncio.Task[Asked]] = []
        while not is_over():
            requests.append(asyncio.create_task(self._ask(len(requests))))
            pause = started + len(requests) / self._per_second - time.monotonic()
            await asyncio.sleep(max(pause, 0))
        asked = await asyncio.gather(*requests)
        for connection in self._kept:
            await close(connection)
        return asked

    async def _ask(self, number: int) -> Asked:
        """Ask for a prediction, which is another one for each number."""
        product_code = self._product_codes[number % len(self._product_codes)]
        orders_placed = number % MAX_ORDERS_PLACED
        body = json.dumps({"product_code": product_code, "orders_placed": orders_placed})
        request = request_bytes("POST", ESTIMATE, body.encode(), self._headers)
        kept_alive = number % 2 == 0
        sent_at = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await (self._ask_kept if kept_alive else self._ask_new)(request)
        except (OSError, asyncio.IncompleteReadError) as error:
            answer = Answer(0, {}, repr(error).encode())
        return Asked(product_code, orders_placed, sent_at, kept_alive, answer)

    async def _ask_new(self, request: bytes) -> Answer:
        """Send a request on a connection of its own."""
        connection = await self._connect()
        try:
            return await exchange(connection, request)
        finally:
            await close(connection)

    async def _ask_kept(self, request: bytes) -> Answer:
        """Send a request on a connection that is kept, and replace that if it is closed."""
        connection = self._kept.popleft() if self._kept else await self._connect()
        answer = None
        try:
            answer = await exchange(connection, request)
        finally:
            if answer is None or answer.is_last:
                await close(connection)
                connection = await self._connect()
            self._kept.append(connection)
        return answer

    async def _connect(self) -> Connection:
        return await asyncio.open_connection(self._host, self._port)


def request_bytes(
    method: str, path: str, body: bytes = b"", headers: Sequence[str] = (), length: int = -1
) -> bytes:
    """Return a request as it is sent.

    Args:
        method: such as GET.
        path: such as /healthz.
        body: JSON.
        headers: beside those about the body, as whole lines.
        length: of the body as the headers say it, if it is not the true one.
    """
    lines = [f"{method} {path} HTTP/1.1", "Host: service", *headers]
    if method == "POST":
        lines += ["Content-Type: application/json"]
        lines += [f"Content-Length: {len(body) if length < 0 else length}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def exchange(connection: Connection, request: bytes) -> Answer:
    """Send a request, and return the answer.

    Raises:
        IncompleteReadError: the connection was closed before the end of the answer.
    """
    reader, writer = connection
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Answer(int(status_line.split()[1]), headers, body)


async def close(connection: Connection) -> None:
    """Close a connection, whatever has become of it."""
    writer = connection[1]
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
