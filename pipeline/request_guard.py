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
from typing import NamedTuple
from urllib.parse import quote

from starlette._utils import get_route_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.api_errors import error_response
from pipeline.api_keys import KEY_HEADER, KeyRing
from pipeline.dispatch_service import DispatchService
from pipeline.prediction_api import ESTIMATE_BATCH
from pipeline.request_body import BodyReader, ClientGone, RequestRefused
from pipeline.service_metrics import OTHER
from pipeline.short_path import ShortAnswer, answer_shortly
from pipeline.stage_logging import LOG, REQUEST_ID

MAX_BODY_BYTES = 1024 * 1024
MAX_BATCH_BODY_BYTES = 4 * 1024 * 1024

HEALTH_PATHS = frozenset({"/healthz", "/readyz"})
OPEN_PATHS = HEALTH_PATHS | {"/"}
"""Paths that need no key: the probes, and the web page, which has no data and asks for the key."""

SAFE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
"""Identifiers of clients that are taken over; others could break log lines."""

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
        short_answer: ShortAnswer = answer_shortly,
    ) -> None:
        """Put the guard around the application.

        Args:
            app: answers what has no short answer.
            service: gives the settings, and counts.
            routes: the paths that there are.
            short_answer: see `answer_shortly`.
        """
        self._app = app
        self._service = service
        self._metrics = service.metrics
        self._routes = frozenset(routes)
        self._short_answer = short_answer
        self._keys = KeyRing(service.settings.api_keys)
        self._bodies = BodyReader()
        self._in_app = 0
        self._id_prefix = token_hex(8).encode()
        self._id_numbers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; let through what is not one, such as the application's lifespan."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        if self._service.settings.root_path:
            scope["root_path"] = self._service.settings.root_path
        # Of a header that comes twice the first counts, as it does for FastAPI.
        headers = dict(reversed(scope["headers"]))
        request = _Request(scope, receive, get_route_path(scope), headers)
        answer = _Answer(send, self._identify(request), self._service)
        try:
            await self._answer(request, answer)
        except RequestRefused as refused:
            await self._refuse(refused, request, answer)
        except ClientGone:
            answer.status = CLIENT_CLOSED_REQUEST
        except asyncio.CancelledError:
            # The server stops, and has waited long enough.
            if answer.status != CLIENT_CLOSED_REQUEST:
                raise
            detail = "The service is stopping. Try again in a second."
            await self._refuse(RequestRefused(503, "stopping", detail), request, answer)
        seconds = perf_counter() - started
        route = request.path if request.path in self._routes else OTHER
        self._metrics.count_request(route, answer.status, seconds)
        if self._service.settings.access_log:
            REQUEST_ID.set(answer.request_id)
            path = quote(scope["path"])  # it may have line breaks in it
            LOG.info(f"{scope['method']} {path} {answer.status} in {1e3 * seconds:.2f} ms")

    def _identify(self, request: "_Request") -> bytes:
        """Return the identifier that the client gave the request if it is harmless, else ours."""
        given = request.headers.get(b"x-request-id")
        if given is not None and SAFE_ID.fullmatch(given):
            return given
        return b"%b-%x" % (self._id_prefix, next(self._id_numbers))

    async def _answer(self, request: "_Request", answer: "_Answer") -> None:
        """Answer a request the short way if there is one, else FastAPI's.

        Raises:
            RequestRefused: it may not be answered as it wishes.
            ClientGone: nobody waits for an answer.
        """
        path, headers = request.path, request.headers
        if path not in OPEN_PATHS and not self._keys.accepts(headers):
            detail = f"Send a valid API key in the header {KEY_HEADER}."
            raise RequestRefused(401, "no_valid_key", detail)
        limit = MAX_BATCH_BODY_BYTES if path == ESTIMATE_BATCH else MAX_BODY_BYTES
        body = await self._bodies.read(request.receive, headers, limit)
        if request.scope["method"] == "POST":
            content_type = headers.get(b"content-type")
            content = self._short_answer(self._service, path, content_type, body)
            if content is not None:
                await answer.send_json(content)
                return
        await self._ask_app(request, body, answer)

    async def _ask_app(self, request: "_Request", body: bytes, answer: "_Answer") -> None:
        """Let FastAPI answer a request, unless too many requests are waiting for it already.

        Raises:
            RequestRefused: there are too many.
        """
        most = self._service.settings.max_concurrency
        if self._in_app >= most and request.path not in HEALTH_PATHS:
            detail = f"{most:,} requests are being worked on already. Try again in a second."
            raise RequestRefused(503, "overloaded", detail)
        REQUEST_ID.set(answer.request_id)
        self._in_app += 1
        self._metrics.in_progress.set(self._in_app)
        try:
            await self._app(request.scope, _replay(body, request.receive), answer)
        except Exception:
            # FastAPI's handler has answered 500 already, if nothing had been answered before.
            LOG.exception("A request failed in a way that nobody foresaw. Please report this.")
        finally:
            self._in_app -= 1
            self._metrics.in_progress.set(self._in_app)

    async def _refuse(
        self, refused: RequestRefused, request: "_Request", answer: "_Answer"
    ) -> None:
        """Say why a request is not answered."""
        self._metrics.count_refusal(refused.reason)
        headers = REFUSAL_HEADERS.get(refused.status)
        response = error_response(request.path, refused.status, refused.detail, headers)
        await response(request.scope, request.receive, answer)


class _Request(NamedTuple):
    """A request.

    Attributes:
        scope: see ASGI.
        receive: see ASGI.
        path: without the prefix that a proxy may have put before it.
        headers: with names in lower case.
    """

    scope: Scope
    receive: Receive
    path: str
    headers: dict[bytes, bytes]


class _Answer:
    """Sends an answer with what the guard adds to it, and remembers its status."""

    def __init__(self, send: Send, request_id: bytes, service: DispatchService) -> None:
        """Prepare an answer of a service."""
        self._send = send
        self._service = service
        self._tags = [(b"x-request-id", request_id)]
        self.request_id = request_id.decode("ascii")
        self.status = CLIENT_CLOSED_REQUEST

    async def __call__(self, message: Message) -> None:
        """Send a message of an answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._all_tags()]
        await self._send(message)

    async def send_json(self, content: bytes) -> None:
        """Send a whole answer 200."""
        length = b"%d" % len(content)
        headers = [JSON_CONTENT, (b"content-length", length), *self._all_tags()]
        self.status = 200
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": content})

    def _all_tags(self) -> list[tuple[bytes, bytes]]:
        """Return the headers to add; the service may be about to stop only since the request."""
        return [*self._tags, CLOSE] if self._service.is_draining else self._tags


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that has been read already, and then what comes after it."""
    messages = iter([{"type": "http.request", "body": body}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay
