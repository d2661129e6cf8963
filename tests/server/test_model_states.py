"""Whatever people do with models in a store, both versions of the API answer with the right one."""

import asyncio
import json
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import sampled_from

from pipeline.api.service import DispatchService
from pipeline.model.artifact import MODELS, artifact_key
from pipeline.model.decisions import Action, Decision, decide
from pipeline.model.reader import newest_model_key
from pipeline.serve_model import create_app
from pipeline.server.reload import ModelReloader
from pipeline.stages.errors import ArtifactError
from pipeline.stages.settings import ServeSettings
from pipeline.stores.directory import DirectoryStore
from pipeline.stores.timestamped_keys import name_of
from tests.support.changed_artifacts import metadata_facts, with_facts
from tests.support.service_fixtures import BATCH, ORDER, V0_1, V0_2, send

pytestmark = pytest.mark.slow

FIRST = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
MODEL = sampled_from(range(3))
COLUMNS = {key: [value] for key, value in json.loads(ORDER).items()}


class ModelStates(RuleBasedStateMachine):
    """Three models that are published, pinned, withdrawn and restored in any sequence.

    Attributes:
        artifact: of which the three are made.
    """

    artifact: bytes

    def __init__(self) -> None:
        """Begin with one model in the store, and a service that serves it."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = DirectoryStore(str(self.folder))
        facts = metadata_facts(self.artifact)
        self.artifacts = {}
        for week in range(3):
            at = FIRST + timedelta(weeks=week)
            content = with_facts(self.artifact, facts | {"trained_at": at.isoformat()})
            self.artifacts[artifact_key(MODELS, at, content)] = content
        self.versions = [name_of(key) for key in self.artifacts]
        self.published: list[str] = []
        self.decided: dict[str, Action] = {}
        self.publish()
        self.service = DispatchService(ServeSettings.from_arguments([str(self.folder)]))
        self.service.answers()
        self.reloader = ModelReloader(self.service)
        self.app = create_app(self.service)
        self.served = self.versions[0]

    def teardown(self) -> None:
        """Remove the store."""
        shutil.rmtree(self.folder)

    @precondition(lambda self: len(self.published) < len(self.versions))
    @rule()
    def publish(self) -> None:
        """Publish the next model."""
        key = list(self.artifacts)[len(self.published)]
        self.store.write_new(key, self.artifacts[key])
        self.published.append(name_of(key))

    @rule(model=MODEL, action=sampled_from(Action))
    def decide(self, model: int, action: Action) -> None:
        """Decide something about a model that is there."""
        version = self.published[model % len(self.published)]
        decision = Decision(
            action=action, model_version=version, dataset_key="x", dataset_sha256="0", reason=""
        )
        decide(self.store, decision)
        self.decided.pop(version, None)
        if action is not Action.RESTORE:
            self.decided[version] = action  # the last one is at the end

    @rule()
    def look(self) -> None:
        """Have the service look into the store."""
        usable = self._usable()
        if usable is None:
            with pytest.raises(ArtifactError):
                asyncio.run(self.reloader.look())
        else:
            asyncio.run(self.reloader.look())
            self.served = usable

    def _usable(self) -> str | None:
        pinned = [version for version, what in self.decided.items() if what is Action.PIN]
        if pinned:
            return pinned[-1]
        return max((v for v in self.published if v not in self.decided), default=None)

    @invariant()
    def all_answers_agree(self) -> None:
        """Ask for the same order in each way, and compare."""
        single, full = (self._ask(path, ORDER) for path in (V0_1, V0_2))
        rows = self._ask(BATCH, b'{"orders": [%b]}' % ORDER)
        columns = self._ask(BATCH, json.dumps(COLUMNS).encode())
        (row,) = rows.pop("predictions")
        assert {**row, **rows} == full
        assert {name: full[name] for name in single} == single
        assert columns["predictions"]["est_hours_to_dispatch"] == [single["est_hours_to_dispatch"]]
        assert {one["model_version"] for one in (single, full, columns)} == {self.served}

    def _ask(self, path: str, body: bytes) -> dict[str, Any]:
        answer = send(self.app, path, body)
        assert answer.status == 200
        said: dict[str, Any] = json.loads(answer.body)
        return said


def test_the_right_model_answers_in_both_versions(trained_store: Path) -> None:
    store = DirectoryStore(str(trained_store))
    artifact = store.read(newest_model_key(store))

    class FromHere(ModelStates):
        pass

    FromHere.artifact = artifact
    run_state_machine_as_test(
        FromHere,
        settings=settings(
            max_examples=12,
            stateful_step_count=15,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],  # to make a failing sequence shorter takes minutes
        ),
    )
