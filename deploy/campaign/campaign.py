"""The life of a deployment on a real cluster, one step after the other.

`make test-cluster` runs it, and nothing else does: pytest collects no file of this name by itself.
Each step needs those before it, so the first that fails is the last.
"""

import json
import time

import pytest

from deploy.bodywork_run import NAMESPACE
from deploy.campaign.kubectl_commands import kubectl, pods
from deploy.campaign.pod_figures import (
    FAILED,
    FROM_NOTHING,
    MEMORY,
    REDEPLOYMENT,
    START,
    memory_mib,
    start_seconds,
)
from deploy.campaign.steps import PODS, PORT, Campaign, bodywork_secret

pytestmark = pytest.mark.timeout(1_200)

REQUESTS_PER_SECOND = 60
REPLICAS = 2


def test_the_pipeline_is_deployed_from_nothing(campaign: Campaign) -> None:
    campaign.bucket.deliver()

    deployed = campaign.deploy()

    assert deployed.code == 0, deployed.output
    campaign.figures[FROM_NOTHING] = deployed.seconds


def test_the_service_of_that_commit_predicts(campaign: Campaign) -> None:
    smoke = campaign.tools.smoke(f"http://{campaign.host}:{PORT}", campaign.commit)

    assert smoke.returncode == 0, smoke.stdout + smoke.stderr
    assert len(campaign.versions_served()) == 1


def test_a_container_opens_its_port_soon(campaign: Campaign) -> None:
    found = pods(NAMESPACE, PODS)
    logs = [
        kubectl("logs", f"--namespace={NAMESPACE}", "--timestamps", pod["metadata"]["name"])
        for pod in found
    ]

    assert len(found) == REPLICAS
    campaign.figures[START] = max(start_seconds(pod, log) for pod, log in zip(found, logs))


def test_no_request_is_lost_while_a_new_week_is_deployed(campaign: Campaign) -> None:
    (before,), old_pods = campaign.versions_served(), campaign.pod_names()
    campaign.bucket.deliver()

    with campaign.tools.load(campaign.host, PORT, REQUESTS_PER_SECOND) as result:
        time.sleep(5)
        deployed = campaign.deploy()
        campaign.wait_for_end_of(old_pods)
        time.sleep(5)

    assert deployed.code == 0, deployed.output
    assert not old_pods & campaign.pod_names()
    campaign.figures[REDEPLOYMENT] = deployed.seconds
    campaign.figures[FAILED] = result["failed"]
    campaign.remarks.append(
        f"{result['requests']:,} requests at {REQUESTS_PER_SECOND}/s during the redeployment, "
        f"{result['kept_alive']:,} of them on connections that were kept; the longest pause was "
        f"{result['longest_pause']:.1f} s."
    )
    assert result["failed"] == 0, result["failures"]
    assert set(result["answers"]) == {before, *campaign.versions_served()}
    assert len(result["answers"]) == 2
    assert campaign.versions_served() != {before}


def test_a_pod_needs_little_memory(campaign: Campaign) -> None:
    nodes = {pod["spec"]["nodeName"] for pod in pods(NAMESPACE, PODS)}
    sizes = [
        size
        for node in nodes
        for size in memory_mib(
            json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary")),
            campaign.pod_names(),
        )
    ]

    assert len(sizes) == REPLICAS
    campaign.figures[MEMORY] = max(sizes)


def test_the_weekly_deployment_serves_the_new_week(campaign: Campaign) -> None:
    before, old_pods = campaign.versions_served(), campaign.pod_names()
    campaign.bucket.deliver()

    assert campaign.run_weekly_job("campaign-week") == "Complete"

    campaign.wait_for_end_of(old_pods)  # until then they may answer as well
    after = campaign.versions_served()
    assert len(after) == 1
    assert after != before


def test_a_refused_week_leaves_the_model_and_alerts(campaign: Campaign) -> None:
    before, alerts = campaign.versions_served(), len(campaign.tools.alerts())
    dataset = campaign.bucket.deliver(in_minutes=True)

    deployed = campaign.deploy()

    assert deployed.code == 0, deployed.output
    assert campaign.versions_served() == before
    (alert,) = campaign.new_alerts(alerts)
    assert dataset in alert


def test_a_failed_stage_is_told_by_the_failure_stage(campaign: Campaign) -> None:
    before, alerts = campaign.versions_served(), len(campaign.tools.alerts())
    bodywork_secret("update", "store", {"TTD_STORE": f"s3://{campaign.bucket.name}-not/ttd"})

    deployed = campaign.deploy()

    assert deployed.code == 1, deployed.output
    told = [text for text in campaign.new_alerts(alerts) if "The deployment failed" in text]
    assert len(told) == 1
    assert "train-model" in told[0]
    assert campaign.versions_served() == before
