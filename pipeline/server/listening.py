"""Listening: the sockets are opened here, since uvicorn knows no one socket for IPv6 and IPv4, and
no sockets of several workers on one port.
"""

from errno import EADDRNOTAVAIL, EAFNOSUPPORT
from socket import (
    AF_INET6,
    AI_PASSIVE,
    SO_RCVBUF,
    SOCK_STREAM,
    SOL_SOCKET,
    create_server,
    getaddrinfo,
    has_dualstack_ipv6,
    socket,
)

from pipeline.stages.errors import ServiceError
from pipeline.stages.logs import LOG

EVERY_NETWORK = "::"
EVERY_IPV4_NETWORK = "0.0.0.0"  # noqa: S104 - only for those who ask for it
NO_IPV6 = {EADDRNOTAVAIL, EAFNOSUPPORT}


RECEIVED_BYTES = 64 * 1024
"""That the system keeps of each connection until they are read, and gives at once: if many clients
send long bodies, a round over all of them is short. The default grows to megabytes."""


def sockets_for(host: str, port: int, is_shared: bool = False) -> list[socket]:
    """Return what to listen on: one socket for each address of the host.

    The host that means every network stands for IPv6 and IPv4; others would take it for IPv6 alone.
    On a machine without IPv6 it is IPv4 alone, so that the same setting does anywhere.

    Args:
        host: name or address.
        port: 0 means any.
        is_shared: whether more may be opened on this port in the same way.

    Raises:
        ServiceError: there is no such host, another program uses the port, or this one may not.
    """
    try:
        if host == EVERY_NETWORK:
            over_ipv4 = (EVERY_IPV4_NETWORK, port)
            both = _over_both(port, is_shared)
            listeners = [both or create_server(over_ipv4, reuse_port=is_shared)]
        else:
            listeners = _on_addresses_of(host, port, is_shared)
        for listener in listeners:
            listener.setsockopt(SOL_SOCKET, SO_RCVBUF, RECEIVED_BYTES)
        return listeners
    except OSError as error:
        place = "every network" if host == EVERY_NETWORK else host
        raise ServiceError(
            f"Cannot listen on port {port} of {place}: {error.strerror}",
            "If another program uses the port, stop it or choose another --port.",
        ) from error


def sockets_for_each(workers: int, host: str, port: int) -> list[list[socket]]:
    """Return for each worker what it listens on, so that the kernel spreads connections over them.

    If all of them listened on one socket, the first to wake up would take nearly all connections.

    Raises:
        ServiceError: see `sockets_for`.
    """
    alone = sockets_for(host, port)  # which fails even if another program would share the port
    port = alone[0].getsockname()[1]
    for listener in alone:
        listener.close()
    return [sockets_for(host, port, is_shared=True) for _ in range(workers)]


def _on_addresses_of(host: str, port: int, is_shared: bool) -> list[socket]:
    found = dict.fromkeys(getaddrinfo(host, port, type=SOCK_STREAM, flags=AI_PASSIVE))
    return [
        create_server(address, family=family, reuse_port=is_shared) for family, *_, address in found
    ]


def _over_both(port: int, is_shared: bool) -> socket | None:
    """Return a socket for connections over IPv6 and IPv4, or None if there is no IPv6."""
    try:
        if has_dualstack_ipv6():
            return create_server(
                (EVERY_NETWORK, port), family=AF_INET6, reuse_port=is_shared, dualstack_ipv6=True
            )
    except OSError as error:
        if error.errno not in NO_IPV6:
            raise
    if not is_shared:
        LOG.info("This machine has no IPv6, so the service listens over IPv4 alone.")
    return None


def url_of(listener: socket) -> str:
    """Return where a socket listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
