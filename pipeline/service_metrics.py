"""What the service counts and measures about itself, for Prometheus.

Every label has few values, whatever clients send: routes are those that there are, products are
the largest hundred, and reasons are those in our code and pydantic's.
"""

import time
from collections.abc import Mapping
from heapq import nlargest

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from pipeline.artifact_reader import DispatchModel

LATENCY_BUCKETS = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005),
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
)
"""Upper ends in seconds: single predictions are at the lower end, large batches at the upper."""
MOST_PRODUCT_LABELS = 100
OTHER = "other"
"""Label of all routes that do not exist, and of the smaller products."""


class ServiceMetrics:
    """The metrics of one service.

    Counting is on the way of every request, so the metrics of labels are looked up once and kept.
    """

    def __init__(self) -> None:
        """Make the metrics, in a registry of their own; all of them start at zero."""
        # Times of creation would double the series, and nobody asks for them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "ttd_requests", "Requests, by route and status.", ["route", "status"], registry=registry
        )
        self._latency = Histogram(
            "ttd_request_seconds",
            "Time from the headers of a request to the end of its answer.",
            ["route"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._predictions = Counter(
            "ttd_predictions",
            "Estimates given, by product: the 100 with the most rows in the dataset, and others.",
            ["product_code"],
            registry=registry,
        )
        self._extrapolations = Counter(
            "ttd_extrapolations",
            "Estimates for order counts outside of what the model saw of the product.",
            registry=registry,
        )
        self._refusals = Counter(
            "ttd_refused_inputs",
            "Faults in what clients sent, by reason.",
            ["reason"],
            registry=registry,
        )
        self._reloads = Counter(
            "ttd_model_reloads",
            "Newer models found while serving, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self._model_info = Gauge(
            "ttd_model_info",
            "The model that is served; always 1.",
            ["model_version", "regressor", "git_commit", "dataset"],
            registry=registry,
        )
        self._model_age = Gauge(
            "ttd_model_age_seconds", "Time since the model was trained.", registry=registry
        )
        self._dataset_age = Gauge(
            "ttd_dataset_age_seconds",
            "Time since the model's dataset was delivered.",
            registry=registry,
        )
        self.in_progress = Gauge(
            "ttd_requests_in_progress",
            "Requests that wait for something, such as their turn or the rest of their body.",
            registry=registry,
        )
        self._request_counters: dict[tuple[str, int], Counter] = {}
        self._latency_histograms: dict[str, Histogram] = {}
        self._product_counters: dict[str, Counter] = {}
        self._other_products = self._predictions.labels(OTHER)
        for outcome in ("served", "refused"):
            self._reloads.labels(outcome)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered.

        Args:
            route: the path of a route that there is, or `OTHER`.
            status: of the answer.
            seconds: from its headers to the end of its answer.
        """
        counter = self._request_counters.get((route, status))
        if counter is None:
            counter = self._requests.labels(route, status)
            self._request_counters[route, status] = counter
        counter.inc()
        histogram = self._latency_histograms.get(route)
        if histogram is None:
            histogram = self._latency_histograms[route] = self._latency.labels(route)
        histogram.observe(seconds)

    def count_prediction(self, product_code: str, extrapolated: bool) -> None:
        """Count an estimate that was given."""
        self._product_counters.get(product_code, self._other_products).inc()
        if extrapolated:
            self._extrapolations.inc()

    def count_predictions(self, by_product: Mapping[str, int], extrapolated: int) -> None:
        """Count many estimates: how many for each product, and how many were extrapolated."""
        for product_code, count in by_product.items():
            self._product_counters.get(product_code, self._other_products).inc(count)
        self._extrapolations.inc(extrapolated)

    def count_refusal(self, reason: str) -> None:
        """Count a fault in what a client sent."""
        self._refusals.labels(reason).inc()

    def count_reload(self, outcome: str) -> None:
        """Count a newer model that was found: it is `served`, or was `refused`."""
        self._reloads.labels(outcome).inc()

    def describe_model(self, model: DispatchModel) -> None:
        """Tell from now on that this model is served.

        Its largest products get labels of their own, as far as there are labels left: those that
        were given once stay, so that no counter ever falls.
        """
        lineage = model.lineage
        self._model_info.clear()
        self._model_info.labels(
            model.version, lineage.regressor, lineage.git_commit or "", lineage.dataset.key
        ).set(1)
        trained_at = lineage.trained_at.timestamp()
        delivered_at = lineage.dataset.delivered_at.timestamp()
        self._model_age.set_function(lambda: time.time() - trained_at)
        self._dataset_age.set_function(lambda: time.time() - delivered_at)
        catalogue = lineage.catalogue
        by_rows = zip(catalogue.rows, catalogue.product_code)
        for _, product_code in nlargest(MOST_PRODUCT_LABELS, by_rows):
            if len(self._product_counters) < MOST_PRODUCT_LABELS:
                counter = self._predictions.labels(product_code)
                self._product_counters[product_code] = counter

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
