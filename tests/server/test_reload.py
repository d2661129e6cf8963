"""A newer model is served without a restart, and a bad one is not served at all."""

import asyncio
import json
import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.campaign.steady_load import PATIENCE_SECONDS, Asked, SteadyLoad
from pipeline.api.counts import StoreState
from pipeline.api.service import DispatchService
from pipeline.manage_models import main as manage_models
from pipeline.model.artifact import MODELS, REFUSED, artifact_key
from pipeline.model.reader import load_model, newest_model_key
from pipeline.orders.simulator import HOURS_PER_ORDER, simulate_orders
from pipeline.serve_model import main
from pipeline.server.reload import ModelReloader
from pipeline.stages.settings import ServeSettings
from pipeline.stores.base import ObjectStore, open_store
from pipeline.stores.directory import DirectoryStore
from pipeline.stores.s3 import S3Store
from pipeline.stores.timestamped_keys import name_of
from pipeline.train_model import main as train_model
from tests.support.changed_artifacts import with_metadata
from tests.support.helpers import deliver, logged, predict
from tests.support.service_clients import (
    WatchedService,
    flip_a_bit,
    wait_until,
    watched_service,
)

NEW_PRODUCT = "SKU777"
RELOADING = ("--reload-seconds", "0.2")
SEVERAL_LOOKS_SECONDS = 1.0


@pytest.fixture(scope="module")
def next_store(trained_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with the model of the trained store and that of a next week."""
    store = shutil.copytree(trained_store, tmp_path_factory.mktemp("next") / "store")
    train_on_next_week(store)
    return store


@pytest.fixture
def served(production: Path) -> DispatchService:
    """Return a service that serves the model of the production store."""
    service = DispatchService(ServeSettings.from_arguments([str(production)]))
    service.answers()
    return service


def train_on_next_week(store: Path) -> None:
    """Deliver a week with one more product, and train on it."""
    deliver(store, simulate_orders(1_000, 7, {**HOURS_PER_ORDER, NEW_PRODUCT: 0.05}))
    assert train_model([str(store)]) == 0


def publish(source: Path, store: ObjectStore) -> str:
    """Copy the newest model of a folder into a store, and return its version."""
    models = DirectoryStore(str(source))
    key = newest_model_key(models)
    store.write_new(key, models.read(key))
    return name_of(key)


def publish_damaged(store: Path) -> Path:
    """Put a model with one flipped bit into a store, only just newer than its newest one."""
    key = newest_model_key(DirectoryStore(str(store)))
    moment, content_hash = key.rsplit("_", 1)
    damaged = store / f"{moment[:-6]}{int(moment[-6:]) + 1:06}_{content_hash}"
    assert damaged.name > Path(key).name
    flip_a_bit(store / key, damaged)
    return damaged


def version_of(service: DispatchService) -> str:
    """Return the version of the model that answers."""
    return service.answers().model.version


def reloads(service: DispatchService) -> list[float]:
    """Return how many newer models were served, and how many were refused."""
    counts = service.metrics.exposition().decode()
    return [float(count) for count in re.findall(r"ttd_model_reloads_total\S+ (.+)", counts)]


def test_a_newer_model_is_served_and_then_that_before_it_if_it_is_taken_away(
    served: DispatchService, production: Path, next_store: Path
) -> None:
    reloader = ModelReloader(served)
    before = version_of(served)
    newer = publish(next_store, served.store)

    asyncio.run(reloader.look())
    assert version_of(served) == newer
    assert NEW_PRODUCT in served.answers().model.products

    (production / MODELS / f"{newer}.onnx").unlink()
    asyncio.run(reloader.look())
    assert version_of(served) == before
    assert reloads(served) == [2, 0]


def test_a_damaged_model_is_refused_once_and_does_not_stand_in_the_way_of_a_newer_one(
    served: DispatchService,
    production: Path,
    next_store: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reloader = ModelReloader(served)
    before = version_of(served)
    damaged = publish_damaged(production)
    for _ in range(5):
        asyncio.run(reloader.look())
    assert version_of(served) == before
    (error,) = logged(caplog, "ERROR")
    assert error.startswith(f"The newest model is refused, and {before} goes on: ")
    assert f"{damaged.name} is damaged" in error
    assert reloads(served) == [0, 1]

    newer = publish(next_store, served.store)
    asyncio.run(reloader.look())
    assert version_of(served) == newer
    assert reloads(served) == [1, 1]


def test_a_model_that_is_being_copied_is_served_when_it_is_complete(
    served: DispatchService,
    production: Path,
    next_store: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reloader = ModelReloader(served)
    newer = newest_model_key(DirectoryStore(str(next_store)))
    content = (next_store / newer).read_bytes()

    for end in (0, len(content) // 2, len(content) - 1):
        (production / newer).write_bytes(content[:end])
        asyncio.run(reloader.look())
    assert logged(caplog, "ERROR") == []
    asyncio.run(reloader.look())  # it has not grown since
    assert len(logged(caplog, "ERROR")) == 1

    (production / newer).write_bytes(content)
    asyncio.run(reloader.look())
    assert version_of(served) == name_of(newer)


class CountingStore(DirectoryStore):
    """A store that counts what is read."""

    reads = 0

    def read(self, key: str) -> bytes:
        """See `ObjectStore.read`."""
        self.reads += 1
        return super().read(key)


@pytest.mark.parametrize(("is_damaged", "reads"), [(True, 2), (False, 1)])
def test_a_refused_model_is_not_read_at_every_look(
    is_damaged: bool, reads: int, served: DispatchService, production: Path
) -> None:
    served.store = store = CountingStore(str(production))
    if is_damaged:
        publish_damaged(production)
    else:
        other = with_metadata((production / newest_model_key(store)).read_bytes(), {})
        store.write_new(artifact_key(MODELS, datetime.now(UTC), other), other)
    reloader = ModelReloader(served)

    for _ in range(5):
        asyncio.run(reloader.look())

    assert (store.reads, reloads(served)) == (reads, [0, 1])


def test_each_trouble_with_the_store_is_told_once_and_the_model_goes_on(
    served: DispatchService, production: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers = served.answers()
    models, away = production / MODELS, production / "away"

    async def lose_the_models_twice() -> None:
        reloading = asyncio.create_task(ModelReloader(served).run(0.01))
        for troubles in (1, 2):
            models.rename(away)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(logged(caplog, "ERROR")) < troubles:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(SEVERAL_LOOKS_SECONDS / 4)
            away.rename(models)
            await asyncio.sleep(SEVERAL_LOOKS_SECONDS / 4)
        reloading.cancel()

    asyncio.run(lose_the_models_twice())
    assert served.answers() is answers
    first, second = logged(caplog, "ERROR")
    assert first == second
    assert first.startswith("Cannot look for a newer model, so the old one goes on: There is no ")


class HangingStore(DirectoryStore):
    """A store that does not answer until it is told to go on."""

    def __init__(self, root: str) -> None:
        """Open a folder."""
        super().__init__(root)
        self.is_asked = threading.Event()
        self.may_go_on = threading.Event()

    def list_keys(self, folder: str) -> list[str]:
        """See `ObjectStore.list_keys`."""
        self.is_asked.set()
        self.may_go_on.wait()
        return super().list_keys(folder)


def test_a_store_that_hangs_does_not_keep_the_service_from_stopping(
    served: DispatchService, production: Path
) -> None:
    served.store = store = HangingStore(str(production))

    async def stop_while_looking() -> None:
        reloading = asyncio.create_task(ModelReloader(served).run(0.01))
        while not store.is_asked.is_set():
            await asyncio.sleep(0.01)
        reloading.cancel()

    stopping = threading.Thread(target=asyncio.run, args=(stop_while_looking(),))
    stopping.start()
    stopping.join(PATIENCE_SECONDS / 3)
    is_stopped = not stopping.is_alive()
    store.may_go_on.set()
    stopping.join()
    assert is_stopped


def test_a_pinned_model_is_not_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--model-key", "models/a.onnx", "--reload-seconds", "1"])
    assert stop.value.code == 2
    assert "leave one of them out" in capsys.readouterr().err


@pytest.mark.system
def test_the_model_of_a_new_week_is_served_without_a_restart_and_without_a_failed_request(
    production: Path, tmp_path: Path
) -> None:
    with watched_service(tmp_path, str(production), *RELOADING) as service:
        before = predict(service.url)["model_version"]
        with loaded(service) as asked:
            train_on_next_week(production)
            newest = load_model(DirectoryStore(str(production)))
            wait_until(
                lambda: service.metric("ttd_model_reloads_total", outcome="served") == 1,
                "the new model is served",
            )
            assert predict(service.url, NEW_PRODUCT)["model_version"] == newest.version
        assert service.metric("ttd_model_info", model_version=newest.version) == 1
        assert service.metric("ttd_model_info") == 1
        assert service.errors == []
    assert {one.answer.status for one in asked} == {200}
    versions = [json.loads(one.answer.body)["model_version"] for one in asked]
    assert set(versions) == {before, newest.version}


@contextmanager
def loaded(service: WatchedService) -> Iterator[list[Asked]]:
    """Ask for predictions meanwhile; the list that is yielded is filled at the end."""
    asked: list[Asked] = []
    load = SteadyLoad(service.port, sorted(HOURS_PER_ORDER), per_second=100)
    ending = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(asyncio.run, load.run(ending.is_set))
        try:
            yield asked
        finally:
            ending.set()
            asked += running.result()


@pytest.mark.system
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_running_service_looks_into_a_bucket_too(
    workers: str, s3_store_url: str, trained_store: Path, next_store: Path, tmp_path: Path
) -> None:
    store = open_store(s3_store_url)
    assert isinstance(store, S3Store)
    publish(trained_store, store)
    arguments = (s3_store_url, *RELOADING, "--workers", workers)
    with watched_service(tmp_path, *arguments) as service:
        newer = publish(next_store, store)
        wait_until(lambda: predict(service.url)["model_version"] == newer, "the newer is served")
        assert service.errors == []


def test_what_people_should_know_of_the_store_is_found(
    served: DispatchService, production: Path
) -> None:
    def found(service: DispatchService) -> StoreState | None:
        asyncio.run(ModelReloader(service).look_around())
        return service.metrics.counts.store

    assert found(served) == StoreState(undelivered_alerts=0, refused_models=0, is_pinned=False)
    (model,) = served.store.list_keys(MODELS)
    given = ServeSettings.from_arguments([str(production), "--model-key", model])
    assert found(DispatchService(given)) == StoreState(0, 0, True)
    for year in (2020, 2100, 2101):
        key = artifact_key(REFUSED, datetime(year, 1, 1, tzinfo=UTC), b"")
        served.store.write_new(key, b"")
    assert manage_models(["pin", name_of(model), str(production)]) == 0
    assert found(served) == StoreState(0, 2, True)
