"""Single predictions of several servers: load on one after the other, for some rounds."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import NamedTuple

from benchmarks.measuring.server_processes import (
    Question,
    RunningServer,
    Server,
    ServerFailure,
    running,
)
from benchmarks.serving.load import Load, Requests, bodies_file, send
from benchmarks.serving.targets import Target
from benchmarks.serving.world import Order

BODIES = 20_000
WARM_UP_SECONDS = 1
MAX_DIFFERENCE_HOURS = 0.0051
"""Answers are rounded to two decimals."""


class Measurement(NamedTuple):
    """One target under load.

    Attributes:
        name: of the target.
        failure: why it was not measured, or nothing.
        loads: one for each round.
        processor_microseconds: that its server took for each request, one for each round.
        resident_mib: memory of its server, with all its processes, after the last round.
    """

    name: str
    failure: str
    loads: tuple[Load, ...] = ()
    processor_microseconds: tuple[float, ...] = ()
    resident_mib: float | None = None

    def faults(self) -> dict[str, int]:
        """Return how often each thing went wrong in all rounds; any makes the figures invalid."""
        total: dict[str, int] = {}
        for load in self.loads:
            for name, count in load.faults().items():
                total[name] = total.get(name, 0) + count
        return total

    def busy(self) -> float | None:
        """Return how many processors its server kept busy, median of the rounds.

        A server in one process that is well below 1 could have answered more: something else held
        it up.
        """
        pairs = list(zip(self.loads, self.processor_microseconds))
        return median(load.rate * used / 1e6 for load, used in pairs) if pairs else None

    def is_valid(self) -> bool:
        """Whether it was measured, and every request got its answer."""
        return bool(self.loads) and not self.faults()


class Comparison(NamedTuple):
    """A target beside a reference of the same rounds: medians of the ratios of each round.

    Attributes:
        rate: of requests, in units of the reference's.
        p99: in units of the reference's.
        processor: time for each request, in units of the reference's.
    """

    rate: float
    p99: float
    processor: float


def compare(measurement: Measurement, reference: Measurement) -> Comparison | None:
    """Compare two targets round by round; None unless both were measured without a fault."""
    if not measurement.is_valid() or not reference.is_valid():
        return None
    pairs = list(zip(measurement.loads, reference.loads))
    processor = zip(measurement.processor_microseconds, reference.processor_microseconds)
    return Comparison(
        rate=median(load.rate / other.rate for load, other in pairs),
        p99=median(load.p99_ms / other.p99_ms for load, other in pairs),
        processor=median(own / other for own, other in processor),
    )


def measure_targets(
    servers: Mapping[str, Server],
    targets: Sequence[Target],
    seconds: int,
    rounds: int,
) -> list[Measurement]:
    """Start all servers, warm up each target, and put load on one after the other in each round.

    Args:
        servers: by name.
        targets: of these servers.
        seconds: of load on each target in each round.
        rounds: how many.
    """
    with ExitStack() as stack:
        started = {name: stack.enter_context(running(server)) for name, server in servers.items()}
        loaded = [
            stack.enter_context(_loaded_target(target, started[target.server]))
            for target in targets
        ]
        for number in range(rounds):
            for target in loaded:
                target.measure(seconds, seed=number + 1)
            print(f"Round {number + 1} of {rounds} done.", file=sys.stderr, flush=True)
        return [target.measurement() for target in loaded]


def check_answer(target: Target, server: RunningServer) -> None:
    """Wait until a target answers, and see that the answer is right.

    Raises:
        ServerFailure: it does not answer, or answers something else.
    """
    for order in target.draw_orders(3, 0):
        answer = server.first_answer(question(target, order))
        if target.hours_in is None:
            continue
        try:
            hours = target.hours_in(answer)
        except (ValueError, LookupError, TypeError) as error:
            raise ServerFailure(f"Its answer has no hours: {answer[:200]!r}.") from error
        expected = target.expected_hours(order)
        if abs(hours - expected) > MAX_DIFFERENCE_HOURS:
            raise ServerFailure(f"It answers {hours} h to {order} instead of {expected} h.")


def question(target: Target, order: Order) -> Question:
    """Return the request of a target for an order."""
    return Question(target.path, target.headers, target.body(order))


class _LoadedTarget:
    """A target of a started server, and what was measured of it so far."""

    def __init__(
        self, target: Target, server: RunningServer, requests: Requests, failure: str
    ) -> None:
        self._target = target
        self._server = server
        self._requests = requests
        self._failure = failure
        self._loads: list[Load] = []
        self._processor: list[float] = []

    def measure(self, seconds: int, seed: int) -> None:
        """Put load on the target for one round, unless it has failed."""
        if self._failure:
            return
        before = self._server.processor_seconds()
        load = send(self._requests, seconds, seed=seed)
        if not load.requests:
            self._failure = f"No request was answered. {self._server.last_words()}"
            return
        used = self._server.processor_seconds() - before
        self._loads.append(load)
        self._processor.append(1e6 * used / load.requests)

    def measurement(self) -> Measurement:
        """Return what was measured."""
        if self._failure:
            return Measurement(self._target.name, self._failure)
        memory = self._server.resident_mib()
        return Measurement(
            self._target.name, "", tuple(self._loads), tuple(self._processor), memory
        )


@contextmanager
def _loaded_target(target: Target, server: RunningServer) -> Iterator[_LoadedTarget]:
    """Prepare the requests of a target and warm it up."""
    bodies = [target.body(order) for order in target.draw_orders(BODIES, 1)]
    with bodies_file(bodies) as path:
        requests = Requests(server.url(target.path), target.headers, path)
        try:
            check_answer(target, server)
            failure = ""
            send(requests, WARM_UP_SECONDS)
        except ServerFailure as error:
            failure = str(error)
        yield _LoadedTarget(target, server, requests, failure)
