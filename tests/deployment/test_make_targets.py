"""The Makefile refuses what cannot work before it installs anything; tests install no tools."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.campaign.git_repositories import IDENTITY, commit_all, git
from tests.support.helpers import ROOT

TOOLS = ["bwrap", "chromium", "curl", "faketime", "kubectl", "promtool", "typescript"]
Result = subprocess.CompletedProcess[str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Copy what make reads; it finds the programs of `bin` there and no others."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    for name in (
        "Makefile",
        "requirements_cicd.txt",
        "requirements_pipe.txt",
        "requirements_runner.txt",
    ):
        shutil.copy2(ROOT / name, folder)
    overlay = folder / "deploy" / "overlays" / "staging"
    overlay.mkdir(parents=True)
    (overlay / "kustomization.yaml").touch()
    (folder / "bin").mkdir()
    for name in ("bash", "dirname", "env", "sh"):
        (folder / "bin" / name).symlink_to(str(shutil.which(name)))
    (folder / "bin" / "python3.11").symlink_to(str(shutil.which("true")))
    return folder


def make(project: Path, *arguments: str, **variables: str) -> Result:
    """Run make on a machine that has nothing but the programs of `bin`."""
    environment = {"PATH": str(project / "bin"), "HOME": str(project), **variables}
    command = [str(shutil.which("make")), *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("target", "variable"),
    [
        ("apply", "OVERLAY"),
        ("change-summary", "BASE"),
        ("deploy", "GIT_URL"),
        ("deploy-app", "APP_GIT_URL"),
        ("deploy-plain", "OVERLAY"),
        ("image", "IMAGE"),
        ("kubeconfig", "CLUSTER"),
        ("publish", "INDEX_URL"),
        ("publish-model", "INDEX_URL"),
        ("push-image", "IMAGE"),
        ("rebuild-app", "APP_GIT_URL"),
        ("roll-back-app", "APP_GIT_URL"),
        ("smoke", "SERVICE_URL"),
    ],
)
def test_a_target_says_first_which_variable_it_needs(
    target: str, variable: str, project: Path
) -> None:
    done = make(project, target)

    assert done.returncode == 2
    assert done.stderr.startswith(f"make {target} needs {variable}=…; make help shows an example.")
    assert not {".venv", ".tox"} & set(os.listdir(project))


@pytest.mark.parametrize(
    ("target", "variable"),
    [("deploy", "GIT_URL"), ("publish", "INDEX_URL"), ("smoke", "SERVICE_URL")],
)
def test_a_target_says_first_that_a_value_is_no_url(
    target: str, variable: str, project: Path
) -> None:
    done = make(project, target, f"{variable}=hidden")

    assert done.returncode == 2
    assert done.stderr.startswith(f"make {target} needs a URL as {variable}; make help shows")
    assert "hidden" not in done.stdout + done.stderr
    assert not {".venv", ".tox"} & set(os.listdir(project))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("check", "make check needs Python 3.11, and there is none on PATH or under pyenv."),
        ("soak SOAK_SECONDS=1h", "make soak needs a whole number as SOAK_SECONDS; make help"),
        ("serve PORT=-1", "make serve needs a whole number as PORT; make help"),
        ("test-cluster-on-kind", "make test-cluster-on-kind needs the program docker, and there"),
        ("test-cluster WAY=a", "WAY=a should be bodywork or plain."),
        (
            "apply OVERLAY=a",
            "There is no overlay a in deploy/overlays, which has: staging",
        ),
        ("change-summary BASE=a", "There is no commit BASE=a here: git fetch gets it"),
        ("publish-model INDEX_URL=https://a/", "There is no model in STORE=data: make demo trains"),
    ],
)
def test_a_target_says_first_what_is_wrong_or_missing(
    arguments: str, told: str, project: Path
) -> None:
    (project / "bin" / "python3.11").unlink()
    for name in ("git", "grep", "kubectl", "ls"):
        (project / "bin" / name).symlink_to(str(shutil.which(name)))

    done = make(project, *arguments.split())

    assert done.returncode == 2
    assert done.stderr.startswith(told)
    assert not {".venv", ".tox"} & set(os.listdir(project))


def test_help_has_each_target_once_in_a_group_and_fits_a_terminal() -> None:
    command = ["make", "--silent", "help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for line in shown.splitlines() for name in re.findall(r"^  (\S.{19})", line)]
    titles = re.findall(r"^\S.*", shown, re.MULTILINE)

    assert titles[:2] == ["Try it", "Change it"]
    assert {"demo", "serve", "test", "deploy"} <= {name.strip() for name in names}
    assert len(names) == len(set(names))
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize(
    "arguments",
    [
        ["deploy", "GIT_URL=https://a/b.git"],
        ["diff", "OVERLAY=staging"],
        ["apply", "OVERLAY=staging"],
        ["test-cluster"],
    ],
)
def test_without_a_cluster_kubeconfig_is_named_first(arguments: list[str], project: Path) -> None:
    for name in ("grep", "kubectl"):
        (project / "bin" / name).symlink_to(str(shutil.which(name)))

    done = make(project, *arguments, KUBECONFIG=str(project / "nothing"))

    assert done.returncode == 2
    assert (
        f"make {arguments[0]} needs a cluster, and kubectl knows of none: let KUBECONFIG name"
        in (done.stderr)
    )
    assert not {".venv", ".tox"} & set(os.listdir(project))


@pytest.mark.parametrize(
    ("changed", "told"), [("VERSION", "version=9.9.9\nraised=true\n"), ("other", "raised=false\n")]
)
def test_the_last_commit_is_a_release_if_it_raises_the_version(
    changed: str, told: str, tmp_path: Path
) -> None:
    for name in ("Makefile", "VERSION", "bodywork.yaml"):
        shutil.copy2(ROOT / name, tmp_path)
    commit_all(tmp_path)
    (tmp_path / changed).write_text("9.9.9\n")
    git(tmp_path, "add", "--all")
    git(tmp_path, *IDENTITY, "commit", "--quiet", "--message=A change")

    command = ["make", "--silent", "version"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)

    assert done.stdout.endswith(told)


def test_tests_name_the_tools_that_are_missing_and_install_none(project: Path) -> None:
    done = make(project, "test")

    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.split(" is missing: ")[0] for line in lines[: len(TOOLS)]] == TOOLS
    assert lines[len(TOOLS)].startswith("make tools installs them")
    assert not {".tools", ".venv"} & set(os.listdir(project))


@pytest.mark.parametrize(
    ("variables", "action"),
    [({}, "check"), ({"CI": "true"}, "install"), ({"TOOLS": "install"}, "install")],
)
def test_tests_install_tools_only_in_continuous_integration_or_if_asked_to(
    variables: dict[str, str], action: str, project: Path
) -> None:
    planned = make(project, "--dry-run", "test", **variables).stdout

    assert f".ci/tools {action} {' '.join(TOOLS)}" in planned
