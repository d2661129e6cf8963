"""CircleCI: which jobs run for which changes, one at a time where they reach the outside."""

import re
import subprocess
from graphlib import TopologicalSorter

import pytest
import yaml

from tests.support.circleci_pipeline import (
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
from tests.support.github_workflows import commands_of
from tests.support.helpers import ROOT

TEXT = (ROOT / ".circleci" / "continue_config.yml").read_text()
TABLE = TEXT.split("version:")[0]
ENTRIES = {
    name: settings
    for workflow in CONTINUATION["workflows"].values()
    for name, settings in jobs_of(workflow).items()
}
CHECKS = ["run-static-code-analysis", "run-tests"]
DEPLOYMENT = ["build-and-push-image", "trigger-bodywork-deployment"]


def tracked_paths() -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True)
    return [path for path in listing.stdout.splitlines() if (ROOT / path).is_file()]


def context_variables() -> dict[str, set[str]]:
    """Return the variables of each context, as the comment at the top says."""
    variables: dict[str, set[str]] = {}
    for context, variable in re.findall(r"^# \| ([a-z-]*) +\| ([A-Z_]+) ", TABLE, re.MULTILINE):
        current = context or next(reversed(variables))
        variables.setdefault(current, set()).add(variable)
    return variables


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
    used = set(re.findall(r"pipeline\.parameters\.([\w-]+)", TEXT))

    set_by_the_first_half = {rule.parameter for rule in RULES}
    # The name of an app is set where it is declared, by whoever has one.
    assert used == set(CONTINUATION["parameters"]) == set_by_the_first_half | {"app-name"}
    assert set(pipeline_parameters(Push(tag="v1.2.3")) or {}) <= set_by_the_first_half
    assert CONTINUATION["parameters"]["app-name"]["default"] == ""


def test_every_path_of_the_repository_belongs_to_a_part() -> None:
    pushes = [Push(branch="topic", changed=(path,)) for path in tracked_paths()]

    assert [push.changed for push in pushes if not pipeline_parameters(push)] == []


def test_the_first_half_goes_on_with_the_second() -> None:
    compare, take_all = SETUP_JOBS.values()
    second_half = ".circleci/continue_config.yml"

    assert compare["config-path"] == take_all["configuration_path"] == second_half
    assert (SETUP["setup"], compare["base-revision"]) == (True, "master")


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
        ("topic", ("tests/documents/test_demo.py",), CHECKS),
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
