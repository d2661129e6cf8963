"""What of the campaign needs no cluster: its settings, objects and figures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kubernetes_validate import validate

from deploy.campaign.alert_receiver import PORT
from deploy.campaign.deployed_objects import deployed_objects, write_overlay
from deploy.campaign.plain_steps import plain_secrets
from deploy.campaign.pod_figures import memory_mib, start_seconds
from deploy.campaign.settings import BODYWORK, PLAIN, CampaignSettings, SettingsMissing
from deploy.campaign.tools_pod import FILES, FOLDER, NAMESPACE, tools_objects
from deploy.campaign.weekly_bucket import WeeklyBucket
from pipeline.model.artifact import MODELS
from pipeline.stages.alerts import post_alert
from pipeline.stages.errors import StoreError
from pipeline.stages.messages import Message
from pipeline.stores.base import open_store
from pipeline.train_model import main as train_model
from tests.support.deploy_objects import render, the, tracked
from tests.support.helpers import ROOT, Webhook, free_port
from tests.support.recording_cluster import write_kubeconfig
from tests.support.service_clients import wait_until

KUBERNETES = "1.32"
ENVIRONMENT = {
    "IMAGE": "shop/pipeline:0.1.0",
    "GIT_URL": "https://10.250.0.1:8443/time-to-dispatch.git",
    "S3_ENDPOINT": "http://10.250.0.1:9000",
    "AWS_ACCESS_KEY_ID": "an-access-key",
    "AWS_SECRET_ACCESS_KEY": "a-secret-key",
    "AWS_DEFAULT_REGION": "us-east-1",
    "https_proxy": "http://10.250.0.1:3128",
    "no_proxy": "10.250.0.1",
}
IMAGES = {
    f"{use}_IMAGE": f"shop/pipeline@sha256:{digit * 64}"
    for use, digit in [("TRAIN", "1"), ("SERVE", "2")]
}
SETTINGS = CampaignSettings.from_environment(ENVIRONMENT, BODYWORK)
PLAIN_SETTINGS = CampaignSettings.from_environment(
    {name: ENVIRONMENT[name] for name in ENVIRONMENT if name not in ("IMAGE", "GIT_URL")} | IMAGES,
    PLAIN,
)


def test_the_settings_come_from_the_environment_and_all_that_are_missing_are_named() -> None:
    assert (SETTINGS.image, SETTINGS.branch) == ("shop/pipeline:0.1.0", "master")
    assert SETTINGS.credentials["AWS_DEFAULT_REGION"] == "us-east-1"
    assert SETTINGS.proxies == {"https_proxy": "http://10.250.0.1:3128", "no_proxy": "10.250.0.1"}
    for needed in (BODYWORK, PLAIN):
        with pytest.raises(SettingsMissing) as error:
            CampaignSettings.from_environment({"IMAGE": "", "BRANCH": "main"}, needed)
        assert [name for name in needed if name not in str(error.value)] == []


def test_the_objects_are_those_of_deploy_for_the_image_git_and_s3_of_the_campaign(
    tmp_path: Path,
) -> None:
    objects = {one["kind"]: one for one in deployed_objects(SETTINGS, NAMESPACE, tmp_path)}
    weekly, policy = objects["CronJob"]["spec"], objects["NetworkPolicy"]["spec"]
    (container,) = weekly["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    sources = [one["namespaceSelector"]["matchLabels"] for one in policy["ingress"][0]["from"]]

    for one in objects.values():
        validate(one, KUBERNETES, strict=True)
        assert "set-by-the-overlay" not in json.dumps(one)
    assert weekly["suspend"] is True
    assert container["image"] == SETTINGS.image
    assert variables == {"PYTHONPATH": "/opt", **SETTINGS.proxies}
    assert {"kubernetes.io/metadata.name": NAMESPACE} in sources
    assert [one["port"] for one in policy["egress"][-1]["ports"]] == [8443, 9000]


def test_the_plain_objects_are_those_of_deploy_with_a_job_that_waits_and_the_port_of_s3(
    tmp_path: Path,
) -> None:
    write_overlay("plain", PLAIN_SETTINGS, NAMESPACE, tmp_path)

    objects = render(tmp_path)
    changed = [one for one in objects if one not in tracked("plain-staging")]
    for one in objects:
        validate(one, KUBERNETES, strict=True)
    assert {one["kind"] for one in changed} == {"CronJob", "NetworkPolicy"}
    assert the(objects, "CronJob")["spec"]["suspend"] is True
    policy = the(objects, "NetworkPolicy")["spec"]
    assert [one["port"] for one in policy["egress"][-1]["ports"]] == [9000]


def test_the_pods_of_the_plain_way_find_all_their_secrets() -> None:
    made = plain_secrets(PLAIN_SETTINGS, "s3://a-bucket/ttd", "http://webhook", "a-key")
    entries = {(one["metadata"]["name"], key) for one in made for key in one["stringData"]}
    objects = tracked("plain-staging")
    training = the(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]
    wanted = {
        (reference["name"], reference["key"])
        for pod in (training, the(objects, "Deployment")["spec"]["template"])
        for one in pod["spec"]["containers"][0]["env"]
        if (reference := one.get("valueFrom", {}).get("secretKeyRef"))
    }

    assert wanted <= entries
    for one in made:
        validate(one, KUBERNETES, strict=True)


def test_the_tools_pod_has_its_files() -> None:
    objects = tools_objects("shop/pipeline:0.1.0", "a-key")
    _, files, pod, service = objects
    (container,) = pod["spec"]["containers"]

    for one in objects:
        validate(one, KUBERNETES, strict=True)
    assert sorted(files["data"]) == sorted(Path(name).name for name in FILES)
    assert f"{FOLDER}/alert_receiver.py" in container["command"]
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    assert service["spec"]["ports"] == [{"port": PORT}]


def test_the_webhook_prints_the_alerts_one_a_line(tmp_path: Path) -> None:
    port, alone = free_port(), tmp_path / "receiver.py"
    text = (ROOT / "deploy" / "campaign" / "alert_receiver.py").read_text()
    alone.write_text(text.replace(f"PORT = {PORT}\n", f"PORT = {port}\n"))
    command = [sys.executable, "-I", "-S", "-u", str(alone)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        url = f"http://127.0.0.1:{port}/services/campaign"
        try:
            wait_until(lambda: not post_alert(url, Message("one", ("line",))), "it takes an alert")
        finally:
            receiver.terminate()
        printed, _ = receiver.communicate()
    assert json.loads(printed.splitlines()[0]) == "time-to-dispatch: one\n  - line"


def test_the_start_is_measured_from_the_container_to_the_open_port() -> None:
    running = {"running": {"startedAt": "2026-11-25T20:01:00Z"}}
    pod = {"status": {"containerStatuses": [{"state": running}]}}
    log = (
        "2026-11-25T20:01:01.100000000Z Starting stage = serve_model\n"
        "2026-11-25T20:01:04.623456789Z INFO - Uvicorn running on http://[::]:8000\n"
    )

    assert start_seconds(pod, log) == pytest.approx(4.623456)


def test_the_memory_is_the_working_set_of_the_pods_that_are_meant() -> None:
    summary = {
        "pods": [
            {"podRef": {"name": name}, "containers": [{"memory": {"workingSetBytes": size}}]}
            for name, size in [("serve-1", 150 * 1024**2), ("serve-2", 3 * 2**19), ("other", 1)]
        ]
    }

    assert memory_mib(summary, {"serve-1", "serve-2"}) == [150.0, 1.5]


def test_good_weeks_are_published_and_the_one_in_minutes_is_refused_with_an_alert(
    s3_endpoint: str, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_endpoint)
    for name, value in SETTINGS.credentials.items():
        monkeypatch.setenv(name, value)
    bucket, other = (WeeklyBucket(SETTINGS._replace(s3_endpoint=s3_endpoint)) for _ in range(2))
    arguments = [bucket.store, "--on-refusal", "keep", "--alert-webhook", webhook.url]

    for _ in range(3):
        bucket.deliver()
        assert train_model(arguments) == 0
    assert webhook.texts == []
    dataset = bucket.deliver(in_minutes=True)
    assert train_model(arguments) == 0
    assert len(list(open_store(bucket.store).list_keys(MODELS))) == 3
    assert [dataset in text for text in webhook.texts] == [True]

    # In the end it is removed with all that is in it, and no other bucket.
    bucket.remove()
    assert open_store(other.store).list_keys(MODELS) == []
    other.remove()
    with pytest.raises(StoreError, match="The specified bucket does not exist"):
        open_store(bucket.store).list_keys(MODELS)


@pytest.mark.parametrize("way", ["bodywork", "plain"])
def test_without_a_cluster_the_campaign_says_so_and_fails(way: str, tmp_path: Path) -> None:
    write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{free_port()}")
    command = [sys.executable, "-m", "pytest", "--exitfirst", f"deploy/campaign/{way}_campaign.py"]
    environment = {"PATH": os.environ["PATH"], "KUBECONFIG": str(tmp_path / "kubeconfig")}

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    assert done.returncode == 1
    assert "There is no cluster to test on; KUBECONFIG should name one" in done.stdout
    assert "passed" not in done.stdout
