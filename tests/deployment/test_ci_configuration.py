"""Both CI systems only call the Makefile, and their files are checked."""

import re
import shlex
import subprocess
from typing import Any

import pytest
import yaml

from tests.support.circleci_pipeline import CONTINUATION
from tests.support.github_workflows import GITHUB_JOBS, WORKFLOW_FILES, commands_of
from tests.support.helpers import ROOT

CIRCLECI = ROOT / ".circleci"
GITHUB = ROOT / ".github"
TOX = (ROOT / "tox.ini").read_text()
OUTPUT = ' >> "$GITHUB_OUTPUT"'
ALL_JOBS = [*CONTINUATION["jobs"].values(), *GITHUB_JOBS.values()]
COMMANDS = {command for job in ALL_JOBS for command in commands_of(job)}


def test_continuous_integration_only_runs_make_test() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()

    assert lines[-1] == "make test"


@pytest.mark.parametrize(
    "path",
    [*sorted(CIRCLECI.glob("*.yml")), *WORKFLOW_FILES, GITHUB / "dependabot.yml"],
    ids=lambda path: path.name,
)
def test_every_configuration_is_checked_against_its_schema(path: Any) -> None:
    (line,) = [line for line in TOX.splitlines() if path.relative_to(ROOT).as_posix() in line]
    schemas = {".circleci": "circle-ci", "workflows": "github-workflows", ".github": "dependabot"}

    assert f"check-jsonschema --builtin-schema vendor.{schemas[path.parent.name]} " in line


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_make_with_targets_and_variables_that_exist(command: str) -> None:
    make, *words = shlex.split(command.removesuffix(OUTPUT))
    targets = [word for word in words if re.fullmatch(r"[a-z-]+", word) and word[0] != "-"]
    variables = [word.split("=")[0] for word in words if re.match(r"[A-Z_]+=", word)]
    (phony,) = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert make == "make"
    assert len(targets) + len(variables) == len([word for word in words if word != "--silent"])
    assert set(targets) <= set(phony.split())
    values = [f"{name}=the-value-of-{name}" for name in variables]
    plan = subprocess.run(
        ["make", "--dry-run", *targets, *values], cwd=ROOT, capture_output=True, text=True
    )
    assert plan.returncode == 0, plan.stderr
    # The command line's variables are in the environment too, for shell and tox.
    passed_by_tox = " ".join(re.findall(r"^pass_env =(.*(?:\n    .*)*)", TOX, re.MULTILINE))
    for name in variables:
        used = f"the-value-of-{name}" in plan.stdout or f"${name}" in plan.stdout
        assert used or re.search(rf"\b{name}\b", passed_by_tox), name


def test_both_systems_push_the_image_that_bodywork_yaml_names() -> None:
    name, version = yaml.safe_load((ROOT / "bodywork.yaml").read_text())["pipeline"][
        "docker_image"
    ].split(":")

    assert CONTINUATION["executors"]["python"]["environment"]["IMAGE_NAME"] == name
    assert GITHUB_JOBS["image.build-and-push-image"]["env"]["IMAGE_NAME"] == name
    assert version == (ROOT / "VERSION").read_text().strip()


def test_what_reads_documents_also_runs_when_only_documents_changed() -> None:
    modules = {path.name: path.read_text() for path in (ROOT / "tests").glob("*/test_*.py")}
    document = re.compile(r'ROOT / "(docs|[A-Z]+\.md)')
    readers = {name for name, text in modules.items() if document.search(text)}

    assert "test_how_to.py" in readers
    assert [name for name in sorted(readers) if "pytest.mark.documents" not in modules[name]] == []
