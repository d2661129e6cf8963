"""Platforms of the Heroku kind: the Procfile under honcho, and the push of a commit to them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.campaign.git_repositories import IDENTITY, commit_working_tree, git
from pipeline.stores.base import open_store
from tests.support.helpers import ROOT, free_port, names_in, predict, wait_for

HONCHO = (sys.executable, "-m", "honcho", "--env", os.devnull, "start")
NO_WEEK = "datasets/time_to_dispatch_2099-01-01T00-00-00.csv"


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> int:
    """Set what a platform sets, and return the port that it chose."""
    port = free_port()
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PORT", str(port))
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    return port


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Commit the working tree to a repository of its own."""
    commit_working_tree(tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Return the Git repository of an app, as a platform makes it."""
    git(tmp_path, "init", "--quiet", "--bare", "app.git")
    return tmp_path / "app.git"


def deploy(repository: Path, *variables: str, target: str = "deploy-app") -> tuple[int, str]:
    """Return the exit code of `make deploy-app` or another target, and all that it prints."""
    command = ["make", target, *variables]
    make = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    return make.returncode, make.stdout + make.stderr


@pytest.mark.usefixtures("platform")
def test_a_release_trains_and_after_a_bad_week_goes_on_with_the_model_in_production(
    sample_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTD_STORE", str(sample_store))

    good = subprocess.run([*HONCHO, "release"], cwd=ROOT, capture_output=True, text=True)
    open_store(str(sample_store)).write_new(NO_WEEK, b"not,what,is,expected\n")
    bad = subprocess.run([*HONCHO, "release"], cwd=ROOT, capture_output=True, text=True)

    assert (good.returncode, bad.returncode) == (0, 0), good.stdout + bad.stdout
    assert "Going on with" not in good.stdout
    assert "Going on with" in bad.stdout
    assert len(names_in(sample_store / "models")) == 1


@pytest.mark.usefixtures("platform")
def test_a_release_without_a_store_fails_and_says_so() -> None:
    release = subprocess.run([*HONCHO, "release"], cwd=ROOT, capture_output=True, text=True)

    assert release.returncode != 0
    assert "TTD_STORE: should be s3://bucket[/prefix]" in release.stdout


def test_the_web_process_answers_and_drains(
    platform: int, trained_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTD_STORE", str(trained_store))
    monkeypatch.setenv("TTD_DRAIN_SECONDS", "1.5")
    url = f"http://127.0.0.1:{platform}"

    with subprocess.Popen(
        [*HONCHO, "web"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as web:
        try:
            wait_for(f"{url}/readyz", process=web)
            web.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            answer = predict(url)
            output, _ = web.communicate(timeout=30)
        finally:
            web.kill()

    assert answer["est_hours_to_dispatch"] == pytest.approx(8.28, abs=0.3)
    text = output.decode()
    assert "Finished serve-model stage." in text
    assert "web.1 stopped (rc=0)" in text


def test_the_last_commit_becomes_the_main_branch_of_the_app(repository: Path, app: Path) -> None:
    (repository / "untracked.txt").touch()

    exit_code, text = deploy(repository, f"APP_GIT_URL={app}")

    assert exit_code == 0, text
    assert git(app, "rev-parse", "main") == git(repository, "rev-parse", "HEAD")


def test_the_deployed_commit_is_built_anew_by_a_commit_without_a_change(
    repository: Path, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.com")
    deploy(repository, f"APP_GIT_URL={app}")
    before = git(app, "rev-parse", "main", "main^{tree}").split()

    exit_code, text = deploy(repository, f"APP_GIT_URL={app}", target="rebuild-app")

    assert exit_code == 0, text
    assert git(app, "rev-parse", "main^", "main^{tree}").split() == before
    assert git(app, "log", "-1", "--format=%s", "main").strip() == "Build anew"


def test_an_app_goes_back_to_an_earlier_commit_and_to_no_unknown_one(
    repository: Path, app: Path
) -> None:
    earlier = git(repository, "rev-parse", "HEAD").strip()
    git(repository, *IDENTITY, "commit", "--quiet", "--allow-empty", "--message=Worse")
    deploy(repository, f"APP_GIT_URL={app}")
    worse = git(app, "rev-parse", "main").strip()

    refused, _ = deploy(repository, f"APP_GIT_URL={app}", "COMMIT=nothing", target="roll-back-app")
    stayed = git(app, "rev-parse", "main").strip()
    done, text = deploy(
        repository, f"APP_GIT_URL={app}", f"COMMIT={earlier[:7]}", target="roll-back-app"
    )

    assert (refused, stayed) == (2, worse)
    assert done == 0, text
    assert git(app, "rev-parse", "main").strip() == earlier


def test_uncommitted_changes_are_not_left_behind(repository: Path, app: Path) -> None:
    (repository / "VERSION").write_text("0.1.1\n")

    exit_code, text = deploy(repository, f"APP_GIT_URL={app}")

    assert exit_code != 0
    assert "There are uncommitted changes" in text
    assert git(app, "branch", "--list") == ""


def test_what_cannot_be_pushed_is_told_without_the_password(repository: Path) -> None:
    url = "http://deployer:hidden@127.0.0.1:1/app.git"

    exit_code, text = deploy(repository, f"APP_GIT_URL={url}")

    assert exit_code == 2
    assert "127.0.0.1" in text
    assert "hidden" not in text
