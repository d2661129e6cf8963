"""What Git does in the image: the commit that was deployed, and passwords from the environment.

Real clones, with the hook and the helper of `docker/git`, as `bodywork stage` makes them.
"""

import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest

from deploy.campaign.git_repositories import IDENTITY, commit_working_tree, git
from deploy.deploy_pipeline import git_settings
from tests.support.helpers import ROOT
from tests.support.local_servers import serving

UNKNOWN = "1234567890123456789012345678901234567890"
CREDENTIALS = {"GIT_USERNAME": "shop", "GIT_TOKEN": "a-token"}


class Branch(NamedTuple):
    """A repository whose branch was rewritten after a deployment.

    Attributes:
        folder: of it.
        merged: the commit that was deployed, followed by another.
        head: of the branch.
        lost: a commit that no branch has any more.
    """

    folder: Path
    merged: str
    head: str
    lost: str


def commit(folder: Path, content: str) -> str:
    """Commit a file with this content, and return the commit."""
    (folder / "file").write_text(content)
    git(folder, "add", "file")
    git(folder, *IDENTITY, "commit", "--quiet", f"--message={content}")
    return git(folder, "rev-parse", "HEAD").strip()


@pytest.fixture(scope="module")
def branch(tmp_path_factory: pytest.TempPathFactory) -> Branch:
    """Make a repository of three commits, one of them lost."""
    folder = tmp_path_factory.mktemp("origin")
    git(folder, "init", "--quiet", "--initial-branch=master")
    merged = commit(folder, "merged")
    lost = commit(folder, "lost")
    git(folder, "reset", "--quiet", "--hard", merged)
    return Branch(folder, merged, commit(folder, "head"), lost)


def clone(url: str, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Clone a branch as Bodywork does, with the settings of the image."""
    command = ["git", "clone", "--branch", "master", "--single-branch", url, str(folder)]
    environment = os.environ | git_settings() | {"GIT_TERMINAL_PROMPT": "0"} | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_git_has_the_same_settings_in_the_image_and_beside_make_deploy() -> None:
    words = (ROOT / "Dockerfile").read_text().replace("/opt/git", str(ROOT / "docker" / "git"))
    found = dict(re.findall(r"(GIT_CONFIG_\w+)=(\S+)", words))

    assert found == git_settings()


def test_settings_that_git_has_from_the_environment_remain() -> None:
    settings = git_settings({"GIT_CONFIG_COUNT": "2"})

    assert settings["GIT_CONFIG_COUNT"] == "5"
    assert "GIT_CONFIG_KEY_1" not in settings and "GIT_CONFIG_KEY_4" in settings


@pytest.mark.parametrize("which", ["merged", "head", "lost"])
def test_the_commit_that_was_deployed_is_checked_out(
    which: str, branch: Branch, tmp_path: Path
) -> None:
    deployed = getattr(branch, which)

    done = clone(f"file://{branch.folder}", tmp_path / "code", GIT_COMMIT_HASH=deployed)

    assert (done.returncode, (tmp_path / "code" / "file").read_text()) == (0, which), done.stderr


def test_a_shortened_hash_of_an_older_bodywork_will_do(branch: Branch, tmp_path: Path) -> None:
    short = branch.merged[:7]

    assert clone(f"file://{branch.folder}", tmp_path / "c", GIT_COMMIT_HASH=short).returncode == 0
    assert (tmp_path / "c" / "file").read_text() == "merged"


@pytest.mark.parametrize(
    ("commit", "reason"),
    [
        (UNKNOWN, f"error: Commit {UNKNOWN} was deployed, and cannot be had from the repository"),
        ("abcdef0", "error: Commit abcdef0 was deployed, and cannot be had from the repository"),
        ("master", "error: GIT_COMMIT_HASH is 'master', which is no hash of a commit"),
        ("--help", "error: GIT_COMMIT_HASH is '--help', which is no hash of a commit"),
    ],
)
def test_a_clone_without_that_commit_fails_and_says_why(
    commit: str, reason: str, branch: Branch, tmp_path: Path
) -> None:
    done = clone(f"file://{branch.folder}", tmp_path / "code", GIT_COMMIT_HASH=commit)

    assert done.returncode != 0
    assert reason in done.stderr


class _Private(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        expected = b64encode(":".join(CREDENTIALS.values()).encode()).decode()
        if self.headers["authorization"] == f"Basic {expected}":
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("www-authenticate", 'Basic realm="private"')
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def private_url(branch: Branch) -> Iterator[str]:
    """Serve the repository to whoever has the password, and yield its URL."""
    git(branch.folder, "update-server-info")
    handler = partial(_Private, directory=str(branch.folder))
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}/.git"


def test_a_private_repository_is_cloned_with_a_token_from_the_environment(
    private_url: str, branch: Branch, tmp_path: Path
) -> None:
    wanted = {"GIT_COMMIT_HASH": branch.merged} | CREDENTIALS

    done = clone(private_url, tmp_path / "code", **wanted)

    assert done.returncode == 0, done.stderr
    assert CREDENTIALS["GIT_TOKEN"] not in (tmp_path / "code" / ".git" / "config").read_text()


@pytest.mark.parametrize("wrong", [{}, {"GIT_USERNAME": "none", "GIT_TOKEN": "none"}])
def test_a_private_repository_without_its_token_is_refused(
    wrong: dict[str, str], private_url: str, tmp_path: Path
) -> None:
    done = clone(private_url, tmp_path / "code", **wrong)

    assert done.returncode != 0
    assert "Authentication failed" in done.stderr or "could not read Username" in done.stderr


def test_a_stage_starts_in_the_checkout_of_the_commit_that_is_named_and_in_no_other(
    tmp_path: Path,
) -> None:
    deployed = commit_working_tree(tmp_path)

    told = f"error: GIT_COMMIT_HASH is {UNKNOWN}, but the code is of commit {deployed}: deploy"
    assert end_of_stage(tmp_path, "notify_failure", deployed[:7])[0] == 0
    code, line = end_of_stage(tmp_path, "notify_failure", UNKNOWN)
    assert code == 1
    assert line.startswith(told)


def end_of_stage(code: Path, stage: str, commit: str) -> tuple[int, str]:
    """Run a stage of a checkout, and return its exit code and the first line that it logs."""
    done = subprocess.run(
        [sys.executable, "-m", f"pipeline.{stage}"],
        cwd=code,
        env=os.environ | {"GIT_COMMIT_HASH": commit},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr.splitlines()[0]


@pytest.fixture(scope="module")
def ahead(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a checkout that requires what is not installed, and its commit."""
    code = tmp_path_factory.mktemp("ahead")
    commit_working_tree(code)
    project = code / "pyproject.toml"
    text = re.sub(r'"rich>=.*"', '"rich>=999"', project.read_text())
    project.write_text(re.sub(r"(?m)^(serve|train) = \[", r'\1 = ["of-\1>=3",', text))
    git(code, *IDENTITY, "commit", "--quiet", "--all", "--message=Require more")
    return code, git(code, "rev-parse", "HEAD").strip()


@pytest.mark.parametrize("stage", ["train", "serve"])
def test_a_stage_whose_image_lacks_what_its_commit_requires_says_what_in_a_line(
    stage: str, ahead: tuple[Path, str]
) -> None:
    code, line = end_of_stage(ahead[0], f"{stage}_model", ahead[1])

    assert code == 1
    lacking = f"rich>=999 (it has {version('rich')}), of-{stage}>=3 (it has none)"
    assert line.startswith(f"error: This image lacks what commit {ahead[1]} requires: {lacking}.")


def test_the_failure_stage_tells_people_in_such_an_image_too(ahead: tuple[Path, str]) -> None:
    assert end_of_stage(ahead[0], "notify_failure", ahead[1])[0] == 0
