"""CircleCI and GitHub Actions: what would run when, and that all of it is the Makefile's work."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

import pytest
import yaml

from tests.circleci_pipeline import (
    CONTINUATION,
    RULES,
    SETUP,
    SETUP_JOBS,
    Push,
    holds,
    jobs_of,
    pipeline_parameters,
    running_jobs,
)
from tests.helpers import ROOT

pytestmark = pytest.mark.system

CIRCLECI = ROOT / ".circleci"
GITHUB = ROOT / ".github"
TABLE = (CIRCLECI / "continue_config.yml").read_text().split("version:")[0]
TOX = (ROOT / "tox.ini").read_text()
WORKFLOW_FILES = sorted((GITHUB / "workflows").glob("*.yml"))
WORKFLOWS = {
    # Without types: YAML would read the key `on` as a boolean.
    path.stem: yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    for path in WORKFLOW_FILES
}
GITHUB_JOBS = {
    f"{workflow}.{name}": job
    for workflow, content in WORKFLOWS.items()
    for name, job in content["jobs"].items()
}
ENTRIES = {
    name: settings
    for workflow in CONTINUATION["workflows"].values()
    for name, settings in jobs_of(workflow).items()
}
CHECKS = ["run-static-code-analysis", "run-tests"]
DEPLOYMENT = ["build-and-push-image", "trigger-bodywork-deployment"]
OUTPUT = ' >> "$GITHUB_OUTPUT"'


def tracked_paths() -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True)
    return [path for path in listing.stdout.splitlines() if (ROOT / path).is_file()]


def commands_of(job: dict[str, Any]) -> Iterator[str]:
    for step in job["steps"]:
        if isinstance(step, dict) and "run" in step:
            yield step["run"]


ALL_JOBS = [*CONTINUATION["jobs"].values(), *GITHUB_JOBS.values()]
COMMANDS = {command for job in ALL_JOBS for command in commands_of(job)}


def context_variables() -> dict[str, set[str]]:
    """Return the variables of each context, as the comment at the top says."""
    variables: dict[str, set[str]] = {}
    for context, variable in re.findall(r"^# \| ([a-z-]*) +\| ([A-Z_]+) ", TABLE, re.MULTILINE):
        current = context or next(reversed(variables))
        variables.setdefault(current, set()).add(variable)
    return variables


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


def test_other_steps_only_prepare() -> None:
    prepared = {
        step if isinstance(step, str) else next(iter(step))
        for job in CONTINUATION["jobs"].values()
        for step in job["steps"]
    }

    prepared |= {next(iter(step)) for step in CONTINUATION["commands"]["install-kubectl"]["steps"]}
    own = {"run", "checkout", "setup_remote_docker", "install-kubectl"}
    assert prepared == own | {"aws-cli/setup", "kubernetes/install_kubectl"}


def test_every_job_of_circleci_has_its_place() -> None:
    assert set(ENTRIES) == set(CONTINUATION["jobs"])
    for workflow in CONTINUATION["workflows"].values():
        jobs = jobs_of(workflow)
        required = {name: job.get("requires", []) for name, job in jobs.items()}
        assert {other for names in required.values() for other in names} <= set(jobs)
        TopologicalSorter(required).prepare()


def test_every_parameter_is_declared_set_and_used() -> None:
    text = (CIRCLECI / "continue_config.yml").read_text()
    used = set(re.findall(r"pipeline\.parameters\.([\w-]+)", text))

    set_by_the_first_half = {rule.parameter for rule in RULES}
    # The name of an app is set where it is declared, by whoever has one.
    assert used == set(CONTINUATION["parameters"]) == set_by_the_first_half | {"app-name"}
    assert set(pipeline_parameters(Push(tag="v1.2.3")) or {}) <= set_by_the_first_half
    assert CONTINUATION["parameters"]["app-name"]["default"] == ""


def test_every_path_of_the_repository_belongs_to_a_part() -> None:
    pushes = [Push(branch="topic", changed=(path,)) for path in tracked_paths()]

    assert [push.changed for push in pushes if not pipeline_parameters(push)] == []


def test_the_path_filtering_means_the_same_to_bash() -> None:
    paths = tracked_paths()
    script = 'while read -r path; do [[ "$path" =~ ^$0$ ]] && echo "$path"; done; true'
    for rule in RULES:
        found = subprocess.run(
            ["bash", "-c", script, rule.paths],
            input="\n".join(paths) + "\n",
            check=True,
            capture_output=True,
            text=True,
        )
        assert found.stdout.splitlines() == [p for p in paths if re.fullmatch(rule.paths, p)]
        assert "$" not in rule.paths and "(?" not in rule.paths


@pytest.mark.parametrize(
    ("branch", "changed", "jobs"),
    [
        ("topic", (), []),
        ("topic", ("docs/how-to/refused_weeks.md",), ["build-docs"]),
        ("topic", ("docs/index.md", "README.md", "benchmarks/README.md"), ["build-docs"]),
        ("topic", ("notebooks/time_to_dispatch_model.ipynb",), ["run-notebook"]),
        ("topic", ("docs/index.md", "notebooks/n.ipynb"), ["build-docs", "run-notebook"]),
        ("topic", ("pipeline/train_model.py",), CHECKS),
        ("topic", ("pipeline/train_model.py", "docs/index.md", "notebooks/n.ipynb"), CHECKS),
        ("topic", ("deploy/base/cronjob.yaml",), CHECKS),
        ("topic", ("tests/test_demo.py",), CHECKS),
        ("topic", ("mkdocs.yml",), CHECKS),
        ("topic", ("VERSION",), CHECKS),
        ("topic", (".circleci/config.yml",), CHECKS),
        ("master", ("docs/index.md",), ["build-docs"]),
        ("master", ("pipeline/serve_model.py",), [*CHECKS, *DEPLOYMENT]),
        ("master", ("deploy/base/cronjob.yaml", "README.md"), [*CHECKS, *DEPLOYMENT]),
        ("master", ("bodywork.yaml",), [*CHECKS, *DEPLOYMENT]),
        ("master", ("VERSION", "CHANGELOG.md"), [*CHECKS, *DEPLOYMENT, "publish-package"]),
    ],
)
def test_a_branch_runs_the_jobs_of_the_parts_that_changed(
    branch: str, changed: tuple[str, ...], jobs: list[str]
) -> None:
    assert running_jobs(Push(branch=branch, changed=changed)) == sorted(jobs)


@pytest.mark.parametrize("changed", [(), ("docs/index.md",), ("VERSION",)])
def test_a_version_tag_is_tested_and_published_and_nothing_else(changed: tuple[str, ...]) -> None:
    published = sorted([*CHECKS, "publish-package"])

    assert running_jobs(Push(tag="v1.2.3", changed=changed)) == published
    assert running_jobs(Push(tag="v10.0.12", changed=changed)) == published
    assert running_jobs(Push(tag="v1.2", changed=changed)) == []
    assert running_jobs(Push(tag="nightly", changed=changed)) == []


def test_an_app_is_deployed_from_master_once_it_has_a_name() -> None:
    changed = ("pipeline/serve_model.py",)

    assert "deploy-app" in running_jobs(Push("master", "", changed), app_name="ttd")
    assert "deploy-app" not in running_jobs(Push("master", "", changed))
    assert "deploy-app" not in running_jobs(Push("topic", "", changed), app_name="ttd")
    assert "deploy-app" not in running_jobs(Push(tag="v1.2.3"), app_name="ttd")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a and not b", True),
        ("not a and b", False),
        ("not (a and b)", True),
        ("not b == a", True),
        ('b or c == "x"', True),
        ('a and (b or c starts-with "y")', False),
        ('c != "x" or b', False),
    ],
)
def test_expressions_are_read_as_circleci_reads_them(expression: str, expected: bool) -> None:
    assert holds(expression, {"a": True, "b": False, "c": "x"}) is expected


def test_nothing_of_circleci_is_of_an_unknown_version() -> None:
    executors = CONTINUATION["executors"]
    orbs = [*SETUP["orbs"].values(), *CONTINUATION["orbs"].values()]
    images = [image["image"] for executor in executors.values() for image in executor["docker"]]

    assert [orb for orb in orbs if not re.fullmatch(r"[\w-]+/[\w-]+@\d+\.\d+\.\d+", orb)] == []
    assert [image for image in images if not re.fullmatch(r"cimg/\w+:\d+\.\d+\.\d+", image)] == []
    assert {job["executor"] for job in CONTINUATION["jobs"].values()} == set(executors)


@pytest.mark.parametrize("name", CONTINUATION["jobs"])
def test_a_job_finds_its_variables_in_its_context(name: str) -> None:
    job, context = CONTINUATION["jobs"][name], ENTRIES[name].get("context")
    executor = CONTINUATION["executors"][job["executor"]]
    known = {"CIRCLE_SHA1", "CIRCLE_TAG", *executor["environment"]}
    if context:
        known |= context_variables()[context]

    assert set(re.findall(r"\$\{?([A-Z][A-Z0-9_]*)", yaml.dump(job["steps"]))) <= known


def test_what_has_secrets_runs_once_at_a_time() -> None:
    with_context = {name: job["context"] for name, job in ENTRIES.items() if "context" in job}
    groups = {name: job["serial-group"] for name, job in ENTRIES.items() if "serial-group" in job}

    assert sorted(with_context.values()) == sorted(context_variables())
    assert set(groups) == set(with_context)
    assert len(set(groups.values())) == len(groups)


def test_a_deployment_ends_with_the_smoke_test_of_its_own_commit_and_image() -> None:
    *_, deploy, smoke = commands_of(CONTINUATION["jobs"]["trigger-bodywork-deployment"])
    first_image, *_ = commands_of(CONTINUATION["jobs"]["build-and-push-image"])
    commit = "${CIRCLE_SHA1:0:7}"

    assert f'IMAGE="$IMAGE_NAME:{commit}"' in first_image
    assert f'BRANCH=master IMAGE="$IMAGE_NAME:{commit}"' in deploy
    assert smoke.endswith(f'COMMIT="{commit}"')


def test_both_systems_push_the_image_that_bodywork_yaml_names() -> None:
    name, version = yaml.safe_load((ROOT / "bodywork.yaml").read_text())["pipeline"][
        "docker_image"
    ].split(":")

    assert CONTINUATION["executors"]["python"]["environment"]["IMAGE_NAME"] == name
    assert GITHUB_JOBS["image.build-and-push-image"]["env"]["IMAGE_NAME"] == name
    assert version == (ROOT / "VERSION").read_text().strip()


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
    (minors,) = re.findall(r"py\{([0-9, ]+)\}-unit_and_functional_tests\n", TOX)

    expected = {f"3.{minor.strip()[1:]}" for minor in minors.split(",")}
    assert set(setup["with"]["python-version"].split()) == expected


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not on PATH")
def test_actionlint_finds_nothing() -> None:
    found = subprocess.run(["actionlint"], cwd=ROOT, capture_output=True, text=True)

    assert found.returncode == 0, found.stdout + found.stderr


def test_what_reads_documents_also_runs_when_only_documents_changed() -> None:
    modules = {path.name: path.read_text() for path in (ROOT / "tests").glob("test_*.py")}
    readers = {
        name for name, text in modules.items() if re.search(r'"docs"|"docs/|/ "[A-Z]+\.md"', text)
    }

    assert "test_how_to.py" in readers
    assert [name for name in sorted(readers) if "pytest.mark.documents" not in modules[name]] == []
    assert SETUP_JOBS["compare-with-master"]["config-path"] == ".circleci/continue_config.yml"
