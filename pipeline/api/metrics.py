"""What the service counts and measures about itself, for Prometheus.

Every label has few values, whatever clients send: routes are those that there are, products are
the largest hundred, and reasons are those in our code and pydantic's.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import nan

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pipeline.api.counts import LATENCY_BUCKETS, RouteCounts, ServedModel, ServiceCounts, StoreState
from pipeline.api.shared_counts import SharedCounts
from pipeline.model.reader import DispatchModel

MAX_PRODUCT_LABELS = 100


class ServiceMetrics(Collector):
    """The metrics of one service.

    Counting is on the way of every request, so it only adds to plain numbers; prometheus-client
    is asked when Prometheus asks.

    Attributes:
        counts: of this process.
    """

    def __init__(self) -> None:
        """Start with all counts at zero, and without a model."""
        self.counts = ServiceCounts()
        self._shared: SharedCounts | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._process = ProcessCollector(registry=self._registry)

    def share(self, shared: SharedCounts) -> None:
        """Be one of several workers from now on, and tell the counts of all.

        What prometheus-client tells of this process alone is left out, as it is in that library's
        own way to measure several.
        """
        self.counts.add(shared.inherited())
        self._shared = shared
        self._registry.unregister(self._process)

    def tell_others(self) -> None:
        """Tell the other workers, if there are any, what this one has counted."""
        if self._shared is not None:
            self._shared.tell(self.counts)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered.

        Args:
            route: the path of a route that there is, or `OTHER`.
            status: of the answer.
            seconds: from its headers to the end of its answer.
        """
        counts = self.counts.routes.get(route)
        if counts is None:
            counts = self.counts.routes[route] = RouteCounts()
        counts.count(status, seconds)

    def count_prediction(self, label: str, extrapolated: bool) -> None:
        """Count an estimate, by one of `product_labels`."""
        self.counts.predictions[label] += 1
        self.counts.extrapolations += extrapolated

    def count_predictions(self, by_label: Mapping[str, int], extrapolated: int) -> None:
        """Count many estimates, by `product_labels`, and how many of them were extrapolated."""
        self.counts.predictions.update(by_label)
        self.counts.extrapolations += extrapolated

    @property
    def product_labels(self) -> Sequence[str]:
        """`OTHER`, and the products that are counted one by one."""
        return list(self.counts.predictions)

    def count_refusal(self, reason: str) -> None:
        """Count a fault in what a client sent."""
        self.counts.refusals[reason] += 1

    def count_reload(self, outcome: str) -> None:
        """Count a newer model that was found: it is `served`, or was `refused`."""
        self.counts.reloads[outcome] += 1

    def describe_store(self, store: StoreState) -> None:
        """Tell from now on that this was found in the store."""
        self.counts.store = store

    def describe_model(self, model: DispatchModel) -> None:
        """Tell from now on that this model is served.

        Its largest products get labels of their own, as far as there are labels left: those that
        were given once stay, so that no counter ever falls.
        """
        metadata = model.metadata
        self.counts.model = ServedModel(
            model.version,
            metadata.regressor,
            metadata.git_commit or "",
            metadata.dataset.key,
            metadata.trained_at,
            metadata.dataset.delivered_at,
            metadata.metrics.mean_absolute_error_hours,
            metadata.last_coverage,
        )
        catalogue = metadata.catalogue
        largest = np.argsort(-catalogue.rows, kind="stable")[:MAX_PRODUCT_LABELS]
        for product_code in map(catalogue.product_code.__getitem__, largest):
            if len(self.counts.predictions) <= MAX_PRODUCT_LABELS:
                self.counts.predictions.setdefault(product_code, 0)

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus.

        Those of other workers are at most as old as what they told last.
        """
        self.tell_others()  # so that whoever is asked next knows at least as much
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Give prometheus-client the metrics as they are now."""
        others = [] if self._shared is None else list(self._shared.of_others())
        total = ServiceCounts()
        for counts in (self.counts, *others):
            total.add(counts)
        yield from _about_requests(total)
        yield from _about_predictions(total)
        models = {counts.model for counts in (self.counts, *others) if counts.model}
        if models:
            yield from _about_models(sorted(models))
        reloads = CounterMetricFamily(
            "ttd_model_reloads",
            "Newer models found while serving, by what became of them.",
            labels=["outcome"],
        )
        for outcome, count in total.reloads.items():
            reloads.add_metric([outcome], count)
        yield reloads
        yield from _about_store(total.store)


def _about_requests(counts: ServiceCounts) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "ttd_requests", "Requests, by route and status.", labels=["route", "status"]
    )
    seconds = HistogramMetricFamily(
        "ttd_request_seconds",
        "Time from the headers of a request to the end of its answer.",
        labels=["route"],
    )
    ends = [*map(str, LATENCY_BUCKETS), "+Inf"]
    for path, route in counts.routes.items():
        for status, count in route.by_status.items():
            requests.add_metric([path, str(status)], count)
        up_to_end = map(float, accumulate(route.in_buckets))
        seconds.add_metric([path], list(zip(ends, up_to_end)), route.seconds)
    yield requests
    yield seconds
    yield GaugeMetricFamily(
        "ttd_requests_in_progress",
        "Requests that FastAPI is working on.",
        value=counts.in_progress,
    )


def _about_predictions(counts: ServiceCounts) -> Iterator[Metric]:
    predictions = CounterMetricFamily(
        "ttd_predictions",
        "Estimates given, by product: the 100 with the most rows in the dataset, and others.",
        labels=["product_code"],
    )
    for product_code, count in counts.predictions.items():
        predictions.add_metric([product_code], count)
    yield predictions
    yield CounterMetricFamily(
        "ttd_extrapolations",
        "Estimates for order counts outside of what the model saw of the product.",
        value=counts.extrapolations,
    )
    refusals = CounterMetricFamily(
        "ttd_refused_inputs", "Faults in what clients sent, by reason.", labels=["reason"]
    )
    for reason, count in counts.refusals.items():
        refusals.add_metric([reason], count)
    yield refusals


def _about_models(models: Sequence[ServedModel]) -> Iterator[Metric]:
    """Tell of the models that are served: while a newer one takes over, workers may differ."""
    labels = ["model_version", "regressor", "git_commit", "dataset"]
    info = GaugeMetricFamily("ttd_model_info", "The model that is served; always 1.", labels=labels)
    for model in models:
        info.add_metric([model.version, model.regressor, model.git_commit, model.dataset], 1)
    yield info
    yield GaugeMetricFamily(
        "ttd_model_trained_timestamp_seconds",
        "When the model was trained, as Unix time.",
        value=min(model.trained_at.timestamp() for model in models),
    )
    yield GaugeMetricFamily(
        "ttd_dataset_delivered_timestamp_seconds",
        "When the model's dataset was delivered, as Unix time.",
        value=min(model.delivered_at.timestamp() for model in models),
    )
    oldest = min(models, key=lambda model: model.trained_at)
    yield GaugeMetricFamily(
        "ttd_model_error_hours",
        "Mean absolute error of the model on rows of its week that it was not fitted on.",
        value=oldest.error_hours,
    )
    yield GaugeMetricFamily(
        "ttd_last_model_coverage_ratio",
        "Share of the model's week inside the intervals of the model before; NaN without one.",
        value=nan if oldest.last_coverage is None else oldest.last_coverage,
    )


def _about_store(store: StoreState | None) -> Iterator[Metric]:
    """Tell what was found in the store; NaN stands for a store that was not asked."""
    alerts, refused, pinned = (nan, nan, nan) if store is None else store
    yield GaugeMetricFamily(
        "ttd_undelivered_alerts",
        "Alerts that no webhook took, and that wait in the store; NaN if it was not asked.",
        value=alerts,
    )
    yield GaugeMetricFamily(
        "ttd_refused_models",
        "Models that were refused since the newest was published; NaN if it was not asked.",
        value=refused,
    )
    yield GaugeMetricFamily(
        "ttd_model_pinned",
        "Whether people have chosen the model, so that no newer one is served; NaN as above.",
        value=pinned,
    )
