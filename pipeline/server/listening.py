"""Listening on every network, over IPv6 and IPv4 with one socket, which uvicorn does not."""

from errno import EADDRNOTAVAIL, EAFNOSUPPORT
from socket import AF_INET6, create_server, has_dualstack_ipv6, socket

from pipeline.stages.errors import ServiceError
from pipeline.stages.logs import LOG

EVERY_NETWORK = "::"
EVERY_IPV4_NETWORK = "0.0.0.0"
NO_IPV6 = {EADDRNOTAVAIL, EAFNOSUPPORT}


def sockets_for(host: str, port: int) -> list[socket] | None:
    """Return what to listen on, or None if uvicorn can open that itself.

    The host that means every network stands for IPv6 and IPv4; uvicorn would take it for IPv6
    alone. On a machine without IPv6 it is IPv4 alone, so that the same setting does anywhere.

    Raises:
        ServiceError: another program uses the port, or this one may not.
    """
    if host != EVERY_NETWORK:
        return None
    try:
        return [_over_both(port) or create_server((EVERY_IPV4_NETWORK, port))]
    except OSError as error:
        raise ServiceError(
            f"Cannot listen on port {port} of every network: {error.strerror}",
            "If another program uses the port, stop it or choose another --port.",
        ) from error


def _over_both(port: int) -> socket | None:
    """Return a socket for connections over IPv6 and IPv4, or None if there is no IPv6."""
    try:
        if has_dualstack_ipv6():
            return create_server((EVERY_NETWORK, port), family=AF_INET6, dualstack_ipv6=True)
    except OSError as error:
        if error.errno not in NO_IPV6:
            raise
    LOG.info("This machine has no IPv6, so the service listens over IPv4 alone.")
    return None


def url_of(listener: socket) -> str:
    """Return where a socket listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
