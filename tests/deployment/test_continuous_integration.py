"""Both CI systems only call the Makefile, may do little, and use nothing of a moving version."""

import re
import shlex
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.helpers import ROOT

CIRCLECI = ROOT / ".circleci"
WORKFLOW_FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Without types, of which BaseLoader makes none: YAML would read the key `on` as a boolean.
WORKFLOWS = {
    path: yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # noqa: S506
    for path in WORKFLOW_FILES
}
CONTINUATION = yaml.safe_load((CIRCLECI / "continue_config.yml").read_text())
GITHUB_JOBS = {
    f"{path.stem}.{name}": job
    for path, workflow in WORKFLOWS.items()
    for name, job in workflow["jobs"].items()
}
TOX = (ROOT / "tox.ini").read_text()
COMMANDS = {
    step["run"]
    for job in [*CONTINUATION["jobs"].values(), *GITHUB_JOBS.values()]
    for step in job.get("steps", ())
    if "run" in step
}
each_workflow = pytest.mark.parametrize("path", WORKFLOW_FILES, ids=lambda path: path.stem)


def test_continuous_integration_only_runs_make_test() -> None:
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make tools test"


@pytest.mark.parametrize(
    "path",
    [*sorted(CIRCLECI.glob("*.yml")), *WORKFLOW_FILES, ROOT / ".github" / "dependabot.yml"],
    ids=lambda path: path.name,
)
def test_every_configuration_is_checked_against_its_schema(path: Path) -> None:
    (line,) = [line for line in TOX.splitlines() if path.relative_to(ROOT).as_posix() in line]
    schemas = {".circleci": "circle-ci", "workflows": "github-workflows", ".github": "dependabot"}

    assert f"check-jsonschema --builtin-schema vendor.{schemas[path.parent.name]} " in line


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_make_with_targets_and_variables_that_exist(command: str) -> None:
    make, *words = shlex.split(command.removesuffix(' >> "$GITHUB_OUTPUT"'))
    targets = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]
    variables = [word.split("=")[0] for word in words if re.match(r"[A-Z_]+=", word)]
    (phony,) = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert make == "make"
    assert len(targets) + len(variables) + words.count("--silent") == len(words)
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


def test_both_systems_take_the_name_of_the_image_from_bodywork_yaml() -> None:
    name = yaml.safe_load((ROOT / "bodywork.yaml").read_text())["pipeline"]["docker_image"]
    told = subprocess.run(
        ["make", "--silent", "version"], cwd=ROOT, capture_output=True, text=True
    ).stdout

    assert f"image={name.removesuffix(':latest')}" in told.splitlines()
    for path in (*CIRCLECI.glob("*.yml"), *WORKFLOW_FILES):
        assert name.removesuffix(":latest") not in path.read_text()


@each_workflow
def test_a_workflow_of_github_may_only_read_and_does_not_get_in_its_own_way(path: Path) -> None:
    assert WORKFLOWS[path]["permissions"] == {"contents": "read"}
    assert set(WORKFLOWS[path]["concurrency"]) == {"group", "cancel-in-progress"}


@pytest.mark.parametrize("name", GITHUB_JOBS)
def test_a_job_of_github_is_limited(name: str) -> None:
    job: dict[str, Any] = GITHUB_JOBS[name]
    deployment = {"contents": "read", "id-token": "write"}
    permissions = {
        "docs.deploy-docs": {"pages": "write", "id-token": "write"},
        **dict.fromkeys(("delivery.staging", "delivery.production", "deploy.deploy"), deployment),
        **dict.fromkeys(
            ("delivery.image", "image.build-and-push-image"),
            {"contents": "read", "attestations": "write", "id-token": "write"},
        ),
        "supply_chain.raise-pins": {"contents": "write", "pull-requests": "write"},
    }

    assert job.get("permissions", {}) == permissions.get(name, {})
    if "uses" in job:
        assert (ROOT / job["uses"]).is_file()
        return
    assert 10 <= int(job["timeout-minutes"]) <= 90
    assert job["runs-on"] == "ubuntu-24.04"
    checkouts = [step for step in job["steps"] if "actions/checkout@" in step.get("uses", "")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == ["false"] * len(checkouts)


@each_workflow
def test_actions_are_pinned_and_secrets_are_told_at_the_top(path: Path) -> None:
    comment, content = path.read_text().split("\nname:", 1)
    uses = re.findall(r"uses: ([^.].*)", content)
    pinned = re.compile(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")

    assert [action for action in uses if not pinned.fullmatch(action)] == []
    assert set(re.findall(r"\b(?:vars|secrets)\.(\w+)", content)) <= set(
        re.findall(r"\w+", comment)
    )


@each_workflow
def test_the_paths_that_start_a_workflow_exist(path: Path) -> None:
    paths = re.findall(r"^      - ([^\s:]+)$", path.read_text().split("\njobs:")[0], re.MULTILINE)

    assert [
        name for name in paths if not any(ROOT.glob(name.strip('"').replace("**.", "**/*.")))
    ] == []


def test_github_tests_on_the_pythons_that_tox_knows() -> None:
    (setup,) = [
        step for step in GITHUB_JOBS["tests.run-tests"]["steps"] if "python" in step.get("uses", "")
    ]
    (minors,) = re.findall(r"py\{([0-9, ]+)\}-unit_and_functional_tests\n", TOX)

    expected = {f"3.{minor.strip()[1:]}" for minor in minors.split(",")}
    assert set(setup["with"]["python-version"].split()) == expected


def test_github_delivers_only_what_was_tested_and_only_master() -> None:
    jobs = WORKFLOWS[ROOT / ".github" / "workflows" / "delivery.yml"]["jobs"]
    order = ["production", "staging", "image", "test"]

    assert [jobs[name]["needs"] for name in order[:-1]] == order[1:]
    assert jobs["publish-package"]["needs"] == "test"
    assert jobs["test"]["uses"] == "./.github/workflows/tests.yml"
    for name in order[:-1]:
        assert "github.ref == 'refs/heads/master'" in jobs[name]["if"]
    pushed = [path.stem for path, workflow in WORKFLOWS.items() if "push" in workflow["on"]]
    assert pushed == ["delivery", "docs"]


@pytest.mark.parametrize("name", ["cluster", "image"])
def test_a_pull_request_builds_the_image_if_anything_changes_that_it_is_made_of(name: str) -> None:
    lines = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text()).splitlines()
    copied = {
        path
        for line in lines
        if line.startswith("COPY ") and "--from=" not in line
        for path in line.split()[1:-1]
        if not path.startswith("--")
    }
    workflow = WORKFLOWS[ROOT / ".github" / "workflows" / f"{name}.yml"]
    patterns = workflow["on"]["pull_request"]["paths"]

    assert copied
    assert [
        path
        for path in copied
        if not any(
            fnmatch(path.rstrip("/") + "/x" * (ROOT / path).is_dir(), one) for one in patterns
        )
    ] == []
