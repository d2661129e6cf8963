"""Stage 2: serve predictions of the newest model of a store over HTTP.

`python -m pipeline.serve_model` loads the model first and opens the port after that, so an open
port means ready. `uvicorn pipeline.serve_model:app` works too, with settings from the environment.
"""

import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from pipeline.artifact_reader import DispatchModel, load_model
from pipeline.object_store import open_store
from pipeline.prediction_api import (
    API_VERSION,
    MAX_BODY_BYTES,
    install_error_handlers,
    router,
)
from pipeline.request_limits import BodyLimit
from pipeline.stage_errors import ServiceError
from pipeline.stage_logging import LOG, configure_logging, exit_code_of
from pipeline.stage_settings import ServeSettings

SHUTDOWN_SECONDS = 10
"""How long a client may take to finish its request after SIGTERM."""


@exit_code_of
def main(arguments: Sequence[str] = ()) -> None:
    """Run the stage until it is told to stop; return its exit code: 0 stopped, 1 failed.

    Args:
        arguments: command line arguments; wrong ones end the process with exit code 2.
    """
    settings = ServeSettings.from_arguments(arguments)
    configure_logging(settings.log_level, settings.log_format)
    with _stopped_by_sigterm():
        LOG.info("Starting serve-model stage.")
        model = load_configured_model(settings)
        uvicorn.run(
            create_app(lambda: model),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    LOG.info("Finished serve-model stage.")


class DispatchService(FastAPI):
    """The application: FastAPI with one model, which is loaded at start or on first use."""

    def __init__(self, load: Callable[[], DispatchModel], **options: Any) -> None:
        """Remember how to load the model.

        Args:
            load: returns a verified model, or raises a PipelineError.
            options: FastAPI's own.
        """
        super().__init__(**options)
        self._load = load
        self._model: DispatchModel | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a model is loaded."""
        return self._model is not None

    def model(self) -> DispatchModel:
        """Return the model; load it if this is the first use.

        Raises:
            PipelineError: it cannot be loaded.
        """
        if self._model is None:
            self._model = self._load()
        return self._model

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI schema, which lists the products that the model knows."""
        schema = super().openapi()
        request = schema["components"]["schemas"]["TimeToDispatchRequest"]
        codes = self.model().lineage.catalogue.product_code
        request["properties"]["product_code"] |= {"enum": codes, "examples": codes[:1]}
        return schema


def create_app(load: Callable[[], DispatchModel]) -> DispatchService:
    """Return the application; `load` is called when it starts, or at the first request."""
    app = DispatchService(
        load, title="Time to dispatch", version=API_VERSION, lifespan=_load_at_start
    )
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)
    app.include_router(router)
    install_error_handlers(app)
    return app


def load_configured_model(settings: ServeSettings) -> DispatchModel:
    """Return the model that the settings ask for.

    Raises:
        PipelineError: there is none, or it does not pass a check.
    """
    model = load_model(open_store(settings.store), settings.model_key)
    LOG.info(
        f"Loaded {model.version} with {len(model.products):,} products, trained on "
        f"{model.lineage.dataset.key}."
    )
    if model.lineage.refused_because:
        LOG.warning(f"This model was refused: {'; '.join(model.lineage.refused_because)}.")
    return model


def load_from_environment() -> DispatchModel:
    """Load the model for those who import `app` instead of running the stage.

    Raises:
        PipelineError: the settings in the environment are wrong, or the model cannot be loaded.
    """
    try:
        settings = ServeSettings.from_arguments(())
    except SystemExit as stop:
        raise ServiceError("A setting is wrong; the lines above say which.") from stop
    configure_logging(settings.log_level, settings.log_format)
    return load_configured_model(settings)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Make SIGTERM end what is inside, so that the stage goes on to its end and exit code 0.

    uvicorn handles the signal while it runs, and raises it once more when it has shut down. One
    that comes before uvicorn is up should not be lost.

    Raises:
        ServiceError: uvicorn could not start; it has logged the reason.
    """
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    except SystemExit as stop:
        if stop.code != 0:
            raise ServiceError(
                "The service did not start; the line above says why. If another program uses the "
                "port, stop it or choose another --port."
            ) from stop
    finally:
        signal.signal(signal.SIGTERM, previous)


@asynccontextmanager
async def _load_at_start(app: FastAPI) -> AsyncIterator[None]:
    assert isinstance(app, DispatchService)
    app.model()
    yield


app = create_app(load_from_environment)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
