"""Pins that are raised by themselves, and who has to agree."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.campaign.git_repositories import commit_all, git
from deploy.deploy_plain import Image
from tests.support.helpers import ROOT

DIGEST = "sha256:" + "a" * 64


def script(path: Path, text: str) -> None:
    """Write a program that stands in for one."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("before", ["python:3.11-slim", f"python:3.11-slim@sha256:{'b' * 64}"])
def test_the_digest_of_the_base_image_is_written_once_and_again(
    before: str, tmp_path: Path
) -> None:
    for name in ("Makefile", "Dockerfile"):
        shutil.copy2(ROOT / name, tmp_path)
    dockerfile = tmp_path / "Dockerfile"
    text = re.sub("^FROM python:.* AS", f"FROM {before} AS", dockerfile.read_text(), flags=re.M)
    dockerfile.write_text(text)
    script(tmp_path / "engine", f"echo {DIGEST}")

    command = ["make", "pin-base", "CONTAINER_ENGINE=./engine"]
    subprocess.run(command, cwd=tmp_path, check=True)

    changed = text.replace(f"FROM {before} AS", f"FROM python:3.11-slim@{DIGEST} AS")
    assert dockerfile.read_text() == changed


def test_an_image_is_named_by_its_digest(tmp_path: Path) -> None:
    shutil.copy2(ROOT / "Makefile", tmp_path)
    script(tmp_path / "engine", f"echo {DIGEST}")

    command = ["make", "--silent", "image-digest", "IMAGE=shop/pipeline:1-plain"]
    printed = subprocess.check_output([*command, "CONTAINER_ENGINE=./engine"], cwd=tmp_path)

    assert Image.parsed(printed.decode().strip()) == ("shop/pipeline", DIGEST)


def test_newer_pins_are_pushed_and_one_review_is_asked_for(tmp_path: Path) -> None:
    project, origin = tmp_path / "project", tmp_path / "origin"
    shutil.copytree(ROOT / ".ci", project / ".ci")
    (project / "requirements.txt").write_text("a==1\n")
    commit_all(project)
    git(tmp_path, "init", "--quiet", "--bare", str(origin))
    git(project, "remote", "add", "origin", str(origin))
    (tmp_path / "bin").mkdir()
    # It tells of a pull request once one was made.
    asked = tmp_path / "asked"
    script(
        tmp_path / "bin" / "gh",
        f'case "$2" in list) cat {asked} 2>/dev/null || true;; create) echo "$*" >> {asked};; esac',
    )
    environment = {**os.environ, "PATH": f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"}

    def propose() -> str:
        command = [project / ".ci" / "propose_pins"]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return done.stdout

    assert "as new as they may be" in propose()
    assert not asked.exists()
    for version in (2, 3):
        (project / "requirements.txt").write_text(f"a=={version}\n")
        propose()
        assert git(origin, "show", "newer-pins:requirements.txt") == f"a=={version}\n"
    assert len(asked.read_text().splitlines()) == 1


def test_the_ruleset_asks_for_checks_that_pull_requests_have() -> None:
    rules = json.loads((ROOT / ".github" / "ruleset.json").read_text())["rules"]
    (checks,) = [
        rule["parameters"]["required_status_checks"]
        for rule in rules
        if rule["type"] == "required_status_checks"
    ]
    jobs = {
        name
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
        if re.search(r"\bpull_request\b", path.read_text())
        for name, job in yaml.safe_load(path.read_text())["jobs"].items()
        if "strategy" not in job
    }

    assert {check["context"] for check in checks} <= jobs
    (reviews,) = [rule["parameters"] for rule in rules if rule["type"] == "pull_request"]
    assert reviews["required_approving_review_count"] == 1
    assert reviews["require_code_owner_review"] is True


def test_every_path_that_has_an_owner_exists() -> None:
    lines = (ROOT / ".github" / "CODEOWNERS").read_text().splitlines()
    paths = [line.split()[0] for line in lines if not line.startswith("#")]

    assert [path for path in paths if not any(ROOT.glob(path.lstrip("/")))] == []
