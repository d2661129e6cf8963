"""The deployment without Bodywork: a real service, and in place of the cluster a file of its state.

`deploy/campaign` does the same on a real cluster.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.bodywork_run import DEPLOYMENT
from deploy.campaign.deployed_objects import write_overlay
from deploy.campaign.plain_steps import PlainCampaign
from deploy.deploy_plain import CRON_JOB, TRAINER, main
from tests.support import plain_cluster
from tests.support.deploy_objects import PLAIN, the, tracked
from tests.support.helpers import ROOT, free_port, running_service

TRAIN = "shop/pipeline@sha256:" + "1" * 64
OLD, NEW = (f"shop/pipeline@sha256:{digit * 64}" for digit in "23")
BAD = f"shop/pipeline@{plain_cluster.BAD}"


class Cluster:
    """What the stand-in for kubectl keeps."""

    def __init__(self, path: Path) -> None:
        """Begin with nothing."""
        self._path = path
        empty: dict[str, Any] = {
            "deployment": None,
            "cronjob": None,
            "revisions": {},
            "commands": [],
        }
        self.change(**empty, refuses=False, training="Complete")

    def change(self, **values: Any) -> None:
        """Change parts of the state."""
        found = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._path.write_text(json.dumps(found | values))

    @property
    def state(self) -> Any:
        """All of it."""
        return json.loads(self._path.read_text())

    @property
    def images(self) -> list[str]:
        """The images of the pods of the service and of the weekly training."""
        training = self.state["cronjob"]["spec"]["jobTemplate"]["spec"]
        specs = [self.state["deployment"]["spec"]["template"], training["template"]]
        return [spec["spec"]["containers"][0]["image"] for spec in specs]

    def asked(self, words: str) -> bool:
        """Tell whether kubectl was asked for something."""
        return any(words in command for command in self.state["commands"])


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Put the stand-in for kubectl on PATH."""
    script = tmp_path / "bin" / "kubectl"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {plain_cluster.__file__} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("REAL_KUBECTL", str(shutil.which("kubectl")))
    monkeypatch.setenv("PLAIN_CLUSTER", str(tmp_path / "state.json"))
    monkeypatch.setenv("PATH", str(script.parent), prepend=":")
    return Cluster(tmp_path / "state.json")


@pytest.fixture(scope="module")
def url(trained_store: Path) -> Iterator[str]:
    """Run a service, and yield its URL."""
    with running_service(str(trained_store)) as url:
        yield url


def deploy(url: str, serve_image: str, train_image: str = TRAIN) -> int:
    images = ["--train-image", train_image, "--serve-image", serve_image]
    return main(["plain-production", *images, "--url", url, "--wait-seconds", "0"])


def test_the_first_deployment_trains_and_the_next_keeps_the_replicas(
    cluster: Cluster, url: str
) -> None:
    assert deploy(url, OLD) == 0
    assert cluster.images == [OLD, TRAIN]
    assert cluster.asked("create job first-training-")
    scaled = cluster.state["deployment"]
    scaled["spec"]["replicas"] = 7
    cluster.change(deployment=scaled, commands=[])

    assert deploy(url, NEW) == 0
    assert cluster.images == [NEW, TRAIN]
    assert cluster.state["deployment"]["spec"]["replicas"] == 7
    assert not cluster.asked("create job")


@pytest.mark.parametrize("fault", ["pods that are never ready", "no service at the URL"])
def test_a_deployment_that_is_not_well_goes_back(
    fault: str, cluster: Cluster, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(url, OLD) == 0
    nowhere = f"http://127.0.0.1:{free_port()}"
    pods = fault.startswith("pods")
    where, image = (url, BAD) if pods else (nowhere, NEW)

    assert deploy(where, image, train_image=NEW) == 1
    assert cluster.images == [OLD, TRAIN]
    told = capsys.readouterr().err
    assert ("timed out" if pods else "the smoke test failed") in told
    assert "Revision 1, which ran before, runs again." in told


def test_what_was_refused_is_not_taken_for_a_revision_to_go_back_from(
    cluster: Cluster, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(url, OLD) == deploy(url, NEW) == 0
    cluster.change(refuses=True)

    assert deploy(url, OLD) == 1
    assert cluster.images == [NEW, TRAIN]
    assert not cluster.asked("rollout undo")
    assert "the server does not let you" in capsys.readouterr().err


def test_a_first_training_that_fails_is_told_with_where_its_log_is(
    cluster: Cluster, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.change(training="Failed")

    assert deploy(url, OLD) == 1
    told = capsys.readouterr().err
    assert "logs job/first-training-" in told and "nothing to go back to" in told


class Tools:
    """In place of the campaign's pod in the cluster: it asks a service on this machine."""

    def __init__(self, url: str) -> None:
        """Remember where it is."""
        self._url = url

    def smoke(self, _: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "deploy.smoke_test", self._url]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_campaign_deploys_its_images_and_tells_of_pods_that_are_never_ready(
    cluster: Cluster, url: str, tmp_path: Path
) -> None:
    settings: Any = SimpleNamespace(
        image=TRAIN, serve_image=OLD, s3_endpoint="http://10.0.0.1:9000", git_url=""
    )
    write_overlay("plain", settings, "clients", tmp_path)
    tools: Any = Tools(url)
    bucket: Any = None
    campaign = PlainCampaign(settings, bucket, tools, tmp_path)

    assert campaign.deploy().code == 0
    assert cluster.state["cronjob"]["spec"]["suspend"] is True
    campaign.serve_image = BAD
    deployed = campaign.deploy()

    assert (deployed.code, cluster.images) == (1, [OLD, TRAIN])
    assert "timed out" in deployed.output


@pytest.mark.parametrize(
    "changed",
    [
        {0: "production"},
        {2: "shop/pipeline:0.1.0"},
        {4: "shop/pipeline@sha256:12"},
        {6: "dispatch.example.com"},
        {6: "http://a", 7: "--commit=v1"},
    ],
)
def test_wrong_arguments_end_with_2(changed: dict[int, str]) -> None:
    arguments = [
        "plain-production",
        "--train-image",
        TRAIN,
        "--serve-image",
        OLD,
        "--url",
        "http://a",
    ]
    arguments.append("--wait-seconds=0")
    for place, text in changed.items():
        arguments[place] = text

    with pytest.raises(SystemExit) as stop:
        main(arguments)

    assert stop.value.code == 2


@pytest.mark.parametrize("overlay", PLAIN)
def test_the_names_are_those_of_the_manifests(overlay: str) -> None:
    objects = tracked(overlay)
    job = the(objects, "CronJob")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]

    assert the(objects, "Deployment")["metadata"]["name"] == DEPLOYMENT
    assert (job["metadata"]["name"], container["name"]) == (CRON_JOB, TRAINER)
