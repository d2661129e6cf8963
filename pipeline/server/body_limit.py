"""Reading the bodies of requests, each within its limit."""

from starlette.types import Message, Receive

from pipeline.api.predictions import ESTIMATE_BATCH
from pipeline.server.exchange import OpenExchange
from pipeline.server.held_bytes import HeldBytes
from pipeline.server.refusals import RequestRefused

MAX_BODY_BYTES = 1024 * 1024
MAX_BATCH_BODY_BYTES = 8 * 1024 * 1024
MIN_DIGITS_TOO_LONG = len(str(MAX_BODY_BYTES))


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class BodyLimit:
    """Reads bodies."""

    def __init__(self, held: HeldBytes) -> None:
        """Start without any body; `held` counts the bytes of those that have arrived in part."""
        self._held = held

    async def read(self, exchange: OpenExchange) -> bytes:
        """Return the body of a request.

        Raises:
            RequestRefused: the body is too long, or there are too many unfinished ones.
            ClientGone: the rest of the body will not come.
        """
        limit = MAX_BATCH_BODY_BYTES if exchange.path == ESTIMATE_BATCH else MAX_BODY_BYTES
        declared = exchange.headers.get(b"content-length", b"")
        # int() would fail on more than 4,300 digits.
        if len(declared) >= MIN_DIGITS_TOO_LONG and declared.isdigit() and float(declared) > limit:
            raise _too_long(limit)
        message = await exchange.receive()
        body: bytes = message.get("body", b"")
        if message["type"] == "http.disconnect" or message.get("more_body") or len(body) > limit:
            return await self._read_pieces(message, exchange.receive, limit)
        return body

    async def _read_pieces(self, message: Message, receive: Receive, limit: int) -> bytes:
        """Return a body that comes in several messages, of which this is the first."""
        pieces = []
        length = 0
        try:
            while True:
                pieces.append(_piece_in(message, limit))
                length += len(pieces[-1])
                self._held.add(len(pieces[-1]))
                if length > limit:
                    raise _too_long(limit)
                if not message.get("more_body"):
                    return b"".join(pieces)
                self._held.check(length)
                message = await receive()
        finally:
            self._held.add(-length)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that has been read already, and then what comes after it."""
    messages = iter([{"type": "http.request", "body": body}])

    async def receive_again() -> Message:
        return next(messages, None) or await receive()

    return receive_again


def _piece_in(message: Message, limit: int) -> bytes:
    """Return the part of a body that is in a message.

    Raises:
        RequestRefused: it alone is longer than `limit` bytes.
        ClientGone: the client has left.
    """
    if message["type"] == "http.disconnect":
        raise ClientGone
    piece: bytes = message.get("body", b"")
    if len(piece) > limit:
        raise _too_long(limit)
    return piece


def _too_long(limit: int) -> RequestRefused:
    return RequestRefused(413, "body_too_long", f"The body is longer than {limit:,} bytes.")
