"""The Kubernetes objects of `deploy/`, as kubectl renders them."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.helpers import ROOT

Object = dict[str, Any]
"""A Kubernetes object."""
DEPLOY = ROOT / "deploy"
BODYWORK = ("staging", "production")
PLAIN = ("plain-staging", "plain-production")
OVERLAYS = BODYWORK + PLAIN
MONITORING = "../../components/monitoring"


def render(overlay: Path) -> list[Object]:
    """Return the objects that `kubectl apply --kustomize` would send for a folder."""
    if shutil.which("kubectl") is None:
        pytest.fail("There is no kubectl on PATH. `make kubectl` says what to install.")
    command = ["kubectl", "kustomize", str(overlay)]
    rendering = subprocess.run(command, capture_output=True, text=True)
    assert rendering.returncode == 0, rendering.stderr
    return list(yaml.safe_load_all(rendering.stdout))


@cache
def tracked(overlay: str) -> list[Object]:
    """Return the objects of an overlay as it is; tests only read them."""
    return render(DEPLOY / "overlays" / overlay)


def copy_of_deploy(folder: Path, *components: str) -> Path:
    """Copy `deploy/` into a folder, with these components added to each overlay, and return it."""
    copy = shutil.copytree(DEPLOY, folder / "deploy")
    for overlay in OVERLAYS:
        path = copy / "overlays" / overlay / "kustomization.yaml"
        kustomization = yaml.safe_load(path.read_text())
        kustomization["components"] += components
        path.write_text(yaml.safe_dump(kustomization))
    return copy


def settings_of(overlay: str) -> dict[str, str]:
    """Return the settings of an overlay."""
    path = DEPLOY / "overlays" / overlay / "settings.yaml"
    settings: dict[str, str] = yaml.safe_load(path.read_text())["data"]
    return settings


def the(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """Return the only object of a kind, and of a name if one is given."""
    (found,) = [
        candidate
        for candidate in objects
        if candidate["kind"] == kind and name in (None, candidate["metadata"]["name"])
    ]
    return found


def selects(selector: dict[str, str], labels: dict[str, str] | None) -> bool:
    """Tell whether a selector by labels, which is not empty, takes an object with these labels."""
    assert selector
    return selector.items() <= (labels or {}).items()
