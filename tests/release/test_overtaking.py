"""Trainings that meet in one store: who is told to stop, and when; what a model is dated."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.model.artifact import MODELS
from pipeline.model.reader import DispatchModel
from pipeline.release.overtaking import (
    champion_now,
    production_of,
    refuse_overtaken,
    time_of_model,
)
from pipeline.stages.errors import Overtaken
from pipeline.stores.directory import DirectoryStore
from pipeline.stores.timestamped_keys import NAME_PREFIX, format_timestamp

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


def add_model(store: DirectoryStore, trained_at: datetime) -> str:
    """Add what is named as a model, and return its name."""
    name = f"{NAME_PREFIX}_{format_timestamp(trained_at)}_{'0' * 16}"
    store.write_new(f"{MODELS}/{name}.onnx", b"")
    return name


def test_a_model_gets_the_time_of_now(store: DirectoryStore) -> None:
    assert time_of_model(store, NOW) == (NOW, None)
    add_model(store, NOW - MICROSECOND)
    assert time_of_model(store, NOW) == (NOW, None)


@pytest.mark.parametrize("newest", [NOW, NOW + SECOND, datetime(2262, 1, 1, tzinfo=UTC)])
def test_a_model_comes_after_one_that_is_dated_ahead_and_people_are_told(
    newest: datetime, store: DirectoryStore
) -> None:
    version = add_model(store, newest)
    moment, warning = time_of_model(store, NOW)
    assert moment == newest + MICROSECOND
    assert warning and version in str(warning) and "Set the clock right" in str(warning)
    refuse_overtaken(store, moment, version)


@pytest.mark.parametrize("ahead", [SECOND, -SECOND], ids=["newer", "published since it looked"])
def test_a_training_is_overtaken_by_a_model_that_it_was_not_compared_with(
    ahead: timedelta, store: DirectoryStore
) -> None:
    production = add_model(store, NOW - timedelta(days=7))
    refuse_overtaken(store, NOW, production)
    other = add_model(store, NOW + ahead)
    with pytest.raises(Overtaken) as refusal:
        refuse_overtaken(store, NOW, production)
    assert refusal.value.version == other
    assert refusal.value.exit_code == 3


def test_a_training_that_looks_again_compares_with_the_model_of_that_moment(
    production: Path, served_model: DispatchModel
) -> None:
    store = DirectoryStore(str(production))
    assert champion_now(store, served_model) is served_model
    newer = champion_now(store, None)
    assert newer and newer.version == served_model.version == production_of(store)
