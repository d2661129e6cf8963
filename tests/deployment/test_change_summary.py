"""What a pull request changes in the model and on Kubernetes: two commits, trained and served."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.campaign.git_repositories import IDENTITY, commit_working_tree, git
from tools.change_summary import run_demo

pytestmark = pytest.mark.slow
WEEKS = "data/datasets"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Commit the working tree to a repository of its own, with the tag `base`."""
    folder = tmp_path / "repository"
    commit_working_tree(folder)
    commit(folder)
    git(folder, "tag", "base")
    return folder


def test_a_new_week_and_a_new_host_are_shown_beside_what_was_there(
    repository: Path, tmp_path: Path
) -> None:
    run(repository, "-m", "pipeline.orders.simulator", "data")
    settings = repository / "deploy/overlays/staging/settings.yaml"
    settings.write_text(settings.read_text().replace("\n  host: ", "\n  host: new-"))
    commit(repository)
    *_, before, after = sorted(path.name for path in (repository / WEEKS).iterdir())

    run(repository, "-m", "tools.change_summary", "base", str(tmp_path / "summary.md"))

    summary = (tmp_path / "summary.md").read_text()
    model, objects = summary.split("## Objects on Kubernetes")
    assert "| verdict | published | published |" in model
    assert f"| dataset | datasets/{before} | datasets/{after} |" in model
    assert "| line per product | 0.628 (chosen) | " in model
    assert "| SKU001 | 2 | 0.16 | " in model
    assert "### production\n\nNothing changes." in objects
    assert "\n+  - host: new-" in objects


def test_the_gate_says_why_it_refuses_a_week(repository: Path) -> None:
    *_, newest = sorted((repository / WEEKS).iterdir())
    header, *rows = newest.read_text().splitlines()
    newest.write_text("\n".join([header, *rows[:3]]) + "\n")

    demo = run_demo(repository, ())

    assert demo.verdict != "published"
    assert "rows" in demo.log
    assert (demo.facts, demo.estimates) == ({}, {})


def test_an_unknown_base_is_told(repository: Path) -> None:
    command = [sys.executable, "-m", "tools.change_summary", "nowhere", "summary.md"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr.startswith("make change-summary: error: BASE=nowhere is no commit")


def commit(folder: Path) -> None:
    """Commit what changed, and the weeks, which Git ignores unless it is told."""
    git(folder, "add", "--force", WEEKS)
    git(folder, *IDENTITY, "commit", "--quiet", "--all", "--message=A change")


def run(folder: Path, *arguments: str) -> None:
    """Run Python in a folder."""
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True)
