"""Staging and production differ in their settings only, and every setting has an effect."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.support.deploy_objects import (
    DEPLOY,
    MONITORING,
    OVERLAYS,
    copy_of_deploy,
    render,
    settings_of,
    the,
    tracked,
)
from tests.support.helpers import ROOT


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_setting_goes_into_an_object(overlay: str, tmp_path: Path) -> None:
    copy = copy_of_deploy(tmp_path, MONITORING)
    path = copy / "overlays" / overlay / "settings.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["data"] = {name: f"value-of-{name}" for name in settings["data"]}
    path.write_text(yaml.safe_dump(settings))

    rendered = yaml.safe_dump(render(copy / "overlays" / overlay))

    for value in settings["data"].values():
        assert value in rendered
    assert "set-by-the-overlay" not in rendered
    assert "local-config" not in rendered


def test_staging_and_production_differ_in_their_settings_only(tmp_path: Path) -> None:
    copy = copy_of_deploy(tmp_path, MONITORING)
    staging, production = (copy / "overlays" / overlay for overlay in OVERLAYS)

    shutil.copy(staging / "settings.yaml", production / "settings.yaml")

    assert render(staging) == render(production)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_settings_are_visibly_examples(overlay: str) -> None:
    settings = settings_of(overlay)

    assert ":123456789012:" in settings["stageRole"]
    assert settings["host"].endswith(".example.com")
    assert settings["gitUrl"].startswith("https://github.com/example/")
    assert settings["runbook"].startswith("https://example.com/")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_weekly_deployment_has_the_image_of_the_stages(overlay: str) -> None:
    job = the(tracked(overlay), "CronJob")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    bodywork = yaml.safe_load((ROOT / "bodywork.yaml").read_text())

    assert container["image"] == bodywork["pipeline"]["docker_image"]


def test_every_folder_that_the_page_names_is_there() -> None:
    page = (DEPLOY / "README.md").read_text()

    for path in set(re.findall(r"deploy/[\w/.-]+\w", page)):
        assert (ROOT / path).exists(), path
    for name in settings_of("staging"):
        assert f"`{name}`" in page
