"""Reading the bodies of requests: each within its limit, and all of them within one."""

from collections.abc import Mapping

from starlette.types import Message, Receive

MAX_WAITING_BODY_BYTES = 64 * 1024 * 1024
"""Of all bodies together that have arrived in part; clients may be slow, and many."""


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class RequestRefused(Exception):
    """A request that is not answered as it wishes.

    Attributes:
        status: of the answer.
        reason: a word for the metrics.
        detail: what is wrong and what to do.
    """

    def __init__(self, status: int, reason: str, detail: str) -> None:
        """Refuse a request."""
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail


class BodyReader:
    """Reads bodies, and knows how many bytes of unfinished ones are waiting in memory."""

    def __init__(self, max_waiting_bytes: int = MAX_WAITING_BODY_BYTES) -> None:
        """Start without any body."""
        self._most_waiting_bytes = max_waiting_bytes
        self._waiting_bytes = 0

    async def read_rest(self, message: Message, receive: Receive, limit: int) -> bytes:
        """Return a body that comes in several messages.

        Args:
            message: the first of them.
            receive: gives the others.
            limit: longest body in bytes.

        Raises:
            RequestRefused: the body is too long, or there are too many unfinished ones.
            ClientGone: the rest of the body will not come.
        """
        pieces = []
        length = 0
        try:
            while True:
                pieces.append(body_in(message, limit))
                length += len(pieces[-1])
                self._waiting_bytes += len(pieces[-1])
                if length > limit:
                    raise _too_long(limit)
                if not message.get("more_body"):
                    return b"".join(pieces)
                if self._waiting_bytes > self._most_waiting_bytes:
                    detail = "Too many requests are coming in at once. Try again in a second."
                    raise RequestRefused(503, "overloaded", detail)
                message = await receive()
        finally:
            self._waiting_bytes -= length


def refuse_declared_length(headers: Mapping[bytes, bytes], limit: int) -> None:
    """Refuse a request that says that its body is too long, before any of it is read.

    Args:
        headers: of the request, with names in lower case.
        limit: longest body in bytes.

    Raises:
        RequestRefused: it is too long.
    """
    declared = headers.get(b"content-length", b"0")
    # int() would fail on more than 4,300 digits.
    if declared.isdigit() and float(declared) > limit:
        raise _too_long(limit)


def body_in(message: Message, limit: int) -> bytes:
    """Return the part of a body that is in a message.

    Raises:
        RequestRefused: it alone is longer than `limit` bytes.
        ClientGone: the client has left.
    """
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if len(body) > limit:
        raise _too_long(limit)
    return body


def _too_long(limit: int) -> RequestRefused:
    return RequestRefused(413, "body_too_long", f"The body is longer than {limit:,} bytes.")
