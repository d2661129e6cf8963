"""The life of a deployment with Bodywork on a real cluster, one step after the other.

`make test-cluster` runs it, and nothing else does: pytest collects no file of this name by itself.
Each step needs those before it, so the first that fails is the last.
"""

import pytest

from deploy.campaign.bodywork_steps import BodyworkCampaign as Campaign
from deploy.campaign.pod_figures import FAILED, FROM_NOTHING, MEMORY, REDEPLOYMENT, START
from deploy.campaign.steps import PORT

pytestmark = pytest.mark.timeout(1_200)


def test_the_pipeline_is_deployed_from_nothing(campaign: Campaign) -> None:
    campaign.bucket.deliver()

    deployed = campaign.deploy()

    assert deployed.code == 0, deployed.output
    campaign.figures[FROM_NOTHING] = deployed.seconds


def test_the_service_of_that_commit_predicts(campaign: Campaign) -> None:
    smoke = campaign.tools.smoke(f"http://{campaign.host}:{PORT}", "--commit", campaign.commit)

    assert smoke.returncode == 0, smoke.stdout + smoke.stderr
    assert len(campaign.versions_served()) == 1


def test_a_container_opens_its_port_soon(campaign: Campaign) -> None:
    campaign.figures[START] = campaign.slowest_start()


def test_no_request_is_lost_while_a_new_week_is_deployed(campaign: Campaign) -> None:
    (before,), old_pods = campaign.versions_served(), campaign.pod_names()
    campaign.bucket.deliver()

    with campaign.no_request_lost("the redeployment", FAILED) as result:
        deployed = campaign.deploy()
        campaign.wait_for_end_of(old_pods)

    assert deployed.code == 0, deployed.output
    assert not old_pods & campaign.pod_names()
    campaign.figures[REDEPLOYMENT] = deployed.seconds
    assert set(result["answers"]) == {before, *campaign.versions_served()}
    assert len(result["answers"]) == 2
    assert campaign.versions_served() != {before}


def test_a_pod_needs_little_memory(campaign: Campaign) -> None:
    campaign.figures[MEMORY] = campaign.most_memory()


def test_no_request_is_lost_while_a_node_is_drained(campaign: Campaign) -> None:
    with campaign.no_request_lost("a drained node"):
        is_drained = campaign.drain_a_node()

    if not is_drained:
        pytest.skip("The pods have one node.")


def test_the_weekly_deployment_serves_the_new_week(campaign: Campaign) -> None:
    before, old_pods = campaign.versions_served(), campaign.pod_names()
    campaign.bucket.deliver()

    assert campaign.run_weekly_job("campaign-week") == "Complete"

    campaign.wait_for_end_of(old_pods)  # until then they may answer as well
    after = campaign.versions_served()
    assert len(after) == 1
    assert after != before


def test_a_model_is_pinned_and_withdrawn_as_the_documents_say(campaign: Campaign) -> None:
    newest = campaign.only_version()
    campaign.withdraw("withdraw", newest)
    campaign.restart()
    older = campaign.only_version(other_than=newest)

    campaign.withdraw("restore", newest)
    campaign.restart()
    campaign.only_version({newest})
    with campaign.no_request_lost("a pin and its end"):
        campaign.pin(f"models/{older}.onnx")
        campaign.only_version({older})
        campaign.pin("")
    campaign.only_version({newest})


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
    campaign.change_store(f"s3://{campaign.bucket.name}-not/ttd")

    deployed = campaign.deploy()

    assert deployed.code == 1, deployed.output
    told = [text for text in campaign.new_alerts(alerts) if "The deployment failed" in text]
    assert len(told) == 1
    assert "train-model" in told[0]
    assert campaign.versions_served() == before


def test_the_next_deployment_mends_the_secret_s_copy_which_pods_have_until_then(
    campaign: Campaign,
) -> None:
    before = campaign.versions_served()
    campaign.change_store(campaign.bucket.store)
    assert campaign.store_of_stages() == f"s3://{campaign.bucket.name}-not/ttd"

    deployed = campaign.deploy()

    assert deployed.code == 0, deployed.output
    assert campaign.store_of_stages() == campaign.bucket.store
    campaign.restart()
    assert campaign.versions_served() == before
