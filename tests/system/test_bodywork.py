"""Both stages under the real Bodywork, from a Git repository, against a real S3 server."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.campaign.git_repositories import commit_working_tree
from pipeline.model.reader import load_model
from pipeline.stores.base import open_store
from tests.support.helpers import ROOT, free_port, predict, wait_for

pytestmark = pytest.mark.bodywork


@pytest.fixture
def bodywork(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the path of Bodywork's command line, which tox installs in a box of its own.

    Bodywork finds `python` on PATH: in a pod that is the image's, here that of the test.
    """
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return os.environ["BODYWORK"]


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """Commit the working tree as it is to a new Git repository, and return its URL."""
    commit_working_tree(tmp_path / "origin")
    return f"file://{tmp_path / 'origin'}"


@pytest.fixture
def filled_s3_store(s3_store_url: str, sample_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put the sample datasets into a bucket, and name it to the stages as a secret would."""
    store = open_store(s3_store_url)
    for dataset in (sample_store / "datasets").iterdir():
        store.write_new(f"datasets/{dataset.name}", dataset.read_bytes())
    monkeypatch.setenv("TTD_STORE", s3_store_url)
    return s3_store_url


def test_bodywork_finds_nothing_wrong_with_the_configuration(bodywork: str) -> None:
    validation = subprocess.run(
        [bodywork, "validate", "--check-files"], cwd=ROOT, capture_output=True, text=True
    )

    assert validation.returncode == 0, validation.stdout + validation.stderr


def test_both_stages_run_under_bodywork(
    bodywork: str,
    repository: str,
    filled_s3_store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GIT_COMMIT_HASH", "5210017")
    port = free_port()
    monkeypatch.setenv("TTD_PORT", str(port))

    with _stage(bodywork, repository, "train_model", tmp_path / "train") as training:
        assert training.wait(timeout=600) == 0
    published = load_model(open_store(filled_s3_store))
    assert published.metadata.git_commit == "5210017"

    with _stage(bodywork, repository, "serve_model", tmp_path / "serve") as service:
        wait_for(f"http://127.0.0.1:{port}/readyz", seconds=300, process=service)
        answer = predict(f"http://127.0.0.1:{port}")
    assert answer["model_version"] == published.version
    assert answer["est_hours_to_dispatch"] == pytest.approx(8.28, abs=0.3)


@contextmanager
def _stage(
    bodywork: str, repository: str, name: str, folder: Path
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a stage as a pod does, in a folder of its own, and end it with all its children.

    Bodywork forwards no signal to the stage, so the whole process group gets it.
    """
    folder.mkdir()
    command = [bodywork, "stage", repository, name, "--branch", "master"]
    with subprocess.Popen(command, cwd=folder, start_new_session=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
