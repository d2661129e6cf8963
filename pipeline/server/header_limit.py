"""The limits on headers, trailers and waiting requests, which are seen to while they arrive.

uvicorn's parser takes headers without end, in one header, in many, or in the trailers of a chunked
body, and keeps all of them. So bytes are counted from the start of a request to the end of its
headers, and from the last piece of a body to the end of its trailers.

It also takes as many requests as come at once, and begins to keep the state of each, which is a
hundred times as long as a short one. So what comes behind a request that waits is not parsed before
its turn.

This module, `quick_answers`, `timeouts` and `upgrades` look into uvicorn's protocol, which is no
public interface.
"""

import asyncio
from collections.abc import Collection
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

from pipeline.api.metrics import ServiceMetrics
from pipeline.server.last_answers import last_answer
from pipeline.server.quick_answers import QuickAnswersProtocol

MAX_HEAD_BYTES = 64 * 1024
"""From the start of a request to the end of its headers, and of its trailers."""
MAX_HEADERS = 128
"""In what has arrived of headers that are not complete: each takes more memory than its bytes."""
PIECE_BYTES = 4 * 1024
"""Are parsed at once: a system gives up to 256,000, which may be tens of thousands of headers."""
BODY_PIECE_BYTES = 16 * 1024
"""The same within a body."""
TOO_LONG = (
    f"The headers are longer than {MAX_HEAD_BYTES:,} bytes, or more than {MAX_HEADERS}. Send fewer."
)


class PatientFlow(FlowControl):
    """uvicorn's flow control, which reads on when its requests do, unless others wait."""

    def __init__(self, transport: asyncio.Transport, waiting: Collection[Any]) -> None:
        """Take the requests that wait."""
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read on if no request waits."""
        if not self._waiting:
            super().resume_reading()


class HeaderLimitedProtocol(QuickAnswersProtocol):
    """uvicorn's protocol with the limits, and without a timer for idle connections.

    Attributes:
        metrics: count the requests that are refused.
    """

    metrics: ServiceMetrics

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*args, **options)
        self.headers = []
        self._open_bytes = 0
        self._has_body = False
        self._rest = memoryview(b"")

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        super().connection_made(transport)
        self.flow = PatientFlow(transport, self.pipeline)

    def data_received(self, data: Any) -> None:
        """Parse what has arrived, as far as the limits allow."""
        if len(data) <= PIECE_BYTES and not self._open_bytes:
            self._parse(data)
            return
        self._rest = memoryview(data)
        self._parse_rest()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body, which is none of the headers."""
        self._has_body = True
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Begin to answer the next request if it is here: what uvicorn does, without its timer.

        The timer would close the connection before the sockets are looked at: after a process
        stood still, also while a request waits. `timeouts` closes idle connections instead.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        if self._rest:
            self._parse_rest()
        self.flow.resume_reading()

    def _parse_rest(self) -> None:
        """Parse what has arrived in pieces, until a request waits."""
        while self._rest and not self.pipeline and not self.transport.is_closing():
            most = BODY_PIECE_BYTES if self._has_body else PIECE_BYTES
            length = min(most, MAX_HEAD_BYTES - self._open_bytes)
            piece, self._rest = self._rest[:length], self._rest[length:]
            self._parse(piece)

    def _parse(self, piece: Any) -> None:
        """Parse a piece, and refuse the request if its headers or trailers are still incomplete."""
        self._has_body = False
        scope = self.scope
        super().data_received(piece)
        cycle = self.cycle
        if cycle is not None and cycle.scope is self.scope and not cycle.more_body:
            self._open_bytes = 0
            return
        is_new = self._has_body or self.scope is not scope
        self._open_bytes = len(piece) if is_new else self._open_bytes + len(piece)
        if self._open_bytes >= MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._refuse()

    def _refuse(self) -> None:
        """Close the connection, and say why if no other answer is due before."""
        if self.transport.is_closing():
            return
        self.metrics.count_refusal("headers_too_long")
        cycle: Any = self.cycle
        if cycle is None or cycle.scope is not self.scope:
            is_next = cycle is None or cycle.response_complete
        else:
            is_next = not cycle.response_started and not self.pipeline
        if is_next:
            path = self.url.partition(b"?")[0].decode("latin-1")
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.transport.write(last_answer(status, TOO_LONG, path))
        self.transport.close()


def protocol_for(metrics: ServiceMetrics) -> type[HeaderLimitedProtocol]:
    """Return the protocol of the connections to a service with these metrics.

    uvicorn makes the instances, and gives them nothing of the service.
    """
    return type("CountingProtocol", (HeaderLimitedProtocol,), {"metrics": metrics})
