"""Timeouts of connections: clients that send or read too slowly are disconnected.

uvicorn closes connections that are idle after an answer, but waits without end for a first
request, for the rest of headers, for the rest of a body, and for its answers to be read. Its limit
on concurrency counts idle connections too, so that many of them would keep others from answers.

This module, `protocol` and `upgrades` look into uvicorn's protocol, which is no public interface.
"""

from collections.abc import Collection
from http import HTTPStatus
from time import monotonic
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pipeline.api.errors import route_path
from pipeline.api.metrics import ServiceMetrics
from pipeline.server.last_answers import last_answer
from pipeline.stages.settings import ServeSettings

UVICORN_VERSION = "0.54.0"
"""What these modules were written for. They need of each `HttpToolsProtocol` the attributes
`config`, `cycle`, `expect_100_continue`, `flow`, `headers`, `loop`, `parser`, `scope`,
`server_state`, `transport`, `url` and `_should_upgrade`, and of a cycle `disconnected`,
`keep_alive`, `message_event`, `scope`, `response_started` and `response_complete`."""

TOO_SLOW = "The request took too long to arrive, or its answer to begin. Send it again."


class _Phase(NamedTuple):
    """What a connection is doing.

    Attributes:
        exchange: uvicorn's state of the last request whose headers have arrived; None before.
        is_answered: whether that has been sent its whole answer, so that the headers of the next
            are awaited.
    """

    exchange: RequestResponseCycle | None
    is_answered: bool


class ConnectionTimeouts:
    """Looks at all connections now and then, and closes those that have been too slow.

    It compares what it sees with what it saw before, which costs the requests nothing; so its
    limits are exact to the time between two looks.
    """

    def __init__(self, settings: ServeSettings, metrics: ServiceMetrics) -> None:
        """Start without having seen a connection.

        Args:
            settings: how many seconds headers and requests may take.
            metrics: count the connections that were closed.
        """
        self._settings = settings
        self._metrics = metrics
        self._seen: dict[HttpToolsProtocol, tuple[_Phase, float]] = {}

    def close_slow(self, connections: Collection[Any]) -> None:
        """Close the connections that have been in the same phase for too long.

        Args:
            connections: uvicorn's `HttpToolsProtocol`s.
        """
        now = monotonic()
        seen = {}
        for connection in connections:
            phase = _phase(connection)
            before, since = self._seen.get(connection, (phase, now))
            seen[connection] = (phase, since if before == phase else now)
            if now - seen[connection][1] > self._max_seconds(phase):
                self._close(connection, phase)
        self._seen = seen

    def _max_seconds(self, phase: _Phase) -> float:
        """Return how many seconds a phase may take."""
        if phase.is_answered:
            return self._settings.header_seconds
        return self._settings.request_seconds

    def _close(self, connection: HttpToolsProtocol, phase: _Phase) -> None:
        """Close a connection; say why, if the client waits for an answer that has not begun."""
        if connection.transport.get_write_buffer_size():
            # The client does not read, and close() would wait until it does.
            self._metrics.count_refusal("too_slow")
            connection.transport.abort()
            return
        if connection.transport.is_closing():
            return
        answer_has_begun = phase.exchange is not None and phase.exchange.response_started
        next_has_begun = connection.scope is not (phase.exchange and phase.exchange.scope)
        if next_has_begun or not answer_has_begun and phase.exchange is not None:
            self._metrics.count_refusal("too_slow")
            known: Any = phase.exchange if not next_has_begun else None
            path = "" if known is None else route_path(known.scope)
            connection.transport.write(last_answer(HTTPStatus.REQUEST_TIMEOUT, TOO_SLOW, path))
        connection.transport.close()


def _phase(connection: HttpToolsProtocol) -> _Phase:
    exchange: RequestResponseCycle | None = connection.cycle
    if exchange is None:
        return _Phase(exchange, is_answered=True)
    is_sent = connection.transport.get_write_buffer_size() == 0
    return _Phase(exchange, exchange.response_complete and is_sent)
