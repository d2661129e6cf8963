"""What a service counts: plain numbers, which several processes can tell each other and add up."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

LATENCY_BUCKETS = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005),
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
)
"""Upper ends in seconds: single predictions are at the lower end, large batches at the upper."""
OTHER = "other"
"""Label of all routes that do not exist, and of the smaller products."""


class ServedModel(NamedTuple):
    """The model that a process serves.

    Attributes:
        version: its name.
        regressor: what kind it is of.
        git_commit: of the code that trained it, or nothing.
        dataset: key of what it was trained on.
        trained_at: when that was.
        delivered_at: when the dataset was.
        error_hours: mean absolute error on rows that it was not fitted on.
        last_coverage: share of its week that was inside the intervals of the model before it; None
            if there was none, or too little to tell.
    """

    version: str
    regressor: str
    git_commit: str
    dataset: str
    trained_at: datetime
    delivered_at: datetime
    error_hours: float
    last_coverage: float | None


class StoreState(NamedTuple):
    """What people should know of a store beside the model that is served.

    Attributes:
        undelivered_alerts: that wait for somebody to read them.
        refused_models: since the newest one that was published.
        is_pinned: whether people have chosen a model in place of the newest.
    """

    undelivered_alerts: int
    refused_models: int
    is_pinned: bool


@dataclass
class RouteCounts:
    """The requests to one route.

    Attributes:
        by_status: how many got an answer of each status.
        in_buckets: how many took so long, for each bucket and beyond.
        seconds: that they took together.
    """

    by_status: Counter[int] = field(default_factory=Counter)
    in_buckets: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS) + 1))
    seconds: float = 0.0

    def count(self, status: int, seconds: float) -> None:
        """Count a request."""
        self.by_status[status] += 1
        self.in_buckets[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self.seconds += seconds

    def add(self, other: "RouteCounts") -> None:
        """Add what another process has counted."""
        self.by_status.update(other.by_status)
        self.in_buckets = [sum(pair) for pair in zip(self.in_buckets, other.in_buckets)]
        self.seconds += other.seconds


@dataclass
class ServiceCounts:
    """All that a process counts.

    Attributes:
        routes: by path.
        predictions: estimates given, by the code of the product.
        extrapolations: how many of them were for order counts outside of what the model saw.
        refusals: faults in what clients sent, by reason.
        reloads: newer models that were found, by what became of them.
        in_progress: requests that FastAPI is working on.
        model: that is served, if there is one.
        store: what was found there last; None if it was not asked yet.
    """

    routes: dict[str, RouteCounts] = field(default_factory=dict)
    predictions: Counter[str] = field(default_factory=lambda: Counter({OTHER: 0}))
    extrapolations: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    reloads: Counter[str] = field(default_factory=lambda: Counter(served=0, refused=0))
    in_progress: int = 0
    model: ServedModel | None = None
    store: StoreState | None = None

    def add(self, other: "ServiceCounts") -> None:
        """Add what another process has counted; model and store are those of this one."""
        for path, counts in other.routes.items():
            self.routes.setdefault(path, RouteCounts()).add(counts)
        self.predictions.update(other.predictions)
        self.extrapolations += other.extrapolations
        self.refusals.update(other.refusals)
        self.reloads.update(other.reloads)
        self.in_progress += other.in_progress
        self.store = self.store or other.store
