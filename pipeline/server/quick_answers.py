"""The protocol of a connection: valid requests for predictions and curves are answered at once.

uvicorn begins a task for each request, which waits for the body, and sends head and body of the
answer in two coroutines. That takes several times longer than a prediction. A request that has
arrived as a whole and is certainly valid needs no waiting: here its answer is written in the moment
in which it was parsed. Every other request goes uvicorn's way to the same application, which gives
the same answers. Without this module, only the speed would change.

This module, `header_limit`, `timeouts` and `upgrades` look into uvicorn's protocol, which is no
public interface.
"""

import asyncio
from time import perf_counter
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from pipeline.server.drain import CLOSE
from pipeline.server.middleware import RequestMiddleware
from pipeline.server.upgrades import HttpOnlyProtocol


class QuickExchange:
    """What uvicorn and `timeouts` want to know of a request that has its answer already.

    Attributes:
        scope: of the request.
        answer: as it is sent.
        keep_alive: whether the connection is kept after it; uvicorn takes that back if it stops.
        response_complete: whether it was sent.
        response_started: the same.
        more_body: that its body is here.
        disconnected: whether the client has gone; uvicorn sets it.
    """

    more_body = False
    message_event = asyncio.Event()
    """Nobody waits for it."""

    def __init__(self, scope: Scope, answer: bytes, keep_alive: bool) -> None:
        """Take the place of uvicorn's own exchange of a request."""
        self.scope = scope
        self.answer = answer
        self.keep_alive = keep_alive
        self.response_complete = self.response_started = self.disconnected = False


class QuickAnswersProtocol(HttpOnlyProtocol):
    """uvicorn's protocol for the service; see this module.

    A request is held back from uvicorn from the end of its headers until it is complete, which is
    in the same piece of data, or until the piece ends.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what uvicorn gives, of which the application is that of the service."""
        super().__init__(*args, **options)
        app = cast(RequestMiddleware, self.config.app)
        self._may_answer = app.may_answer_at_once
        self._answer = app.answer_at_once
        self._is_held = False
        self._held_body = b""
        self._held_since = 0.0

    def data_received(self, data: bytes) -> None:
        """Take a piece of data, which may have the end of a request in it, or several."""
        super().data_received(data)
        if self._is_held:
            self._let_go()

    def on_headers_complete(self) -> None:
        """Hold a request that may be answered at once, if there is nothing to wait for."""
        exchange = self.cycle
        if (
            (exchange is None or exchange.response_complete)
            and not self.flow.write_paused
            and not self.expect_100_continue
            and self._may_answer(self.parser.get_method(), self.url)
            and not self.parser.should_upgrade()
        ):
            self._is_held = True
            self._held_body = b""
            self._held_since = perf_counter()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        if self._is_held:
            self._held_body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer a held request, or let uvicorn have it after all."""
        if self._is_held and not self._is_answered():
            self._let_go()
        if self._is_held:
            self._is_held = False
        else:
            super().on_message_complete()

    def _let_go(self) -> None:
        """Tell uvicorn what has arrived of a held request."""
        self._is_held = False
        super().on_headers_complete()
        if self._held_body:
            super().on_body(self._held_body)

    def _is_answered(self) -> bool:
        """Answer a held request if it is valid, and tell whether it was.

        The answer is sent after the other connections were read. Then a client of several of them
        is woken up once, and not once for each: a system call that wakes a sleeping program takes
        longer than a prediction.
        """
        scope = cast(Scope, self.scope)
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["path"] = self.url.decode("ascii")
        answer = self._answer(scope, self._held_body, self._held_since)
        if answer is None:
            return False
        status, headers, content = answer
        keep_alive = CLOSE not in headers
        if keep_alive and not self.parser.should_keep_alive():
            keep_alive = False
            headers.append(CLOSE)
        parts = [STATUS_LINE[status]]
        for name, value in self.server_state.default_headers + headers:
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n", content)
        exchange = QuickExchange(scope, b"".join(parts), keep_alive)
        self.cycle = exchange  # type: ignore[assignment]
        self.loop.call_soon(self._send, exchange)
        return True

    def _send(self, exchange: QuickExchange) -> None:
        """Send an answer, as uvicorn does."""
        if exchange.disconnected:
            return
        self.transport.write(exchange.answer)
        exchange.response_started = exchange.response_complete = True
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()
