"""What of the campaign needs no cluster: its settings, objects and figures."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import boto3
import pytest
from kubernetes_validate import validate

from deploy.campaign.alert_receiver import PORT
from deploy.campaign.deployed_objects import deployed_objects
from deploy.campaign.kubectl_commands import ClusterError, check_cluster
from deploy.campaign.pod_figures import (
    FAILED,
    GOALS,
    MEMORY,
    START,
    memory_mib,
    start_seconds,
    table,
)
from deploy.campaign.settings import NEEDED, CampaignSettings, SettingsMissing
from deploy.campaign.tools_pod import FILES, FOLDER, NAMESPACE, tools_objects
from deploy.campaign.weekly_bucket import WeeklyBucket
from pipeline.model.artifact import MODELS
from pipeline.stores.base import open_store
from pipeline.train_model import main as train_model
from tests.support.helpers import ROOT, Webhook, free_port
from tests.support.recording_cluster import write_kubeconfig

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
SETTINGS = CampaignSettings.from_environment(ENVIRONMENT)


def test_the_settings_come_from_the_environment() -> None:
    assert (SETTINGS.image, SETTINGS.branch) == ("shop/pipeline:0.1.0", "master")
    assert SETTINGS.credentials["AWS_DEFAULT_REGION"] == "us-east-1"
    assert SETTINGS.proxies == {"https_proxy": "http://10.250.0.1:3128", "no_proxy": "10.250.0.1"}


def test_all_settings_that_are_missing_are_named() -> None:
    with pytest.raises(SettingsMissing) as error:
        CampaignSettings.from_environment({"IMAGE": "", "BRANCH": "main"})

    assert [name for name in NEEDED if name not in str(error.value)] == []


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the objects of deploy/ for the campaign, by kind."""
    found = deployed_objects(SETTINGS, NAMESPACE, tmp_path_factory.mktemp("overlay"))
    return {one["kind"]: one for one in found}


def test_the_weekly_deployment_waits_and_deploys_the_image_that_is_tested(
    objects: dict[str, Any],
) -> None:
    specification = objects["CronJob"]["spec"]
    (container,) = specification["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}

    assert specification["suspend"] is True
    assert container["image"] == SETTINGS.image
    assert "bodywork create deployment --bodywork-image shop/pipeline:0.1.0" in " ".join(
        container["args"]
    )
    assert variables == {"GIT_URL": SETTINGS.git_url, "GIT_BRANCH": "master", **SETTINGS.proxies}


def test_the_policy_lets_the_load_in_and_the_service_out_to_where_s3_and_git_are(
    objects: dict[str, Any],
) -> None:
    policy = objects["NetworkPolicy"]["spec"]
    sources = [one["namespaceSelector"]["matchLabels"] for one in policy["ingress"][0]["from"]]

    assert {"kubernetes.io/metadata.name": NAMESPACE} in sources
    assert [one["port"] for one in policy["egress"][-1]["ports"]] == [8443, 9000]


def test_all_objects_are_sound(objects: dict[str, Any]) -> None:
    for one in [*objects.values(), *tools_objects("shop/pipeline:0.1.0", "a-key")]:
        validate(one, KUBERNETES, strict=True)
        assert "set-by-the-overlay" not in json.dumps(one)


def test_the_tools_pod_has_its_files() -> None:
    _, files, pod, service = tools_objects("shop/pipeline:0.1.0", "a-key")
    (container,) = pod["spec"]["containers"]

    assert sorted(files["data"]) == sorted(Path(name).name for name in FILES)
    assert f"{FOLDER}/alert_receiver.py" in container["command"]
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    assert service["spec"]["ports"] == [{"port": PORT}]


def test_the_start_is_measured_from_the_container_to_the_open_port() -> None:
    running = {"running": {"startedAt": "2026-11-25T20:01:00Z"}}
    pod = {"status": {"containerStatuses": [{"state": running}]}}
    log = (
        "2026-11-25T20:01:01.100000000Z Starting stage = serve_model\n"
        "2026-11-25T20:01:04.623456789Z INFO - Uvicorn running on http://0.0.0.0:8000\n"
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


def test_the_table_has_what_was_measured_beside_its_goals() -> None:
    printed = table({START: 5.123456, FAILED: 0, MEMORY: 181.96}, ["Remarked."])

    assert printed == (
        "| figure | measured | at most |\n"
        "|---|---|---|\n"
        "| container start to open port, s | 5.123 | 6 |\n"
        "| failed requests in a redeployment | 0 | 0 |\n"
        "| memory of a pod, MiB | 182 | 200 |\n"
        "\n"
        "Remarked."
    )
    assert len(GOALS) == 5


@pytest.fixture
def bucket(s3_endpoint: str) -> Iterator[WeeklyBucket]:
    """Make a bucket for the campaign, and remove it in the end."""
    bucket = WeeklyBucket(SETTINGS._replace(s3_endpoint=s3_endpoint))
    yield bucket
    bucket.remove()


def test_good_weeks_are_published_and_the_one_in_minutes_is_refused_with_an_alert(
    bucket: WeeklyBucket, s3_endpoint: str, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_endpoint)
    for name, value in SETTINGS.credentials.items():
        monkeypatch.setenv(name, value)
    arguments = [bucket.store, "--on-refusal", "keep", "--alert-webhook", webhook.url]

    for _ in range(3):
        bucket.deliver()
        assert train_model(arguments) == 0
    assert webhook.texts == []
    dataset = bucket.deliver(in_minutes=True)
    assert train_model(arguments) == 0

    assert len(list(open_store(bucket.store).list_keys(MODELS))) == 3
    assert [dataset in text for text in webhook.texts] == [True]


def test_a_bucket_is_removed_with_all_that_is_in_it(s3_endpoint: str) -> None:
    settings = SETTINGS._replace(s3_endpoint=s3_endpoint)
    left_over = WeeklyBucket(settings)
    other = WeeklyBucket(settings)
    left_over.deliver()
    left_over.remove()

    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    names = {found["Name"] for found in client.list_buckets()["Buckets"]}
    client.close()
    other.remove()
    assert left_over.name not in names
    assert other.name in names


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:{port}"])
def test_no_cluster_is_told(
    url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    if url is not None:
        write_kubeconfig(kubeconfig, url.format(port=free_port()))

    with pytest.raises(ClusterError, match="There is no cluster to test on; KUBECONFIG should"):
        check_cluster()


def test_without_a_cluster_the_campaign_says_so_and_fails(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--exitfirst", "deploy/campaign/campaign.py"]
    environment = {"PATH": os.environ["PATH"], "KUBECONFIG": str(tmp_path / "none")}

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    assert done.returncode == 1
    assert "There is no cluster to test on; KUBECONFIG should name one" in done.stdout
    assert "passed" not in done.stdout


def test_pytest_does_not_collect_the_campaign_by_itself(request: pytest.FixtureRequest) -> None:
    patterns = request.config.getini("python_files")

    assert (ROOT / "deploy" / "campaign" / "campaign.py").is_file()
    assert not any(fnmatch("campaign.py", pattern) for pattern in patterns)
    assert any(fnmatch(Path(__file__).name, pattern) for pattern in patterns)
