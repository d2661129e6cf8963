"""The metrics of requests, and the access log."""

from collections.abc import Collection
from urllib.parse import quote

from pipeline.api.counts import OTHER
from pipeline.api.product_curves import PRODUCT_CURVES
from pipeline.api.service import DispatchService
from pipeline.server.exchange import Exchange
from pipeline.server.request_ids import name_in_log
from pipeline.stages.logs import LOG

PRODUCT_CURVE = PRODUCT_CURVES + "{product_code}"


class RequestMetrics:
    """Counts, times and, if asked to, logs requests."""

    def __init__(self, service: DispatchService, routes: Collection[str]) -> None:
        """Start to count.

        Args:
            service: has the metrics, and the setting of the access log.
            routes: paths that have a label of their own.
        """
        self._metrics = service.metrics
        self._access_log = service.settings.access_log
        self._routes = frozenset(routes)

    def count(self, exchange: Exchange, seconds: float) -> None:
        """Count a request that took so many seconds."""
        path = exchange.path
        if path in self._routes:
            route = path
        else:
            route = PRODUCT_CURVE if path.startswith(PRODUCT_CURVES) else OTHER
        self._metrics.count_request(route, exchange.status, seconds)
        if self._access_log:
            _log(exchange, route, seconds)


def _log(exchange: Exchange, route: str, seconds: float) -> None:
    """Log a line about a request that has been answered."""
    name_in_log(exchange)
    path = quote(exchange.scope["path"])  # it may have line breaks in it
    facts = {
        "method": exchange.scope["method"],
        "route": route,
        "status": exchange.status,
        "milliseconds": round(1e3 * seconds, 2),
    }
    LOG.info(f"{facts['method']} {path} {exchange.status} in {1e3 * seconds:.2f} ms", extra=facts)
