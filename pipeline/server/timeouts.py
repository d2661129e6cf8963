"""Timeouts of connections: clients that send or read too slowly are disconnected.

uvicorn waits without end for a first request, for the rest of headers, for the rest of a body, and
for its answers to be read. Its limit on concurrency counts idle connections too, so that many of
them would keep others from answers.

This module, `header_limit`, `quick_answers` and `upgrades` look into uvicorn's protocol, which is
no public interface.
"""

import asyncio
from collections.abc import Callable, Collection
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
`config`, `cycle`, `expect_100_continue`, `flow`, `headers`, `loop`, `parser`, `pipeline`, `scope`,
`server_state`, `transport`, `url`, `_should_upgrade` and `_start_asgi_task`, of a cycle
`disconnected`, `keep_alive`, `message_event`, `more_body`, `scope`, `response_started` and
`response_complete`, and that `on_response_complete` does no more than `header_limit` says."""

IDLE_SECONDS = 75.0
"""Between an answer and the next request: longer than proxies keep connections, so that they close
them, who know whether a request is on its way. nginx takes as long for its clients."""
DRAIN_IDLE_SECONDS = 5.0
"""The same in the drain, which should end with hardly any connection left."""
MAX_STEP_SECONDS = 2.0
"""Counted between two looks; beyond that the process stood still, and its clients did not."""
LOOKED_AT_ONCE = 100
"""Connections, before others get their turns."""

TOO_SLOW = "The request took too long to arrive, or its answer to begin. Send it again."


class _Phase(NamedTuple):
    """What a connection is doing.

    Attributes:
        exchange: uvicorn's state of the last request whose headers have arrived; None before.
        is_answered: whether that has been sent its whole answer, so that the next is awaited.
        next_has_begun: whether some of the next has arrived.
    """

    exchange: RequestResponseCycle | None
    is_answered: bool
    next_has_begun: bool


class ConnectionTimeouts:
    """Looks at all connections now and then, and closes those that have been too slow.

    It compares what it sees with what it saw before, which costs the requests nothing; so its
    limits are exact to the time between two looks.
    """

    def __init__(
        self,
        settings: ServeSettings,
        metrics: ServiceMetrics,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Start without having seen a connection.

        Args:
            settings: how many seconds headers and requests may take.
            metrics: count the connections that were closed.
            clock: tells seconds.
        """
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._looked_at = clock()
        self._seen: dict[HttpToolsProtocol, tuple[_Phase, float]] = {}

    async def close_slow(self, connections: Collection[Any], is_draining: bool = False) -> None:
        """Close the connections that have been in the same phase for too long.

        What has arrived by now is read before, and others get their turns meanwhile.

        Args:
            connections: uvicorn's `HttpToolsProtocol`s.
            is_draining: whether connections without a request should end soon.
        """
        now = self._clock()
        step = min(now - self._looked_at, MAX_STEP_SECONDS)
        self._looked_at = now
        seen = {}
        for number, connection in enumerate(tuple(connections)):
            if number % LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)
            phase = _phase(connection)
            before, seconds = self._seen.get(connection, (None, 0.0))
            seconds = seconds + step if before == phase else 0.0
            seen[connection] = (phase, seconds)
            if seconds > self._max_seconds(phase, is_draining):
                self._close(connection, phase)
        self._seen = seen

    def _max_seconds(self, phase: _Phase, is_draining: bool) -> float:
        """Return how many seconds a phase may take."""
        if not phase.is_answered:
            return self._settings.request_seconds
        if phase.next_has_begun or phase.exchange is None or phase.exchange.more_body:
            return self._settings.header_seconds
        return DRAIN_IDLE_SECONDS if is_draining else IDLE_SECONDS

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
        if phase.next_has_begun or not answer_has_begun and phase.exchange is not None:
            self._metrics.count_refusal("too_slow")
            known: Any = phase.exchange if not phase.next_has_begun else None
            path = "" if known is None else route_path(known.scope)
            connection.transport.write(last_answer(HTTPStatus.REQUEST_TIMEOUT, TOO_SLOW, path))
        connection.transport.close()


def _phase(connection: HttpToolsProtocol) -> _Phase:
    exchange: RequestResponseCycle | None = connection.cycle
    next_has_begun = connection.scope is not (exchange and exchange.scope)
    if exchange is None:
        return _Phase(exchange, True, next_has_begun)
    is_sent = connection.transport.get_write_buffer_size() == 0
    return _Phase(exchange, exchange.response_complete and is_sent, next_has_begun)
