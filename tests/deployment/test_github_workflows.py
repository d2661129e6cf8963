"""GitHub Actions: little is allowed, everything is pinned, and what starts a workflow exists."""

import re
import shutil
import subprocess
from typing import Any

import pytest

from tests.support.github_workflows import GITHUB_JOBS, WORKFLOW_FILES, WORKFLOWS
from tests.support.helpers import ROOT


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_of_github_may_only_read_and_does_not_get_in_its_own_way(workflow: str) -> None:
    content = WORKFLOWS[workflow]

    assert content["permissions"] == {"contents": "read"}
    assert set(content["concurrency"]) == {"group", "cancel-in-progress"}


@pytest.mark.parametrize("name", GITHUB_JOBS)
def test_a_job_of_github_is_limited(name: str) -> None:
    job = GITHUB_JOBS[name]
    pages = {"pages": "write", "id-token": "write"}

    assert 10 <= int(job["timeout-minutes"]) <= 90
    assert job["runs-on"] == "ubuntu-24.04"
    assert job.get("permissions", {}) == (pages if name == "docs.deploy-docs" else {})
    checkouts = [step for step in job["steps"] if "actions/checkout@" in step.get("uses", "")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == ["false"] * len(checkouts)


@pytest.mark.parametrize("path", WORKFLOW_FILES, ids=lambda path: path.stem)
def test_actions_are_pinned_and_say_their_version(path: Any) -> None:
    uses = re.findall(r"uses: (.*)", path.read_text())
    pinned = re.compile(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")

    assert uses
    assert [action for action in uses if not pinned.fullmatch(action)] == []


@pytest.mark.parametrize("path", WORKFLOW_FILES, ids=lambda path: path.stem)
def test_what_a_workflow_must_be_given_is_said_at_its_top(path: Any) -> None:
    comment, content = path.read_text().split("\nname:", 1)

    names = set(re.findall(r"\b(?:vars|secrets)\.(\w+)", content))
    assert names <= set(re.findall(r"\w+", comment))


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_the_paths_that_start_a_workflow_exist(workflow: str) -> None:
    triggers = WORKFLOWS[workflow]["on"]
    paths = [
        path
        for trigger in (triggers.values() if isinstance(triggers, dict) else ())
        for path in (trigger["paths"] if "paths" in trigger else ())
    ]

    assert [path for path in paths if not any(ROOT.glob(path.replace("**.", "**/*.")))] == []


def test_github_tests_on_the_pythons_that_tox_knows() -> None:
    (setup,) = [
        step for step in GITHUB_JOBS["tests.run-tests"]["steps"] if "python" in step.get("uses", "")
    ]
    tox = (ROOT / "tox.ini").read_text()
    (minors,) = re.findall(r"py\{([0-9, ]+)\}-unit_and_functional_tests\n", tox)

    expected = {f"3.{minor.strip()[1:]}" for minor in minors.split(",")}
    assert set(setup["with"]["python-version"].split()) == expected


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not on PATH")
def test_actionlint_finds_nothing() -> None:
    found = subprocess.run(["actionlint"], cwd=ROOT, capture_output=True, text=True)

    assert found.returncode == 0, found.stdout + found.stderr
