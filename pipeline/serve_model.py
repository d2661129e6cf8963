"""Stage 2: serve predictions of the newest model of a store over HTTP.

`python -m pipeline.serve_model` loads the model first and opens the port after that, so an open
port means ready. `uvicorn pipeline.serve_model:app` works too, with settings from the environment;
uvicorn then stops without draining, waits for slow clients, and loses the body of a request that
offers HTTP/2.
"""

import gc

if __name__ == "__main__":
    from pipeline.stages.interrupts import end_in_one_line
    from pipeline.stages.surroundings import (
        refuse_missing_requirements,
        refuse_poor_surroundings,
    )

    end_in_one_line()  # while modules load, too
    refuse_poor_surroundings()
    refuse_missing_requirements("serve")
    gc.disable()  # looking for garbage while modules load is a sixth of the start

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.api import docs_pages, history, operations, predictions, web_page
from pipeline.api.errors import install_error_handlers
from pipeline.api.openapi import DescribedAPI
from pipeline.api.service import DispatchService
from pipeline.server.fast_path import (
    AnswerFast,
    FastBatchAnswer,
    answer_fast,
    answer_fast_batch,
)
from pipeline.server.header_limit import protocol_for
from pipeline.server.listening import sockets_for, sockets_for_each
from pipeline.server.middleware import RequestMiddleware
from pipeline.server.reload import ModelReloader
from pipeline.server.server import MAX_FINISH_SECONDS, DispatchServer, allow_many_connections
from pipeline.server.workers import WorkerServer, serve_with_workers
from pipeline.stages.errors import ServiceError
from pipeline.stages.interrupts import handling_stops
from pipeline.stages.logs import LOG, configure_logging, exit_code_of
from pipeline.stages.settings import ServeSettings

COLLECTED_OBJECTS = 50_000
"""New ones, after which the garbage collector looks: at 700, it looks again and again through the
lists of a batch that is being parsed."""


@exit_code_of
def main(arguments: Sequence[str] = ()) -> None:
    """Run the stage until it is told to stop; return its exit code: 0 stopped, 1 failed.

    Args:
        arguments: command line arguments; wrong ones end the process with exit code 2.
    """
    settings = ServeSettings.from_arguments(arguments)
    configure_logging(settings.log_level, settings.log_format)
    with _stopped_by_signals():
        LOG.info(f"Starting serve-model stage. {_who_may_ask(len(settings.api_keys))}")
        allow_many_connections()
        service = DispatchService(settings)
        service.answers()
        config = _server_config(service)
        gc.freeze()  # what is loaded by now stays, so it need not be looked through for garbage
        gc.set_threshold(COLLECTED_OBJECTS)
        gc.enable()
        if settings.workers == 1:
            server = DispatchServer(config, service)
            server.run(sockets_for(settings.host, settings.port))
            is_interrupted = server.is_interrupted
        else:
            listeners = sockets_for_each(settings.workers, settings.host, settings.port)
            is_interrupted = serve_with_workers(lambda: WorkerServer(config, service), listeners)
        if is_interrupted:
            raise KeyboardInterrupt
    LOG.info("Finished serve-model stage.")


def _server_config(service: DispatchService) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(service),
        host=service.settings.host,
        port=service.settings.port,
        loop="uvloop",
        http=protocol_for(service.metrics),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=MAX_FINISH_SECONDS,
    )


def create_app(
    service: DispatchService,
    fast: AnswerFast = answer_fast,
    fast_batch: FastBatchAnswer = answer_fast_batch,
) -> RequestMiddleware:
    """Return the application that answers the requests to a service.

    Args:
        service: what it is about.
        fast: see `answer_fast`.
        fast_batch: see `answer_fast_batch`.
    """
    # A redirect would name the host and the scheme that this process sees, not the client's.
    api = DescribedAPI(service, lifespan=_live, redirect_slashes=False)
    paths = {route.path for route in api.routes if isinstance(route, Route)}
    for module in (predictions, operations, history, web_page, docs_pages):
        api.include_router(module.router)
        paths |= {route.path for route in module.router.routes if isinstance(route, Route)}
    install_error_handlers(api)
    return RequestMiddleware(api, service, paths, fast, fast_batch)


def _who_may_ask(keys: int) -> str:
    """Say whether a key is asked for: one that was lost on the way should be noticed."""
    if keys == 0:
        return "No API key is asked for: whoever reaches the port is answered."
    return f"Requests need an API key; {keys:,} {'is' if keys == 1 else 'are'} valid."


class LazyApp:
    """An application that is made at its first call, so that importing it reads no settings."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        """Remember how to make it."""
        self._make = make
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on."""
        if self._app is None:
            self._app = self._make()
        await self._app(scope, receive, send)


def app_from_environment() -> RequestMiddleware:
    """Return the application for those who import `app` instead of running the stage.

    Raises:
        ServiceError: the settings in the environment are wrong.
    """
    try:
        settings = ServeSettings.from_arguments(())
    except SystemExit as stop:
        raise ServiceError("A setting is wrong; the lines above say which.") from stop
    configure_logging(settings.log_level, settings.log_format)
    return create_app(DispatchService(settings))


@asynccontextmanager
async def _live(api: FastAPI) -> AsyncIterator[None]:
    """Load the model when the application starts, and look into the store until it stops."""
    service: DispatchService = api.state.service
    service.answers()
    reloading = asyncio.create_task(ModelReloader(service).run(service.settings.reload_seconds))
    yield
    reloading.cancel()
    with suppress(asyncio.CancelledError):
        await reloading


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end what is inside, so that the stage ends with exit code 0.

    The server handles the signals while it runs. One that comes before it is up should not be lost.

    Raises:
        ServiceError: uvicorn could not start; it has logged the reason.
    """
    try:
        with handling_stops(lambda *_: sys.exit(0)):
            yield
    except SystemExit as stop:
        if stop.code != 0:
            raise ServiceError(
                "The service did not start; the line above says why. If another program uses the "
                "port, stop it or choose another --port."
            ) from stop


app = LazyApp(app_from_environment)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
