"""Which models of a store are looked back at."""

from datetime import timedelta

import pytest

from pipeline.curves.estimator import PerProductCurve
from pipeline.model.artifact import MODELS, artifact_key
from pipeline.model.decisions import Action, Decision, decide
from pipeline.model.order import HOURS
from pipeline.model.reader import load_model
from pipeline.orders.simulator import simulate_orders
from pipeline.release.history import load_history
from pipeline.release.publishing import store_artifact, write_artifact
from pipeline.stores.directory import DirectoryStore
from pipeline.stores.timestamped_keys import name_of
from tests.support.builders import TRAINED_AT, metadata_of
from tests.support.helpers import logged

WEEK = simulate_orders(100, seed=1)


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> DirectoryStore:
    """Return a store with the models of fifteen days."""
    store = DirectoryStore(str(tmp_path_factory.mktemp("store")))
    regressor = PerProductCurve(1).fit(WEEK, WEEK[HOURS])
    for day in range(15):
        facts = metadata_of(WEEK, trained_at=TRAINED_AT + timedelta(days=day))
        store_artifact(store, MODELS, facts, write_artifact(regressor, facts))
    return store


def test_the_last_thirteen_models_are_read_and_the_champion_is_not_read_again(
    store: DirectoryStore,
) -> None:
    champion = load_model(store)

    history = load_history(store, champion)

    assert [model.version for model in history] == list(map(name_of, store.list_keys(MODELS)[2:]))
    assert history[-1] is champion


def test_withdrawn_models_are_left_out(store: DirectoryStore) -> None:
    champion = load_model(store)
    withdrawn = name_of(store.list_keys(MODELS)[7])
    decision = Decision(
        action=Action.WITHDRAW,
        model_version=withdrawn,
        dataset_key="",
        dataset_sha256="",
        reason="",
    )
    decide(store, decision)

    versions = [model.version for model in load_history(store, champion)]

    assert len(versions) == 13
    assert withdrawn not in versions


def test_a_model_that_cannot_be_read_is_left_out_with_a_warning(
    store: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    champion = load_model(store)
    key = artifact_key(MODELS, TRAINED_AT + timedelta(days=3, hours=1), b"no model")
    store.write_new(key, b"no model")

    assert len(load_history(store, champion)) == 12

    (warning,) = logged(caplog, "WARNING")
    assert f"Not compared with an earlier model: The model {key} is not an ONNX model" in warning
