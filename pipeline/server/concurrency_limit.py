"""The limit on how many requests FastAPI works on at once."""

from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.api.errors import route_path
from pipeline.api.keys import HEALTH_PATHS
from pipeline.api.metrics import ServiceMetrics
from pipeline.server.refusals import RequestRefused


class ConcurrencyLimit:
    """An application with a limit; the probes have none."""

    def __init__(self, app: ASGIApp, max_concurrency: int, metrics: ServiceMetrics) -> None:
        """Put the limit around an application; `metrics` keep count of what is in progress."""
        self._app = app
        self._max_concurrency = max_concurrency
        self._counts = metrics.counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer a request.

        Raises:
            RequestRefused: too many requests are in progress.
        """
        limit = self._max_concurrency
        if self._counts.in_progress >= limit and route_path(scope) not in HEALTH_PATHS:
            detail = f"{limit:,} requests are being worked on already. Try again in a second."
            raise RequestRefused(503, "overloaded", detail)
        self._counts.in_progress += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._counts.in_progress -= 1
