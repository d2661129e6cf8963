"""Every fault with every call to S3: a stage goes on, or ends with one line; nothing is half."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.model.artifact import MODELS, REPORTS
from pipeline.model.reader import load_model, read_artifact
from pipeline.orders.deliveries import newest_delivery
from pipeline.orders.weekly_dataset import load_dataset
from pipeline.release.champion import load_champion
from pipeline.release.publishing import store_artifact
from pipeline.stages.errors import PipelineError
from pipeline.stages.workers import HERE
from pipeline.stores.base import open_store
from pipeline.stores.directory import DirectoryStore
from pipeline.train_model import main as train_model
from tests.support.helpers import logged
from tests.support.store_faults import FAULTS, Call, FaultyProxy

SECONDS = 8.0
"""To wait for the store; a quarter of it for each silence."""
AT_ONCE = 16
STEP = 1 if "ALL_STORE_FAULTS" in os.environ else 12
"""Of the matrix, each twelfth cell is tried by default."""
DATASET = "datasets/time_to_dispatch_2026-11-27T23-00-00.csv"
WEEK = b"product_code,orders_placed,hours_to_dispatch\n" + b"SKU001,10,2.5\n" * 50

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Published(NamedTuple):
    """A model that is there before the run, and one that the run publishes."""

    key: str
    champion: bytes
    challenger: bytes


@pytest.fixture(scope="module")
def published(trained_store: Path) -> Published:
    """Return a model, and a larger one."""
    store = DirectoryStore(str(trained_store))
    (key,) = store.list_keys(MODELS)
    return Published(key, store.read(key), store.read(key) * 2)


def train(url: str, published: Published) -> str:
    """Ask the store what a training asks it, without fitting; return the key of the new model."""
    store = open_store(url, SECONDS)
    store.check_writes()
    champion = load_champion(store)
    assert champion is not None, "nothing may be published without comparison"
    delivery = newest_delivery(store, datetime.now(UTC))
    assert load_dataset(store, delivery, 0.0, HERE).week.n_rows == 50
    metadata = read_artifact(published.key, published.champion).metadata
    metadata = metadata.model_copy(update={"trained_at": datetime.now(UTC)})
    store.write_new(f"{REPORTS}/a.html", b"a report")
    return store_artifact(store, MODELS, metadata, published.challenger)


def serve(url: str, published: Published) -> str:
    """Ask the store what the service asks it; return the key of the model that it serves."""
    return f"{MODELS}/{load_model(open_store(url, SECONDS)).version}.onnx"


STAGES: dict[str, Callable[[str, Published], str]] = {"training": train, "service": serve}


def fill(url: str, published: Published) -> None:
    """Put a model and a week into a store."""
    store = open_store(url)
    store.check_writes()
    store.write_new(published.key, published.champion)
    store.write_new(DATASET, WEEK)


@pytest.mark.parametrize("stage", STAGES)
def test_each_fault_of_each_call_is_got_over_or_told_in_one_line(
    stage: str,
    published: Published,
    proxy: FaultyProxy,
    s3_store_url: str,
    s3_endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = s3_store_url.removesuffix("/ttd")

    def outcome(run: str) -> str:
        url = f"{bucket}/{run}"
        try:
            return STAGES[stage](url, published)
        except PipelineError as error:
            return str(error)

    with monkeypatch.context() as direct:
        direct.setenv("AWS_ENDPOINT_URL_S3", s3_endpoint)
        fill(f"{bucket}/sound", published)
    outcome("sound")
    calls = proxy.calls["sound"]
    runs = {
        f"{number}-{index}": (name, number)
        for index, name in enumerate(FAULTS)
        for number in range(len(calls))
        if (index + number) % STEP == 0
    }
    with monkeypatch.context() as direct, ThreadPoolExecutor(4) as some:
        direct.setenv("AWS_ENDPOINT_URL_S3", s3_endpoint)
        list(some.map(lambda run: fill(f"{bucket}/{run}", published), runs))
    for run, (name, number) in runs.items():
        proxy.faults[run] = (number, FAULTS[name])
    with ThreadPoolExecutor(AT_ONCE) as many:
        outcomes = dict(zip(runs, many.map(outcome, runs)))

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_endpoint)
    wrong = []
    for run, (name, number) in runs.items():
        told, call, store = outcomes[run], calls[number], open_store(f"{bucket}/{run}")
        models = {key: store.read(key) for key in store.list_keys(MODELS)}
        others = {key: model for key, model in models.items() if key != published.key}
        is_whole = set(others.values()) <= {published.challenger}
        if FAULTS[name].ends:
            is_right = told.startswith("Cannot ") and "\n" not in told
        else:
            is_right = told in models and (stage == "service" or told in others)
        if not (is_right and is_whole and published.key in models):
            wrong.append((name, call, told))
    assert wrong == [], "\n".join(map(str, wrong))


def test_a_real_training_asks_its_store_for_no_more_kinds_of_things(
    published: Published, proxy: FaultyProxy, s3_store_url: str, sample_store: Path
) -> None:
    bucket = s3_store_url.removesuffix("/ttd")
    fill(f"{bucket}/mini", published)
    train(f"{bucket}/mini", published)
    store = open_store(f"{bucket}/real")
    (week, *_) = DirectoryStore(str(sample_store)).list_keys("datasets")
    store.write_new(week, (sample_store / week).read_bytes())

    assert train_model([f"{bucket}/real"]) == 0
    assert train_model([f"{bucket}/real", "--retrain"]) == 0

    fill_calls = {Call("write", "datasets")}
    assert set(proxy.calls["real"]) <= set(proxy.calls["mini"]) | fill_calls


def test_a_store_whose_models_have_gone_is_no_first_run(
    sample_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert train_model([str(sample_store)]) == 0
    (model,) = (sample_store / MODELS).iterdir()
    model.unlink()

    assert train_model([str(sample_store)]) == 1
    assert train_model([str(sample_store), "--ignore-champion"]) == 0

    (error,) = logged(caplog, "ERROR")
    assert error.startswith(f"There is no model in {sample_store}/models any more")
