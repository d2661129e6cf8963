"""A stage of a deployment runs the commit that was deployed, with what that requires."""

import re
import subprocess
from importlib.metadata import version

import pytest

from pipeline.stages.surroundings import (
    COMMIT_VARIABLE,
    refuse_missing_requirements,
    refuse_poor_surroundings,
)
from tests.support.helpers import ROOT

HEAD = subprocess.run(
    ["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
).stdout.strip()


@pytest.mark.parametrize("commit", ["", HEAD, HEAD[:7]])
def test_the_deployed_commit_is_accepted(commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMMIT_VARIABLE, commit)
    refuse_poor_surroundings(trains=True)
    refuse_missing_requirements("train")


def test_another_commit_ends_the_stage_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(COMMIT_VARIABLE, "abcdef1")
    with pytest.raises(SystemExit, match="1"):
        refuse_poor_surroundings()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {COMMIT_VARIABLE} is abcdef1, but the code is of commit {HEAD}")


def test_what_the_image_lacks_is_named_with_what_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(COMMIT_VARIABLE, HEAD)
    project = {
        "dependencies": ["numpy<1", "no-such-package>=2", "boto3"],
        "optional-dependencies": {"serve": []},
    }
    monkeypatch.setattr("tomllib.loads", lambda text: {"project": project})
    with pytest.raises(SystemExit, match="1"):
        refuse_missing_requirements("serve")
    (line,) = capsys.readouterr().err.splitlines()
    lacking = f"numpy<1 (it has {version('numpy')}), no-such-package>=2 (it has none)."
    assert re.search(f"commit {HEAD} requires: {re.escape(lacking)}", line)
