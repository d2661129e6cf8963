"""A small TCP balancer between services of this machine."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from deploy.campaign.steady_load import Connection, close, exchange, request_bytes
from deploy.campaign.tunnel_proxy import connect_both

POLL_SECONDS = 0.1


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
        """Connect a client with a service."""
        try:
            service = await asyncio.open_connection("127.0.0.1", self._ready[0])
        except (OSError, IndexError):  # the client will see it
            await close(client)
            return
        await connect_both(client, service)


async def is_ready(port: int) -> bool:
    """Tell whether a service of this machine says that it is ready."""
    try:
        connection = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    try:
        return (await exchange(connection, request_bytes("GET", "/readyz"))).status == 200
    except (ConnectionError, asyncio.IncompleteReadError):
        return False
    finally:
        await close(connection)
