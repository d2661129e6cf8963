"""Serving a newer model without a restart: the store is asked for it now and then."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from time import monotonic
from typing import ParamSpec, TypeVar

from pipeline.api.service import DispatchService
from pipeline.model.reader import newest_model_key, try_artifact
from pipeline.stages.errors import ArtifactError, PipelineError
from pipeline.stages.logs import LOG
from pipeline.stores.timestamped_keys import name_of

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class ModelReloader:
    """Keeps a service at the newest model of its store.

    A model that does not pass its checks is refused once, and the service goes on with the one
    that it has. If the newest model is taken away, the one before it is the newest again.
    """

    def __init__(self, service: DispatchService) -> None:
        """Remember the service; nothing is read yet."""
        self._service = service
        self._refused_key: str | None = None
        self._logged_trouble = ""

    async def run(self, seconds: float) -> None:
        """Look for a newer model again and again, each time after so many seconds.

        A worker that takes the place of another begins with the model of the start, and looks at
        once if that is older.
        """
        pause = max(0.0, self._service.served_since + seconds - monotonic())
        while True:
            await asyncio.sleep(pause)
            pause = seconds
            try:
                await self.look()
                self._logged_trouble = ""
            except PipelineError as error:
                self._log_once(f"Cannot look for a newer model, so the old one goes on: {error}")
            except Exception:
                LOG.exception(
                    "Unexpected error while looking for a newer model. Please report this."
                )

    async def look(self) -> None:
        """Serve the newest model of the store, if that is another than the one that is served.

        It is read, verified and tried out in a thread, and takes over between two requests.

        Raises:
            StoreError: the store cannot be listed or read.
            ArtifactError: there is no model in it any more.
        """
        store = self._service.store
        served = self._service.answers().model.version
        key = await _in_daemon_thread(newest_model_key, store)
        if name_of(key) == served or key == self._refused_key:
            return
        content = await _in_daemon_thread(store.read, key)
        try:
            model = await asyncio.to_thread(try_artifact, key, content)
        except ArtifactError as error:
            self._refused_key = key
            self._service.metrics.count_reload("refused")
            LOG.error(f"The newest model is refused, and {served} goes on: {error}")
            return
        self._service.serve(model)
        self._service.metrics.count_reload("served")
        LOG.info(f"Serving {model.version} from now on, instead of {served}.")

    def _log_once(self, trouble: str) -> None:
        """Log what is wrong, unless the last look failed in the same way."""
        if trouble != self._logged_trouble:
            LOG.error(trouble)
        self._logged_trouble = trouble


async def _in_daemon_thread(
    function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Call a function that may hang, as `asyncio.to_thread` does.

    The service ends only after the threads of `to_thread`, and S3 may take minutes to fail.
    """
    result: Future[Result] = Future()

    def work() -> None:
        result.set_running_or_notify_cancel()
        try:
            result.set_result(function(*args, **kwargs))
        except Exception as error:
            result.set_exception(error)

    Thread(target=work, daemon=True).start()
    return await asyncio.wrap_future(result)
