"""Several workers: processes that answer on one port, and one more that watches them.

The watching process loads the model and forks, so that the workers share the memory of the model,
start in no time, and need no store to start: a model that cannot be loaded ends the service before
there is any. uvicorn's own supervisor starts each worker from nothing instead, and passes on
neither a second SIGTERM nor the reason of a failure.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from socket import socket

from pipeline.api.shared_counts import SharedCounts, files_for
from pipeline.server.server import TICKS_PER_SECOND, DispatchServer
from pipeline.stages.errors import ServiceError
from pipeline.stages.interrupts import stop_signals
from pipeline.stages.logs import LOG

MIN_SECONDS_BETWEEN_STARTS = 1.0
"""In the same place, so that a worker that cannot live does not keep the machine busy."""


class WorkerServer(DispatchServer):
    """The server of one worker: it also tells the others what it counts."""

    async def on_tick(self, counter: int) -> bool:
        """Do what is due ten times a second; return whether it is time to stop."""
        if counter % TICKS_PER_SECOND == 0:
            self._service.metrics.tell_others()
            if os.getppid() != self._watching_pid and not self._service.is_draining:
                LOG.error("The process that watches this worker is gone, so the worker stops too.")
                self.handle_exit(signal.SIGTERM, None)
        return await super().on_tick(counter)

    def run_watched(self, listeners: list[socket], shared: SharedCounts, watching_pid: int) -> None:
        """Serve until told to stop.

        Args:
            listeners: of this worker.
            shared: where to tell what is counted.
            watching_pid: process that started this one.
        """
        self._watching_pid = watching_pid
        self._service.forget_store()
        self._service.metrics.share(shared)
        self.run(listeners)


class Workers:
    """Starts workers, replaces those that end, and passes on the signals that stop them."""

    def __init__(self, work: Callable[[int], None], listeners: Sequence[Sequence[socket]]) -> None:
        """Prepare to start them.

        Args:
            work: what the worker in a place does until it is told to stop.
            listeners: what it listens on, for each place. They are open here, too, so that what
                arrives while nobody is in a place waits for the next worker.
        """
        self._work = work
        self._listeners = listeners
        self._running: dict[int, tuple[ForkProcess, float]] = {}
        self._is_stopping = False
        self._watched = {signal.SIGINT, signal.SIGCHLD, *stop_signals()}

    def run(self) -> bool:
        """Watch the workers until all have stopped; return whether SIGINT, which is Ctrl-C, came.

        Signals are waited for instead of handled, so that none comes while a worker starts.
        """
        is_interrupted = False
        handler = signal.signal(signal.SIGCHLD, lambda *_: None)  # or some systems drop it
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._watched)
        try:
            for place in range(len(self._listeners)):
                self._start(place)
            while self._running:
                number = signal.sigwait(self._watched)
                if number == signal.SIGCHLD:
                    self._replace_ended()
                else:
                    is_interrupted |= number == signal.SIGINT
                    self._stop(number)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            signal.signal(signal.SIGCHLD, handler)
        return is_interrupted

    def _start(self, place: int) -> None:
        worker = get_context("fork").Process(target=self._begin, args=(place,), daemon=True)
        worker.start()
        self._running[place] = worker, time.monotonic()

    def _begin(self, place: int) -> None:
        """Be the worker in a place."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with suppress(KeyboardInterrupt):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._watched)
            _close([*self._listeners[:place], *self._listeners[place + 1 :]])
            self._work(place)

    def _replace_ended(self) -> None:
        """Start a worker for each that has ended, unless all should."""
        for place, (worker, started_at) in list(self._running.items()):
            if worker.exitcode is None:
                continue
            if self._is_stopping:
                del self._running[place]
                if worker.exitcode != 0:
                    LOG.error(f"Worker {worker.pid} did not stop as it should: {_end_of(worker)}.")
                continue
            LOG.error(f"Worker {worker.pid} has ended: {_end_of(worker)}. Another replaces it.")
            lived = time.monotonic() - started_at
            time.sleep(max(0.0, MIN_SECONDS_BETWEEN_STARTS - lived))
            self._start(place)

    def _stop(self, number: int) -> None:
        """Pass on a signal that stops; the port is open as long as a worker listens."""
        self._is_stopping = True
        _close(self._listeners)
        for worker, _ in self._running.values():
            if worker.exitcode is None and worker.pid is not None:
                os.kill(worker.pid, number)


def serve_with_workers(
    make_server: Callable[[], WorkerServer], listeners: Sequence[list[socket]]
) -> bool:
    """Answer with several workers until told to stop; return whether SIGINT, or Ctrl-C, did it.

    Args:
        make_server: of a worker.
        listeners: for each worker what it listens on.

    Raises:
        ServiceError: there is no folder for temporary files, in which the workers tell each other
            what they count.
    """
    watching_pid = os.getpid()
    try:
        files = files_for(len(listeners))
    except OSError as error:
        raise ServiceError(
            f"Cannot make files for the counts of the workers: {error}",
            "Let TMPDIR name a folder that can be written to, or leave out --workers.",
        ) from error

    def work(place: int) -> None:
        shared = SharedCounts(files, place)
        make_server().run_watched(listeners[place], shared, watching_pid)

    LOG.info(f"Process {watching_pid} watches {len(listeners)} workers.")
    with ExitStack() as stack:
        for file in files:
            stack.enter_context(file)
        return Workers(work, listeners).run()


def _close(listeners: Sequence[Sequence[socket]]) -> None:
    for listener in chain.from_iterable(listeners):
        listener.close()


def _end_of(worker: ForkProcess) -> str:
    """Return how a worker has ended."""
    code = worker.exitcode or 0
    return f"{signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
