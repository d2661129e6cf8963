"""The first steps of the documents: whoever puts in their own names has nothing else to edit.

Steps 2 to 4 of `docs/deploy/` on a copy of the project, and then the checks that look at what they
edit; no other check does.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.campaign.git_repositories import IDENTITY, commit_working_tree, git
from tests.support.deploy_objects import OVERLAYS, settings_of
from tests.support.helpers import ROOT

CHECKS = (
    "tests/deployment/test_continuous_integration.py",
    "tests/deployment/test_deploy_pipeline.py",
    "tests/deployment/test_kubernetes_objects.py",
    "tests/documents/test_project_files.py",
)
IMAGE = "shop/dispatch"
OWN = {
    "image": f"{IMAGE}:latest",
    "timeZone": "Europe/Vienna",
    "awsRegion": "eu-central-1",
    "host": "hours.shop.example",
    "tlsSecret": "hours-tls",
    "ingressClass": "nginx",
    "ingressNamespace": "ingress-nginx",
    "prometheusNamespace": "watching",
    "prometheusRelease": "watching",
    "scrapeKey": "KEY_OF_PROMETHEUS",
    "runbook": "https://wiki.shop.example/time-to-dispatch",
}
"""Values other than those of the repository for all settings of an overlay."""


@pytest.mark.slow
def test_with_own_names_for_everything_the_checks_still_pass(tmp_path: Path) -> None:
    commit_working_tree(tmp_path)
    edit(tmp_path / "deploy" / "eks_cluster.yaml", r"\b(your-company|eu-west)\b", "shop")
    edit(tmp_path / "bodywork.yaml", r"(docker_image: )[^:]*", rf"\g<1>{IMAGE}")
    for overlay in OVERLAYS:
        for name in settings_of(overlay):
            settings = tmp_path / "deploy" / "overlays" / overlay / "settings.yaml"
            edit(settings, rf"(?m)^(  {name}: ).*$", rf"\g<1>{OWN[name]}")
    git(tmp_path, *IDENTITY, "commit", "--quiet", "--all", "--message=Our names")

    command = [sys.executable, "-m", "pytest", "-q", "-m", "not bodywork and not slow", *CHECKS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout


def test_the_steps_name_each_file_that_is_edited() -> None:
    pages = "".join(path.read_text() for path in (ROOT / "docs" / "deploy").glob("*.md"))

    files = [
        f"deploy/overlays/{overlay}/settings.yaml" for overlay in ("production", "plain-production")
    ]
    assert [
        name for name in ("deploy/eks_cluster.yaml", "`bodywork.yaml`", *files) if name not in pages
    ] == []


def edit(path: Path, pattern: str, replacement: str) -> None:
    """Replace what there must be in a file."""
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count > 0
    path.write_text(text)
