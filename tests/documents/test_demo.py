"""`make demo` and the README: what they promise is what happens."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from pipeline.api.service import DispatchService
from pipeline.serve_model import create_app
from pipeline.stages.settings import ServeSettings, TrainSettings
from tests.support.helpers import ROOT

pytestmark = pytest.mark.documents

README = (ROOT / "README.md").read_text()
VARIABLE_PARTS = {
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}": "<time>",
    r"(?<=models/)?time_to_dispatch_[0-9T-]+_[0-9a-f]{16}": "<model>",
    r"process \[\d+\]": "process <id>",
    r"(?<=127\.0\.0\.1:)\d+|(?<=--port )\d+": "<port>",
    r"(?<= )/\S*/data/": "<data>/",
    r"\([\d,]+ bytes\)": "(<size>)",
}


def without_variable_parts(text: str) -> list[str]:
    for pattern, name in VARIABLE_PARTS.items():
        text = re.sub(pattern, name, text)
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.mark.system
def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for folder in ("pipeline", "examples", "data/datasets"):
        shutil.copytree(ROOT / folder, checkout / folder)
    # Neither settings of the shell nor a proxy may lead the demo away from the sample store.
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout),
        "TTD_STORE": str(tmp_path / "production"),
        "http_proxy": "http://127.0.0.1:9",
    }

    demo = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert demo.returncode == 0, demo.stderr
    (shown,) = re.findall(r"```text\n\$ make demo\n(.*?)```", README, flags=re.DOTALL)
    assert without_variable_parts(demo.stdout) == without_variable_parts(shown)


def test_the_readme_shows_the_answer_to_its_batch(trained_store: Path) -> None:
    found = re.search(r"\$ curl \S+(/api/v0\.2/\S+/batch) --json '(.*)'\n(.*)\n", README)
    assert found is not None
    path, body, shown = found.groups()
    service = DispatchService(ServeSettings.from_arguments([str(trained_store)]))
    answer = TestClient(create_app(service)).post(path, json=json.loads(body))
    assert answer.json() | {"model_version": None} == json.loads(shown) | {"model_version": None}


@pytest.mark.parametrize("settings", [TrainSettings, ServeSettings])
def test_the_readme_lists_every_setting_with_its_default(
    settings: type[TrainSettings] | type[ServeSettings],
) -> None:
    for name, field in settings.model_fields.items():
        option = "STORE" if name == "store" else f"--{name.replace('_', '-')}"
        default = {"store": "the sample store", "model_key": "the newest"}.get(
            name, f"`{field.default}`"
        )
        assert f"| `{option}` | `TTD_{name.upper()}` | {default} |" in README


@pytest.mark.parametrize("target", ["demo", "test", "week", "lock"])
def test_the_makefile_has_the_targets_that_the_documents_name(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
