"""The fast path: valid requests for predictions and curves are answered without FastAPI.

FastAPI takes several times longer than an answer itself, and longer to read the JSON of a batch
than its predictions take. So a request that is certainly valid is answered here, by the same schema
and with the same bytes, and every other one by FastAPI, which still declares and documents these
routes, and answers all errors. Without this module, only the speed would change.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.api.batch_bodies import read_batch
from pipeline.api.batch_schemas import batch_of
from pipeline.api.batches import answer_batch
from pipeline.api.errors import route_path
from pipeline.api.predictions import ESTIMATE, ESTIMATE_BATCH, ESTIMATE_WITH_INTERVAL
from pipeline.api.product_curves import PRODUCT_CURVES
from pipeline.api.service import DispatchService
from pipeline.server.batch_queue import BatchQueue
from pipeline.server.body_limit import ClientGone, replay
from pipeline.server.exchange import Exchange, Header
from pipeline.server.held_bytes import HeldBytes

WITH_INTERVAL = {ESTIMATE: False, ESTIMATE_WITH_INTERVAL: True}
"""The paths that have a fast path, and whether their answers have an interval."""
PREDICTION_URLS = frozenset(path.encode() for path in WITH_INTERVAL)
CURVE_URLS = PRODUCT_CURVES.encode()
CODED = re.compile(rb"[%?#]")
"""What a URL has in it that is more than its path, or is not written as it is meant."""
MAX_SENT_AT_ONCE = 64 * 1024
"""Bytes of an answer that uvicorn keeps without having anybody wait until they are read."""
JSON = b"application/json"
JSON_CONTENT = (b"content-type", JSON)
READING = {"GET", "HEAD"}
LIKE_JSON = re.compile(rb"\s*application/(?:[^/;]*\+)?json\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)
"""JSON in other words: FastAPI compares media types without case and parameters. A charset among
them means nothing, since JSON is UTF-8 (RFC 8259, sections 8.1 and 11)."""

FastAnswer = tuple[int, list[Header], bytes]
"""Status, headers and body of an answer, as ASGI has them."""
AnswerFast = Callable[[DispatchService, Exchange, bytes], FastAnswer | None]
FastBatchAnswer = Callable[[DispatchService, bytes | None, bytes], Awaitable[bytes | None]]


def may_be_fast(method: bytes, url: bytes) -> bool:
    """Tell whether a request with this first line may have an answer of `answer_fast`.

    Some that tell no less plainly what they ask for are left out: HEAD, and coded characters.
    """
    if method == b"POST":
        return url in PREDICTION_URLS
    return method == b"GET" and url.startswith(CURVE_URLS) and CODED.search(url) is None


def answer_fast(service: DispatchService, exchange: Exchange, body: bytes) -> FastAnswer | None:
    """Return the answer to a valid request for a prediction or a product's curve, else None.

    Args:
        service: has the model.
        exchange: has the request.
        body: of the request.
    """
    method = exchange.scope["method"]
    try:
        if method == "POST":
            return _prediction(service, exchange, body)
        if method in READING and exchange.path.startswith(PRODUCT_CURVES):
            return _curve(service, exchange)
    except Exception:  # noqa: S110 - an invalid request, no model or a bug: FastAPI tells which
        pass
    return None


def _prediction(service: DispatchService, exchange: Exchange, body: bytes) -> FastAnswer | None:
    with_interval = WITH_INTERVAL.get(exchange.path)
    if with_interval is None or not _is_json(exchange.headers.get(b"content-type")):
        return None
    answer = service.answers().answer_body(body, with_interval)
    service.metrics.count_prediction(answer.label, answer.extrapolated)
    length = b"%d" % len(answer.content)
    return 200, [JSON_CONTENT, (b"content-length", length)], answer.content


def _curve(service: DispatchService, exchange: Exchange) -> FastAnswer:
    product_code = exchange.path.removeprefix(PRODUCT_CURVES)
    known_tags = exchange.headers.get(b"if-none-match")
    return service.curves().answer(product_code, known_tags)


async def answer_fast_batch(
    service: DispatchService, content_type: bytes | None, body: bytes
) -> bytes | None:
    """Return the body of the answer 200 to a valid batch, else None; see `answer_fast`."""
    if not _is_json(content_type):
        return None
    try:
        answers = service.answers()
        return await answer_batch(answers, batch_of(await read_batch(body)), service.metrics)
    except Exception:  # see answer_fast
        return None


class BatchFastPath:
    """An application that answers valid batches, and lets another one answer everything else.

    All batches take turns, and end them before their answers are read.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: DispatchService,
        held: HeldBytes,
        answer: FastBatchAnswer = answer_fast_batch,
    ) -> None:
        """Put the fast path around an application.

        Args:
            app: answers everything else.
            service: has the model, and the setting of how many may wait.
            held: counts the bytes of batches that wait, and of answers that are not read.
            answer: see `answer_fast_batch`.
        """
        self._app = app
        self._service = service
        self._answer = answer
        self._held = held
        self._queue = BatchQueue(service.settings.max_concurrency, held)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, of which the first message holds the whole body.

        Raises:
            RequestRefused: it is a batch, and too many wait already.
            ClientGone: it is one, and nobody waits for it any more when its turn comes.
        """
        if scope["method"] != "POST" or route_path(scope) != ESTIMATE_BATCH:
            await self._app(scope, receive, send)
            return
        body: bytes = (await receive())["body"]
        content_type = dict(reversed(scope["headers"])).get(b"content-type")
        leaving = asyncio.ensure_future(receive())  # after the body there is nothing but the end
        try:
            async with self._queue.turn(body):
                if leaving.done():
                    raise ClientGone
                leaving.cancel()
                content = await self._answer(self._service, content_type, body)
                if content is None:
                    await self._app(scope, replay(body, receive), send)
                    return
        finally:
            leaving.cancel()
        with self._held.holding(len(body) + len(content)):
            length = (b"content-length", b"%d" % len(content))
            await send_answer((200, [JSON_CONTENT, length], content), send)


async def send_answer(answer: FastAnswer, send: Callable[[Message], Awaitable[None]]) -> None:
    """Send an answer; one that the client does not take at once has been read when this returns."""
    status, headers, content = answer
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if len(content) <= MAX_SENT_AT_ONCE:
        await send({"type": "http.response.body", "body": content})
        return
    await send({"type": "http.response.body", "body": content, "more_body": True})
    await send({"type": "http.response.body"})  # uvicorn waits before it, not after the last


def _is_json(content_type: bytes | None) -> bool:
    if content_type is None:
        return False
    return content_type == JSON or LIKE_JSON.fullmatch(content_type) is not None
