"""A proxy that makes tunnels, and leads those to some hosts elsewhere."""

import asyncio
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

from deploy.campaign.steady_load import Connection, close

Address = tuple[str, int]


@contextmanager
def tunnel_proxy(address: str, elsewhere: Mapping[str, Address]) -> Iterator[int]:
    """Run the proxy in a thread on an address of this machine, and yield its port.

    Args:
        address: to listen on.
        elsewhere: where the tunnels to some hosts really lead; the others lead where they say.
    """
    loop = asyncio.new_event_loop()
    accept = partial(_accept, elsewhere)
    server = loop.run_until_complete(asyncio.start_server(accept, address, 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _accept(
    elsewhere: Mapping[str, Address], reader: StreamReader, writer: StreamWriter
) -> None:
    """Make one tunnel; a request for anything else is closed without an answer."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split()
        host, _, port = head[1].rpartition(":")
        target = elsewhere.get(host, (host, int(port)))
        there = await asyncio.open_connection(*target)
    except (OSError, asyncio.IncompleteReadError, ValueError, IndexError):
        await close((reader, writer))
        return
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await connect_both((reader, writer), there)


async def connect_both(one: Connection, other: Connection) -> None:
    """Copy between two connections until one of them has enough, and close both."""
    there = asyncio.create_task(_copy(one[0], other[1]))
    back = asyncio.create_task(_copy(other[0], one[1]))
    try:
        await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await close(one)
        await close(other)
        await asyncio.wait([there, back])


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()


async def _stop(server: asyncio.Server) -> None:
    """Close the server and all tunnels."""
    server.close()
    tunnels = asyncio.all_tasks() - {asyncio.current_task()}
    for tunnel in tunnels:
        tunnel.cancel()
    await asyncio.gather(*tunnels, return_exceptions=True)
