"""Looking into the store while serving: for a newer model, and for what people should know."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from time import monotonic
from typing import NamedTuple

from pipeline.api.counts import StoreState
from pipeline.api.service import DispatchService
from pipeline.model.artifact import MODELS, REFUSED, SUFFIX
from pipeline.model.decisions import newest_and_is_pinned
from pipeline.model.reader import newest_model_key, try_artifact
from pipeline.model.undelivered_alerts import count_undelivered
from pipeline.stages.daemon_threads import Arguments, Result, in_daemon_thread
from pipeline.stages.errors import ArtifactDamaged, ArtifactError, PipelineError
from pipeline.stages.logs import LOG
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import name_of, split_by_name

STATE_SECONDS = 300.0
"""Between two looks at the store's state, where nobody looks for newer models."""


class Written(NamedTuple):
    """An object of a store, and when it was written last."""

    key: str
    at: datetime | None


class ModelReloader:
    """Keeps a service at the newest model of its store, without a restart.

    A model that does not pass its checks is refused once, and the service goes on with the one
    that it has; it is read again only if somebody writes it anew. One that is damaged may just be
    copied into the store, so it is refused when it has not grown from one look to the next.
    If the newest model is taken away, the one before it is the newest again.
    """

    def __init__(self, service: DispatchService) -> None:
        """Remember the service; nothing is read yet."""
        self._service = service
        self._refused: Written | None = None
        self._damaged: Written | None = None
        self._logged_trouble: dict[str, str] = {}

    async def run(self, seconds: float | None) -> None:
        """Look for a newer model and at the state of the store again and again.

        A worker that takes the place of another begins with the model of the start, and looks at
        once if that is older.

        Args:
            seconds: after which to look each time; None to keep the model, and look at the
                state of the store.
        """
        await self._try("see what people should know", self.look_around)
        pause = STATE_SECONDS
        if seconds is not None:
            pause = max(0.0, self._service.served_since + seconds - monotonic())
        while True:
            await asyncio.sleep(pause)
            pause = seconds or STATE_SECONDS
            if seconds is not None:
                await self._try("look for a newer model, so the old one goes on", self.look)
            await self._try("see what people should know", self.look_around)

    async def look_around(self) -> None:
        """See what people should know of the store, for the metrics.

        Raises:
            StoreError: the store cannot be listed.
        """
        state = await _awaited(_state_of, self._service.store)
        if self._service.settings.model_key is not None:
            state = state._replace(is_pinned=True)
        self._service.metrics.describe_store(state)

    async def look(self) -> None:
        """Serve the newest model of the store, if that is another than the one that is served.

        It is read, verified and tried out in a thread, and takes over between two requests.

        Raises:
            StoreError: the store cannot be listed or read.
            ArtifactError: there is no model in it any more.
        """
        store = self._service.store
        served = self._service.answers().model.version
        key = await _awaited(newest_model_key, store)
        if name_of(key) == served:
            return
        times = await _awaited(store.list_times, MODELS)
        written = Written(key, times.get(key))
        if written == self._refused:
            return
        content = await _awaited(store.read, key)
        try:
            model = await _awaited(try_artifact, key, content)
        except ArtifactError as error:
            self._refuse(written, error)
            return
        self._service.serve(model)
        self._service.metrics.count_reload("served")
        LOG.info(f"Serving {model.version} from now on, instead of {served}.")

    def _refuse(self, written: Written, error: ArtifactError) -> None:
        """Refuse a model, unless it may be complete at the next look."""
        served = self._service.answers().model.version
        if isinstance(error, ArtifactDamaged) and written != self._damaged:
            self._damaged = written
            LOG.info(f"The newest model is looked at again, and {served} goes on: {error}")
            return
        self._refused = written
        self._service.metrics.count_reload("refused")
        LOG.error(f"The newest model is refused, and {served} goes on: {error}")

    async def _try(self, purpose: str, look: Callable[[], Awaitable[None]]) -> None:
        """Look into the store; log what is wrong, unless the last look failed in the same way."""
        trouble = ""
        try:
            await look()
        except PipelineError as error:
            trouble = f"Cannot {purpose}: {error}"
            if trouble != self._logged_trouble.get(purpose):
                LOG.error(trouble)
        except Exception:
            LOG.exception("Unexpected error while looking into the store. Please report this.")
        self._logged_trouble[purpose] = trouble


def _state_of(store: ObjectStore) -> StoreState:
    newest, is_pinned = newest_and_is_pinned(store)
    refused, _ = split_by_name(store.list_keys(REFUSED), (SUFFIX,))
    since = [one for one in refused if newest is None or one.moment > newest.moment]
    return StoreState(count_undelivered(store), len(since), is_pinned)


async def _awaited(
    function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Call a function that may hang, as `asyncio.to_thread` does.

    The service ends only after the threads of `to_thread`, and S3 may take minutes to fail, or a
    model seconds to be tried.
    """
    return await asyncio.wrap_future(in_daemon_thread(function, *args, **kwargs))
