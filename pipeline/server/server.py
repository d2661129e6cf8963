"""uvicorn with a drain before it stops, and with timeouts for slow clients."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from socket import socket
from time import monotonic
from types import FrameType

import uvicorn

from pipeline.api.service import DispatchService
from pipeline.server.listening import url_of
from pipeline.server.timeouts import ConnectionTimeouts
from pipeline.stages.interrupts import handling_stops
from pipeline.stages.logs import LOG

MAX_FINISH_SECONDS = 10
"""How long requests that have arrived may take to finish when the server stops."""
TICKS_PER_SECOND = 10
"""How often uvicorn calls `on_tick`."""


class DispatchServer(uvicorn.Server):
    """uvicorn that goes on for a while after SIGTERM or SIGHUP, and closes slow connections.

    Requests still arrive after SIGTERM: Kubernetes takes seconds to send them elsewhere, and
    clients keep connections open. So for `drain_seconds` every request is answered as before, but
    with `Connection: close`, and `/readyz` answers 503. SIGINT, or a second of
    these signals, stops at once.

    Attributes:
        is_interrupted: whether SIGINT, which is Ctrl-C, stopped it.
    """

    def __init__(self, config: uvicorn.Config, service: DispatchService) -> None:
        """Prepare to serve; `service` gives the settings."""
        super().__init__(config)
        self._service = service
        self._connections = ConnectionTimeouts(service.settings, service.metrics)
        self._drained_at = inf
        self.is_interrupted = False
        self._drain_is_logged = False
        self._drained_by = signal.SIGTERM

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGHUP, too, of which uvicorn knows nothing."""
        with super().capture_signals(), handling_stops(self.handle_exit):
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal, which may interrupt a line of the log, so that none is written here."""
        if sig != signal.SIGINT and self.started and not self._service.is_draining:
            self._service.is_draining = True
            self._drained_by = signal.Signals(sig)
            self._drained_at = monotonic() + self._service.settings.drain_seconds
            return
        self.is_interrupted = sig == signal.SIGINT
        self.force_exit = True
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Do what is due ten times a second; return whether it is time to stop."""
        if counter % TICKS_PER_SECOND == 0:
            await self._connections.close_slow(
                self.server_state.connections, self._service.is_draining
            )
        if self._service.is_draining and not self._drain_is_logged:
            self._drain_is_logged = True
            seconds = self._service.settings.drain_seconds
            name = self._drained_by.name
            LOG.info(f"Received {name}. Serving for {seconds:g} s more, then stopping.")
        return await super().on_tick(counter) or monotonic() >= self._drained_at

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start to answer, and say where: uvicorn does so only if it opens the sockets itself."""
        await super().startup(sockets)
        for listener in sockets or ():
            LOG.info(f"Uvicorn running on {url_of(listener)} (Press CTRL+C to quit)")

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Close everything; uvicorn leaves out the application's end if it is in a hurry."""
        await super().shutdown(sockets)
        if self.force_exit:
            await self.lifespan.shutdown()


def allow_many_connections() -> None:
    """Raise the number of files that this process may open as far as it may itself.

    Many systems allow 1,024 by default, and idle clients alone can be more.
    """
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
