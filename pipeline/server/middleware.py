"""What holds for every request, whichever way it is answered.

Each request gets an identifier, is asked for the API key, is read within the limits, is counted
and timed, and is told to leave when the service is about to stop. All of that happens here,
around both ways to an answer: the short one and FastAPI's.
"""

import asyncio
import re
from collections.abc import Collection
from itertools import count
from secrets import token_hex
from time import perf_counter
from urllib.parse import quote

from starlette._utils import get_route_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.api.errors import error_response
from pipeline.api.keys import HEALTH_PATHS, KEY_HEADER, OPEN_PATHS, KeyRing
from pipeline.api.metrics import OTHER
from pipeline.api.predictions import ESTIMATE_BATCH
from pipeline.api.service import DispatchService
from pipeline.server.fast_path import FastAnswer, answer_fast
from pipeline.server.request_body import (
    BodyReader,
    ClientGone,
    RequestRefused,
    body_in,
    refuse_declared_length,
)
from pipeline.stages.logs import LOG, REQUEST_ID

MAX_BODY_BYTES = 1024 * 1024
MAX_BATCH_BODY_BYTES = 4 * 1024 * 1024

SAFE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
"""Identifiers of clients that are taken over; others could break log lines."""
ID_PREFIX = token_hex(8).encode()
"""Makes our identifiers differ from those of other processes."""
ID_NUMBERS = count(1)

CLIENT_CLOSED_REQUEST = 499
"""How nginx counts requests whose client has gone."""

JSON_CONTENT = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
REFUSAL_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}


class RequestGuard:
    """The outermost part of the application."""

    def __init__(
        self,
        app: ASGIApp,
        service: DispatchService,
        routes: Collection[str],
        fast_answer: FastAnswer = answer_fast,
    ) -> None:
        """Put the guard around the application.

        Args:
            app: answers what has no short answer.
            service: gives the settings, and counts.
            routes: the paths that there are.
            fast_answer: see `answer_fast`.
        """
        self._app = app
        self._service = service
        self._settings = service.settings
        self._metrics = service.metrics
        self._routes = frozenset(routes)
        self._fast_answer = fast_answer
        self._keys = KeyRing(service.settings.api_keys)
        self._bodies = BodyReader()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; let through what is not one, such as the application's lifespan."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        if self._settings.root_path:
            scope["root_path"] = self._settings.root_path
        exchange = _Exchange(scope, receive, send, self._service)
        try:
            await self._answer(exchange)
        except RequestRefused as refused:
            await self._refuse(refused, exchange)
        except ClientGone:
            pass
        except asyncio.CancelledError:
            # The server stops, and has waited long enough.
            if exchange.status != CLIENT_CLOSED_REQUEST:
                raise
            detail = "The service is stopping. Try again in a second."
            await self._refuse(RequestRefused(503, "stopping", detail), exchange)
        seconds = perf_counter() - started
        route = exchange.path if exchange.path in self._routes else OTHER
        self._metrics.count_request(route, exchange.status, seconds)
        if self._settings.access_log:
            _log(exchange, seconds)

    async def _answer(self, exchange: "_Exchange") -> None:
        """Answer a request the short way if there is one, else FastAPI's.

        Raises:
            RequestRefused: it may not be answered as it wishes.
            ClientGone: nobody waits for an answer.
        """
        path, headers = exchange.path, exchange.headers
        if path not in OPEN_PATHS and not self._keys.accepts(headers):
            detail = f"Send a valid API key in the header {KEY_HEADER}."
            raise RequestRefused(401, "no_valid_key", detail)
        limit = MAX_BATCH_BODY_BYTES if path == ESTIMATE_BATCH else MAX_BODY_BYTES
        refuse_declared_length(headers, limit)
        message = await exchange.receive()
        if message.get("more_body"):
            body = await self._bodies.read_rest(message, exchange.receive, limit)
        else:
            body = body_in(message, limit)
        if exchange.scope["method"] == "POST":
            content_type = headers.get(b"content-type")
            content = self._fast_answer(self._service, path, content_type, body)
            if content is not None:
                await exchange.send(exchange.start_json(content))
                await exchange.send({"type": "http.response.body", "body": content})
                return
        await self._ask_app(exchange, body)

    async def _ask_app(self, exchange: "_Exchange", body: bytes) -> None:
        """Let FastAPI answer a request, unless too many requests are waiting for it already.

        Raises:
            RequestRefused: there are too many.
        """
        most = self._settings.max_concurrency
        if self._metrics.in_progress >= most and exchange.path not in HEALTH_PATHS:
            detail = f"{most:,} requests are being worked on already. Try again in a second."
            raise RequestRefused(503, "overloaded", detail)
        REQUEST_ID.set(exchange.request_id.decode())
        self._metrics.in_progress += 1
        try:
            await self._app(exchange.scope, _replay(body, exchange.receive), exchange.send_tagged)
        except Exception:
            # FastAPI's handler has answered 500 already, if nothing had been answered before.
            LOG.exception("A request failed in a way that nobody foresaw. Please report this.")
        finally:
            self._metrics.in_progress -= 1

    async def _refuse(self, refused: RequestRefused, exchange: "_Exchange") -> None:
        """Say why a request is not answered."""
        self._metrics.count_refusal(refused.reason)
        headers = REFUSAL_HEADERS.get(refused.status)
        response = error_response(exchange.path, refused.status, refused.detail, headers)
        await response(exchange.scope, exchange.receive, exchange.send_tagged)


class _Exchange:
    """A request and its answer, to which it adds what every answer has.

    Attributes:
        scope: see ASGI.
        receive: see ASGI.
        send: see ASGI.
        path: without the prefix that a proxy may have put before it.
        headers: of the request, with names in lower case; of one that comes twice the first
            counts, as it does for FastAPI.
        request_id: the one that the client gave if it is harmless, else ours.
        status: of the answer.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, service: DispatchService
    ) -> None:
        """Take a request as it comes; `service` knows whether it is about to stop."""
        self.scope = scope
        self.receive = receive
        self.send = send
        self.path: str = get_route_path(scope) if scope["root_path"] else scope["path"]
        self.headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        given = self.headers.get(b"x-request-id")
        if given is not None and SAFE_ID.fullmatch(given):
            self.request_id = given
        else:
            self.request_id = b"%b-%x" % (ID_PREFIX, next(ID_NUMBERS))
        self.status = CLIENT_CLOSED_REQUEST
        self._service = service

    def start_json(self, content: bytes) -> Message:
        """Return the first message of an answer 200."""
        self.status = 200
        headers = [JSON_CONTENT, (b"content-length", b"%d" % len(content)), *self._tags()]
        return {"type": "http.response.start", "status": 200, "headers": headers}

    async def send_tagged(self, message: Message) -> None:
        """Send a message of an answer that is not ours."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._tags()]
        await self.send(message)

    def _tags(self) -> list[tuple[bytes, bytes]]:
        """Return the headers to add; the service may be about to stop only since the request."""
        tags = [(b"x-request-id", self.request_id)]
        return [*tags, CLOSE] if self._service.is_draining else tags


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that has been read already, and then what comes after it."""
    messages = iter([{"type": "http.request", "body": body}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay


def _log(exchange: _Exchange, seconds: float) -> None:
    """Log a line about a request that has been answered."""
    REQUEST_ID.set(exchange.request_id.decode())
    path = quote(exchange.scope["path"])  # it may have line breaks in it
    method = exchange.scope["method"]
    LOG.info(f"{method} {path} {exchange.status} in {1e3 * seconds:.2f} ms")
