"""Refusals: what is answered to a request that may not have what it asks for."""

from pipeline.api.errors import error_response
from pipeline.api.metrics import ServiceMetrics
from pipeline.server.exchange import OpenExchange

REFUSAL_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    415: {"Accept-Encoding": "identity"},
    503: {"Retry-After": "1"},
}


class RequestRefused(Exception):
    """A request that is refused.

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


async def answer_refusal(
    exchange: OpenExchange, refused: RequestRefused, metrics: ServiceMetrics
) -> None:
    """Count a refusal, and answer it in the form that the path's API version has."""
    metrics.count_refusal(refused.reason)
    headers = REFUSAL_HEADERS.get(refused.status)
    response = error_response(exchange.path, refused.status, refused.detail, headers)
    await response(exchange.scope, exchange.receive, exchange.send)
