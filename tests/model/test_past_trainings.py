"""What became of each training of a store, as its objects tell."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.manage_models import main as manage_models
from pipeline.model import past_trainings
from pipeline.model.artifact import MODELS, NOT_PUBLISHED, REFUSED, REPORTS, artifact_key
from pipeline.model.metadata import COVERAGE
from pipeline.model.past_trainings import PastTrainings, Training
from pipeline.model.reader import DispatchModel
from pipeline.stores.base import ObjectStore, open_store
from pipeline.stores.timestamped_keys import name_of
from tests.support.builders import comparison
from tests.support.changed_artifacts import metadata_facts, with_facts


def keep(store: ObjectStore, model: bytes, week: int, folder: str = MODELS, **facts: Any) -> str:
    """Store the artifact of a training some weeks after that of a model; return its version."""
    old = metadata_facts(model)
    trained_at = datetime.fromisoformat(old["trained_at"]) + timedelta(weeks=week)
    content = with_facts(model, {**old, "trained_at": trained_at.isoformat(), **facts})
    key = artifact_key(folder, trained_at, content)
    store.write_new(key, content)
    return name_of(key)


def after(version: str, coverage: float) -> dict[str, Any]:
    """Return facts of a training that was compared with a model."""
    drift = {"name": COVERAGE, "value": coverage, "least": 0.8, "most": None, "breached": False}
    return {
        "comparison": comparison(champion_version=version).model_dump(mode="json"),
        "drift": [drift],
    }


@pytest.fixture
def model(trained_store: Path) -> bytes:
    (path,) = (trained_store / MODELS).iterdir()
    return path.read_bytes()


def test_each_training_is_told_of_with_what_people_and_the_week_after_say(
    store: ObjectStore, model: bytes, served_model: DispatchModel
) -> None:
    first = keep(store, model, 0)
    refusal = {"rule": "r_squared", "summary": "R² is too low"}
    refused = keep(store, model, 1, REFUSED, refused_because=[refusal], **after(first, 0.1))
    second = keep(store, model, 2, **after(first, 0.91))
    pinned = keep(store, model, 3, **after(first, 0.7))
    store.write_new(f"{REPORTS}/{second}.html", b"<p>")
    overtaken = "time_to_dispatch_2100-01-01T00-00-00-000000_0123456789abcdef"
    store.write_new(f"{REPORTS}/{overtaken}{NOT_PUBLISHED}", b"There is a newer one.\nSo there.\n")
    damaged = artifact_key(MODELS, datetime.fromisoformat("2026-01-01T00:00Z"), b"whole")
    store.write_new(damaged, b"damaged")
    manage_models(["withdraw", second, store.url])
    manage_models(["pin", pinned, store.url])

    history = PastTrainings().history(store)

    assert [
        (one.version, one.outcome, one.decision, one.has_report, one.next_week_coverage)
        for one in history.trainings
    ] == [
        (overtaken, "overtaken", None, False, None),
        (pinned, "published", "pin", False, None),
        (second, "published", "withdraw", True, None),
        (refused, "refused", None, False, None),
        (first, "published", None, False, 0.91),
        (name_of(damaged), "published", None, False, None),
    ]
    reasons = [one.reason for one in history.trainings]
    assert reasons[:5] == ["There is a newer one.", None, None, "R² is too low", None]
    assert "is damaged or was renamed" in str(reasons[5])
    assert (history.older, history.usable_version) == (0, pinned)
    facts, metadata = history.trainings[4], served_model.metadata
    assert facts.error_hours == metadata.metrics.mean_absolute_error_hours
    assert (facts.rows, facts.interval_level) == (1_000, 0.9)
    assert facts.skill == pytest.approx(0.87, abs=0.01)


def test_the_list_has_the_same_for_people_and_for_programs(
    store: ObjectStore, model: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    first = keep(store, model, 0)
    second = keep(store, model, 1, **after(first, 0.91))

    assert manage_models(["list", store.url]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines == [
        ["2026-11-20", second, "1,000", "0.61", "h", "87%", "–", "served"],
        ["2026-11-20", first, *"1,000 0.61 h 87% 91% of 90% published".split()],
    ]
    assert manage_models(["list", "--json", store.url]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [Training(**each).version for each in told["trainings"]] == [second, first]
    assert told["usable_version"] == second


def test_only_the_newest_are_read_and_each_of_them_once(
    production: Path, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_trainings, "MAX_TRAININGS", 2)
    store, past = open_store(str(production)), PastTrainings()
    versions = [keep(store, model, week) for week in (1, 2)]
    (oldest, *_) = sorted((production / MODELS).iterdir())
    oldest.write_bytes(b"never read")

    history = past.history(store)
    for version in versions:
        (production / MODELS / f"{version}.onnx").write_bytes(b"not read again")

    assert history.older == 1
    assert [one.version for one in history.trainings] == [*reversed(versions)]
    assert past.history(store) == history
