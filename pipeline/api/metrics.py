"""What the service counts and measures about itself, for Prometheus.

Every label has few values, whatever clients send: routes are those that there are, products are
the largest hundred, and reasons are those in our code and pydantic's.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pipeline.model.reader import DispatchModel

LATENCY_BUCKETS = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005),
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
)
"""Upper ends in seconds: single predictions are at the lower end, large batches at the upper."""
MAX_PRODUCT_LABELS = 100
OTHER = "other"
"""Label of all routes that do not exist, and of the smaller products."""


class RouteTimes:
    """How long the requests to one route took."""

    def __init__(self) -> None:
        """Start without requests."""
        self.counts = [0] * (len(LATENCY_BUCKETS) + 1)
        self.sum_seconds = 0.0

    def buckets(self) -> list[tuple[str, float]]:
        """Return upper ends of the buckets, and how many requests took at most so long."""
        ends = [*map(str, LATENCY_BUCKETS), "+Inf"]
        return list(zip(ends, map(float, accumulate(self.counts))))


class ServiceMetrics(Collector):
    """The metrics of one service.

    Counting is on the way of every request, so it only adds to plain numbers; prometheus-client
    is asked when Prometheus asks.

    Attributes:
        in_progress: requests that FastAPI is working on.
    """

    def __init__(self) -> None:
        """Start with all counts at zero, and without a model."""
        self.in_progress = 0
        self._requests: Counter[tuple[str, int]] = Counter()
        self._times: dict[str, RouteTimes] = {}
        self._predictions: dict[str, int] = {OTHER: 0}
        self._extrapolations = 0
        self._refusals: Counter[str] = Counter()
        self._reloads = {"served": 0, "refused": 0}
        self._model: DispatchModel | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered.

        Args:
            route: the path of a route that there is, or `OTHER`.
            status: of the answer.
            seconds: from its headers to the end of its answer.
        """
        self._requests[route, status] += 1
        times = self._times.get(route)
        if times is None:
            times = self._times[route] = RouteTimes()
        times.counts[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        times.sum_seconds += seconds

    def count_prediction(self, label: str, extrapolated: bool) -> None:
        """Count an estimate, by one of `product_labels`."""
        self._predictions[label] += 1
        self._extrapolations += extrapolated

    def count_predictions(self, by_label: Mapping[str, int], extrapolated: int) -> None:
        """Count many estimates, by `product_labels`, and how many of them were extrapolated."""
        for label, count in by_label.items():
            self._predictions[label] += count
        self._extrapolations += extrapolated

    @property
    def product_labels(self) -> Sequence[str]:
        """`OTHER`, and the products that are counted one by one."""
        return list(self._predictions)

    def count_refusal(self, reason: str) -> None:
        """Count a fault in what a client sent."""
        self._refusals[reason] += 1

    def count_reload(self, outcome: str) -> None:
        """Count a newer model that was found: it is `served`, or was `refused`."""
        self._reloads[outcome] += 1

    def describe_model(self, model: DispatchModel) -> None:
        """Tell from now on that this model is served.

        Its largest products get labels of their own, as far as there are labels left: those that
        were given once stay, so that no counter ever falls.
        """
        self._model = model
        catalogue = model.metadata.catalogue
        largest = np.argsort(-catalogue.rows, kind="stable")[:MAX_PRODUCT_LABELS]
        for product_code in map(catalogue.product_code.__getitem__, largest):
            if len(self._predictions) <= MAX_PRODUCT_LABELS:
                self._predictions.setdefault(product_code, 0)

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Give prometheus-client the metrics as they are now."""
        yield from self._about_requests()
        yield from self._about_predictions()
        if self._model is not None:
            yield from _about_model(self._model)
        reloads = CounterMetricFamily(
            "ttd_model_reloads",
            "Newer models found while serving, by what became of them.",
            labels=["outcome"],
        )
        for outcome, count in self._reloads.items():
            reloads.add_metric([outcome], count)
        yield reloads

    def _about_requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "ttd_requests", "Requests, by route and status.", labels=["route", "status"]
        )
        for (route, status), count in self._requests.items():
            requests.add_metric([route, str(status)], count)
        yield requests
        seconds = HistogramMetricFamily(
            "ttd_request_seconds",
            "Time from the headers of a request to the end of its answer.",
            labels=["route"],
        )
        for route, times in self._times.items():
            seconds.add_metric([route], times.buckets(), times.sum_seconds)
        yield seconds
        yield GaugeMetricFamily(
            "ttd_requests_in_progress",
            "Requests that FastAPI is working on.",
            value=self.in_progress,
        )

    def _about_predictions(self) -> Iterator[Metric]:
        predictions = CounterMetricFamily(
            "ttd_predictions",
            "Estimates given, by product: the 100 with the most rows in the dataset, and others.",
            labels=["product_code"],
        )
        for product_code, count in self._predictions.items():
            predictions.add_metric([product_code], count)
        yield predictions
        yield CounterMetricFamily(
            "ttd_extrapolations",
            "Estimates for order counts outside of what the model saw of the product.",
            value=self._extrapolations,
        )
        refusals = CounterMetricFamily(
            "ttd_refused_inputs", "Faults in what clients sent, by reason.", labels=["reason"]
        )
        for reason, count in self._refusals.items():
            refusals.add_metric([reason], count)
        yield refusals


def _about_model(model: DispatchModel) -> Iterator[Metric]:
    metadata = model.metadata
    labels = ["model_version", "regressor", "git_commit", "dataset"]
    values = [model.version, metadata.regressor, metadata.git_commit or "", metadata.dataset.key]
    info = GaugeMetricFamily("ttd_model_info", "The model that is served; always 1.", labels=labels)
    info.add_metric(values, 1)
    yield info
    now = time.time()
    yield GaugeMetricFamily(
        "ttd_model_age_seconds",
        "Time since the model was trained.",
        value=now - metadata.trained_at.timestamp(),
    )
    yield GaugeMetricFamily(
        "ttd_dataset_age_seconds",
        "Time since the model's dataset was delivered.",
        value=now - metadata.dataset.delivered_at.timestamp(),
    )
