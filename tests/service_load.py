"""A steady load of predictions, and a small TCP balancer that it may go through."""

import asyncio
import json
import time
from asyncio import StreamReader, StreamWriter
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from pipeline.prediction_api import ESTIMATE
from tests.service_clients import PATIENCE_SECONDS, Answer, request_bytes

POLL_SECONDS = 0.1
MOST_ORDERS = 320
KEPT_CONNECTIONS = 16
Connection = tuple[StreamReader, StreamWriter]


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


class SteadyLoad:
    """Asks for predictions at a steady rate, however long the answers take.

    Every second request goes over a connection of its own. The others take turns on connections
    that are kept, until an answer says that it is the last one there.
    """

    def __init__(self, port: int, product_codes: Sequence[str], per_second: float) -> None:
        """Prepare to ask a port of this machine for predictions for some products."""
        self._port = port
        self._product_codes = product_codes
        self._per_second = per_second
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
            await _close(connection)
        return asked

    async def _ask(self, number: int) -> Asked:
        """Ask for a prediction, which is another one for each number."""
        product_code = self._product_codes[number % len(self._product_codes)]
        orders_placed = number % MOST_ORDERS
        body = json.dumps({"product_code": product_code, "orders_placed": orders_placed})
        request = request_bytes("POST", ESTIMATE, body.encode())
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
            return await _exchange(connection, request)
        finally:
            await _close(connection)

    async def _ask_kept(self, request: bytes) -> Answer:
        """Send a request on a connection that is kept, and replace that if it is closed."""
        connection = self._kept.popleft() if self._kept else await self._connect()
        answer = None
        try:
            answer = await _exchange(connection, request)
        finally:
            if answer is None or answer.is_last:
                await _close(connection)
                connection = await self._connect()
            self._kept.append(connection)
        return answer

    async def _connect(self) -> Connection:
        return await asyncio.open_connection("127.0.0.1", self._port)


class Balancer:
    """Passes each new connection on to the first service that says that it is ready.

    What is connected stays connected, as with Kubernetes' services.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        """Prepare to balance between the services at some ports of this machine."""
        self._ports = ports
        self._ready: list[int] = []
        self._passing: set[asyncio.Task[None]] = set()
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Balance, at `port`."""
        await self._look()
        polling = asyncio.create_task(self._poll())
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            polling.cancel()
            server.close()
            await asyncio.wait([polling, *self._passing])
            await server.wait_closed()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self._look()

    async def _look(self) -> None:
        self._ready = [port for port in self._ports if await is_ready(port)]

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        passing = asyncio.create_task(self._pass_on((reader, writer)))
        self._passing.add(passing)
        passing.add_done_callback(self._passing.discard)

    async def _pass_on(self, client: Connection) -> None:
        """Copy between a client and a service until one of them has enough."""
        try:
            service = await asyncio.open_connection("127.0.0.1", self._ready[0])
        except (OSError, IndexError):  # the client will see it
            await _close(client)
            return
        there = asyncio.create_task(_copy(client[0], service[1]))
        back = asyncio.create_task(_copy(service[0], client[1]))
        await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        await _close(client)
        await _close(service)
        await asyncio.wait([there, back])


async def is_ready(port: int) -> bool:
    """Tell whether a service of this machine says that it is ready."""
    try:
        connection = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    try:
        return (await _exchange(connection, request_bytes("GET", "/readyz"))).status == 200
    except (ConnectionError, asyncio.IncompleteReadError):
        return False
    finally:
        await _close(connection)


async def _exchange(connection: Connection, request: bytes) -> Answer:
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


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()


async def _close(connection: Connection) -> None:
    writer = connection[1]
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
