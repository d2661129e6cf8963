"""Serving a newer model without a restart: the store is asked for it now and then."""

import asyncio

from pipeline.artifact_reader import load_model, newest_model_key
from pipeline.dispatch_service import DispatchService
from pipeline.stage_errors import ArtifactError, PipelineError
from pipeline.stage_logging import LOG
from pipeline.timestamped_keys import name_of


class ModelReloader:
    """Keeps a service at the newest model of its store.

    A model that does not pass its checks is refused once, and the service goes on with the one
    that it has. If the newest model is taken away, the one before it is the newest again.
    """

    def __init__(self, service: DispatchService) -> None:
        """Remember the service; nothing is read yet."""
        self._service = service
        self._refused_key: str | None = None
        self._told = ""

    async def run(self, seconds: float) -> None:
        """Look for ever, each time after so many seconds."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.look()
                self._told = ""
            except PipelineError as error:
                self._tell_once(f"Cannot look for a newer model, so the old one goes on: {error}")
            except Exception:
                LOG.exception("Looking for a newer model failed in a way that nobody foresaw.")

    async def look(self) -> None:
        """Serve the newest model of the store, if that is another than the one that is served.

        It is read, verified and tried out in a thread, and takes over between two requests.

        Raises:
            StoreError: the store cannot be listed or read.
            ArtifactError: there is no model in it any more.
        """
        store = self._service.store
        served = self._service.answers().model.version
        key = await asyncio.to_thread(newest_model_key, store)
        if name_of(key) == served or key == self._refused_key:
            return
        try:
            model = await asyncio.to_thread(load_model, store, key)
        except ArtifactError as error:
            self._refused_key = key
            self._service.metrics.count_reload("refused")
            LOG.error(f"The newest model is refused, and {served} goes on: {error}")
            return
        self._service.serve(model)
        self._service.metrics.count_reload("served")
        LOG.info(f"Serving {model.version} from now on, instead of {served}.")

    def _tell_once(self, trouble: str) -> None:
        """Log what is wrong, unless it was wrong the last time already."""
        if trouble != self._told:
            LOG.error(trouble)
        self._told = trouble
