"""CircleCI: what a change runs, from where things are deployed, and one at a time."""

import json
import re
import subprocess
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from tests.support.helpers import ROOT

SETUP = yaml.safe_load((ROOT / ".circleci" / "config.yml").read_text())
TEXT = (ROOT / ".circleci" / "continue_config.yml").read_text()
CONFIG = yaml.safe_load(TEXT)
PARAMETERS = "pipeline.parameters."
MASTER = 'pipeline.git.branch == "master"'
VERSION_TAGS = {"branches": {"ignore": "/.*/"}, "tags": {"only": r"/v\d+\.\d+\.\d+/"}}


def jobs_of(workflow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings of a workflow's jobs, by the names that they have there."""
    entries = [
        (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
        for entry in workflow["jobs"]
    ]
    return {settings.get("name", job): {"job": job, **settings} for job, settings in entries}


SETUP_JOBS = jobs_of(SETUP["workflows"]["find-what-changed"])
RULES = [line.split() for line in SETUP_JOBS["compare-with-master"]["mapping"].splitlines()]
WORKFLOWS = {name: jobs_of(workflow) for name, workflow in CONFIG["workflows"].items()}
CODE = WORKFLOWS["code"]
ALL_JOBS = [
    (workflow, name)
    for workflow, jobs in WORKFLOWS.items()
    for name in jobs
    if jobs[name].get("type") != "approval"
]
SECRET_JOBS = [
    (workflow, name)
    for workflow, jobs in WORKFLOWS.items()
    for name in jobs
    if jobs[name].get("context")
]


def matching(pattern: str, paths: Iterable[str]) -> set[str]:
    """Return the paths that a pattern of the mapping takes, as the orb's Bash takes them."""
    script = 'while read -r path; do [[ "$path" =~ ^$0$ ]] && echo "$path"; done; true'
    command = ["bash", "-c", script, pattern]
    text = "".join(f"{path}\n" for path in paths)
    return set(
        subprocess.run(
            command, input=text, check=True, capture_output=True, text=True
        ).stdout.splitlines()
    )


def job_of(workflow: str, name: str) -> str:
    """Return which of the jobs of the file runs under a name."""
    return str(WORKFLOWS[workflow][name]["job"])


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("docs/how-to/refused_weeks.md", {"documents"}),
        ("README.md", {"documents"}),
        ("benchmarks/README.md", {"documents"}),
        ("notebooks/time_to_dispatch_model.ipynb", {"notebook"}),
        ("pipeline/train_model.py", {"code"}),
        ("VERSION", {"code", "version"}),
        ("a-new-folder/of/something.toml", {"code"}),
        ("data/datasets/time_to_dispatch_2026-11-27T23-00-00.csv", {"code"}),
        ("notebooks/requirements_nb.txt", {"code", "notebook"}),
    ],
)
def test_a_changed_path_belongs_to_its_part(path: str, parameters: set[str]) -> None:
    found = {name: value for paths, name, value in RULES if matching(paths, [path])}

    assert found == dict.fromkeys(parameters, "true")


def test_every_path_of_the_repository_belongs_to_a_part() -> None:
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    paths = {path for path in listed if (ROOT / path).is_file()}

    assert paths - set().union(*(matching(pattern, paths) for pattern, _, _ in RULES)) == set()
    # The orb searches without lookahead, and replaces variables.
    assert [pattern for pattern, _, _ in RULES if "(?" in pattern or "$" in pattern] == []


def test_a_part_that_changed_runs_its_workflow() -> None:
    conditions = {name: workflow["when"] for name, workflow in CONFIG["workflows"].items()}

    assert conditions == {
        "documents": f"{PARAMETERS}documents and not {PARAMETERS}code",
        "notebook": f"{PARAMETERS}notebook and not {PARAMETERS}code",
        "code": f"{PARAMETERS}code",
        "version-tag": f"{PARAMETERS}version-tag",
    }
    assert list(WORKFLOWS["documents"]) + list(WORKFLOWS["notebook"]) == [
        "build-docs",
        "run-notebook",
    ]
    assert {job_of(*one) for one in ALL_JOBS} == set(CONFIG["jobs"])


def test_a_branch_is_compared_with_master_and_a_version_tag_is_not() -> None:
    compare, tag = SETUP_JOBS["compare-with-master"], SETUP_JOBS["publish-a-version-tag"]
    second_half = ".circleci/continue_config.yml"

    assert compare["config-path"] == tag["configuration_path"] == second_half
    assert (SETUP["setup"], compare["base-revision"]) == (True, "master")
    # Without a filter, a job runs for all branches and for no tags.
    assert "filters" not in compare
    assert (tag["filters"], json.loads(tag["parameters"])) == (VERSION_TAGS, {"version-tag": True})


def test_every_parameter_is_declared_set_and_used() -> None:
    declared = set(CONFIG["parameters"])

    assert declared == set(re.findall(r"pipeline\.parameters\.([\w-]+)", TEXT))
    # An app is named where its parameter is declared, by whoever has one.
    assert declared == {name for _, name, _ in RULES} | {"version-tag", "app-name"}
    assert {one["default"] for one in CONFIG["parameters"].values()} == {False, ""}


def test_only_master_is_deployed() -> None:
    filters = {name: job["filters"] for name, job in CODE.items() if "filters" in job}

    assert filters.pop("summarise-changes") == 'pipeline.git.branch != "master"'
    assert filters == {
        "build-and-push-image": MASTER,
        "deploy-to-staging": MASTER,
        "approve-production": MASTER,
        "deploy-to-production": MASTER,
        "publish-package": f"{MASTER} and {PARAMETERS}version",
        "deploy-app": f'{MASTER} and {PARAMETERS}app-name != ""',
    }


def test_a_version_tag_is_tested_and_published_and_nothing_else() -> None:
    jobs = WORKFLOWS["version-tag"]

    assert list(jobs) == ["run-static-code-analysis", "run-tests", "publish-package"]
    assert [job["filters"] for job in jobs.values()] == [VERSION_TAGS] * 3


@pytest.mark.parametrize(("workflow", "name"), SECRET_JOBS)
def test_what_has_secrets_comes_after_the_tests(workflow: str, name: str) -> None:
    jobs, order = WORKFLOWS[workflow], [name]
    while required := jobs[order[-1]].get("requires", []):
        order += required

    assert order[-2:] == ["run-tests", "run-static-code-analysis"]


def test_what_has_secrets_runs_one_at_a_time() -> None:
    groups = {(name, WORKFLOWS[workflow][name]["serial-group"]) for workflow, name in SECRET_JOBS}

    assert len(groups) == len(dict(groups)) == len({group for _, group in groups}) == 5


@pytest.mark.parametrize("name", CONFIG["jobs"])
def test_a_job_finds_its_variables_in_its_context(name: str) -> None:
    table: dict[str | None, set[str]] = {None: {"CIRCLE_SHA1", "CIRCLE_TAG"}}
    for context, variable in re.findall(r"^# \| ([a-z-]*),? +\| ([A-Z_]+) ", TEXT, re.MULTILINE):
        table.setdefault(context or list(table)[-1], set()).add(variable)
    table["staging"] = table["production"] = table.get("staging", set()) | table["production"]
    contexts = {
        WORKFLOWS[workflow][run].get("context")
        for workflow, run in ALL_JOBS
        if job_of(workflow, run) == name
    }
    used = set(re.findall(r"\$\{?([A-Z][A-Z0-9_]*)", yaml.dump(CONFIG["jobs"][name]["steps"])))

    for context in contexts:
        assert used <= table[None] | table[context]


def test_a_deployment_ends_with_the_smoke_test_of_its_own_commit_and_image() -> None:
    def commands_of(name: str) -> list[str]:
        return [step["run"] for step in CONFIG["jobs"][name]["steps"] if "run" in step]

    *_, deploy, smoke = commands_of("trigger-bodywork-deployment")
    commit = "${CIRCLE_SHA1:0:7}"
    image = f'IMAGE="$(make --silent image-name):{commit}"'

    assert CODE["deploy-to-staging"]["requires"] == ["build-and-push-image"]
    assert image in commands_of("build-and-push-image")[0]
    assert f'BRANCH=master COMMIT="$CIRCLE_SHA1" {image}' in deploy
    assert smoke.endswith(f'COMMIT="{commit}"')


def test_production_comes_after_staging_and_an_approval() -> None:
    staging, approval, production = (
        CODE[name] for name in ("deploy-to-staging", "approve-production", "deploy-to-production")
    )

    assert (approval["type"], approval["requires"]) == ("approval", ["deploy-to-staging"])
    assert production["requires"] == ["approve-production"]
    assert [(one["overlay"], one["context"]) for one in (staging, production)] == [
        ("staging", "staging"),
        ("production", "production"),
    ]


def test_the_objects_are_applied_before_what_stands_beside_them_is_deployed() -> None:
    steps = CONFIG["jobs"]["trigger-bodywork-deployment"]["steps"]
    targets = [step["run"].split()[1] for step in steps if "run" in step]

    assert targets == ["kubeconfig", "diff", "deploy", "smoke"]
    assert {"run": 'make diff apply OVERLAY="<< parameters.overlay >>"'} in steps


def test_the_documents_let_only_master_take_the_role() -> None:
    text = (ROOT / "docs" / "deploy" / "ci.md").read_text()
    (policy,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    (statement,) = json.loads(policy)["Statement"]
    (subject,) = statement["Condition"]["StringLike"].values()
    contexts = {
        context
        for jobs in WORKFLOWS.values()
        for job in jobs.values()
        for context in [job.get("context")]
        if context
    }

    assert subject.startswith("org/ORG_ID/project/PROJECT_ID/user/")
    assert subject.endswith("/vcs-ref/refs/heads/master")
    for context in contexts:
        (row,) = re.findall(rf"^\| `{context}` \|.*\| (.*) \|$", text, re.MULTILINE)
        assert 'pipeline.git.branch == "master"' in row


def test_nothing_of_circleci_is_of_an_unknown_version() -> None:
    images = [image["image"] for one in CONFIG["executors"].values() for image in one["docker"]]
    orbs = [*SETUP["orbs"].values(), *CONFIG["orbs"].values()]

    assert [
        name for name in images + orbs if not re.search(r"[\w/-]+[@:]\d+\.\d+\.\d+$", name)
    ] == []
    assert {job["executor"] for job in CONFIG["jobs"].values()} == set(CONFIG["executors"])
