"""The middleware around FastAPI: what is done for every request, and in which order.

1. `request_ids` gives the request its identifier, which refusals have too.
2. `cors` lets the pages of some origins read the answer, and answers what their browsers ask
   before.
3. `api_key` refuses requests without a valid key, before any of the body is read.
4. `body_limit` reads the body, and refuses one that is too long, or if too much is held already
   (`held_bytes`); `content_coding` refuses one that is compressed, and `body_weight` one that
   would take long to parse and is not valid.
5. `fast_path` answers a valid request for a prediction or a curve. Most requests end here; one that
   arrives as a whole comes to no later step, nor to ASGI: `quick_answers` asks for its answer.
6. `fast_path` answers a valid batch, in its turn (`batch_queue`).
7. FastAPI answers everything else, HEAD as GET; `unexpected_errors` logs what it raises, and
   `concurrency_limit` refuses a request if there are too many already.
8. `refusals` answers what one of the steps has refused.
9. `request_metrics` counts and logs the request with the status of its answer.

When an answer starts, `request_ids` and `cors` add their headers to it, and then `drain`.

Each concern has a module of its own, and this one calls them in turn. They are not ASGI
middlewares, one around the other, except for those around FastAPI: seven of them took the service a
third of its throughput in predictions, since each costs a coroutine, and each that looks at the
answer wraps `send` for every request. Here they share an `Exchange`, which wraps it once.
"""

import asyncio
from collections.abc import Collection
from time import perf_counter

from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.api.service import DispatchService
from pipeline.server.api_key import ApiKeyCheck
from pipeline.server.body_limit import BodyLimit, ClientGone, replay
from pipeline.server.body_weight import check_weight
from pipeline.server.concurrency_limit import ConcurrencyLimit
from pipeline.server.content_coding import check_coding
from pipeline.server.cors import OtherOrigins
from pipeline.server.drain import Drain, service_stopping
from pipeline.server.exchange import CLIENT_CLOSED_REQUEST, Exchange, OpenExchange
from pipeline.server.fast_path import (
    AnswerFast,
    BatchFastPath,
    FastAnswer,
    FastBatchAnswer,
    answer_fast,
    answer_fast_batch,
    may_be_fast,
    send_answer,
)
from pipeline.server.held_bytes import HeldBytes
from pipeline.server.refusals import RequestRefused, answer_refusal
from pipeline.server.request_ids import identify, name_in_log
from pipeline.server.request_metrics import RequestMetrics
from pipeline.server.unexpected_errors import UnexpectedErrors


class RequestMiddleware:
    """The application: FastAPI, and around it what is done for every request."""

    def __init__(
        self,
        api: ASGIApp,
        service: DispatchService,
        routes: Collection[str],
        fast: AnswerFast = answer_fast,
        fast_batch: FastBatchAnswer = answer_fast_batch,
    ) -> None:
        """Put the middleware around FastAPI.

        Args:
            api: FastAPI's application.
            service: gives the settings, and counts.
            routes: the paths that there are.
            fast: see `answer_fast`.
            fast_batch: see `answer_fast_batch`.
        """
        settings = service.settings
        self._api = api
        self._service = service
        self._root_path = settings.root_path
        self._url_prefix = settings.root_path.encode()
        self._answer_fast = fast
        self._pages = OtherOrigins(settings.allowed_origins)
        self._keys = ApiKeyCheck(settings.api_keys, settings.open_docs)
        held = HeldBytes()
        self._bodies = BodyLimit(held)
        limited_api = ConcurrencyLimit(
            UnexpectedErrors(api), settings.max_concurrency, service.metrics
        )
        self._batches_and_api = BatchFastPath(limited_api, service, held, fast_batch)
        self._metrics = RequestMetrics(service, routes)
        self._add_close = Drain(service).add_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; let through what is not one, such as the application's lifespan."""
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        started = perf_counter()
        if self._root_path:
            scope["root_path"] = self._root_path
        exchange = OpenExchange(scope, receive, send, self._add_close)
        self._begin(exchange)
        try:
            await self._answer(exchange)
        except RequestRefused as refused:
            await answer_refusal(exchange, refused, self._service.metrics)
        except ClientGone:
            pass
        except asyncio.CancelledError:  # the server stops, and has waited long enough
            if exchange.status != CLIENT_CLOSED_REQUEST:
                raise
            await answer_refusal(exchange, service_stopping(), self._service.metrics)
        self._metrics.count(exchange, perf_counter() - started)

    def may_answer_at_once(self, method: bytes, url: bytes) -> bool:
        """Tell whether a request with this line may be one that is answered at once."""
        return may_be_fast(method, url.removeprefix(self._url_prefix))

    def answer_at_once(self, scope: Scope, body: bytes, started: float) -> FastAnswer | None:
        """Return the answer to a whole request that is certainly valid, else None.

        It is counted. One that is not answered so was not touched: `__call__` can have it.

        Args:
            scope: see ASGI; with `method`, `path`, `headers` and `root_path`.
            body: all of it.
            started: when its headers had arrived, by `perf_counter`.
        """
        if self._root_path:
            scope["root_path"] = self._root_path
        exchange = Exchange(scope)
        self._begin(exchange)
        try:
            self._keys.check(exchange)
            check_coding(exchange, body)
        except RequestRefused:
            return None
        answer = self._answer_fast(self._service, exchange, body)
        if answer is None:
            return None
        exchange.status, headers, _ = answer
        headers += exchange.answer_headers
        self._add_close(headers)
        self._metrics.count(exchange, perf_counter() - started)
        return answer

    def _begin(self, exchange: Exchange) -> None:
        """Do what is done for every request, whatever its answer will be."""
        identify(exchange)
        self._pages.allow(exchange)

    async def _answer(self, exchange: OpenExchange) -> None:
        """Answer a request.

        Raises:
            RequestRefused: it may not have what it asks for.
            ClientGone: nobody waits for an answer.
        """
        if self._pages.is_preflight(exchange):
            await self._pages.answer_preflight(exchange)
            return
        self._keys.check(exchange)
        body = await self._bodies.read(exchange)
        check_coding(exchange, body)
        check_weight(exchange, body)
        answer = self._answer_fast(self._service, exchange, body)
        if answer is not None:
            await send_answer(answer, exchange.send)
            return
        name_in_log(exchange)
        scope = exchange.scope
        if scope["method"] == "HEAD":  # FastAPI's routes know no HEAD; uvicorn leaves out the body
            scope = {**scope, "method": "GET"}
        await self._batches_and_api(scope, replay(body, exchange.receive), exchange.send)
