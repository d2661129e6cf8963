"""The life of a deployment without Bodywork on a real cluster, one step after the other.

`make test-cluster WAY=plain` runs it, and nothing else does: pytest collects no file of this name
by itself. Each step needs those before it, so the first that fails is the last.
"""

import pytest

from deploy.campaign.plain_steps import PlainCampaign as Campaign
from deploy.campaign.pod_figures import FAILED, FROM_NOTHING, MEMORY, REDEPLOYMENT, START

pytestmark = pytest.mark.timeout(1_200)


def test_the_pipeline_is_deployed_from_nothing_and_predicts(campaign: Campaign) -> None:
    """With the image of the target plain, so that the next deployment is one of another image."""
    campaign.bucket.deliver()
    campaign.serve_image = campaign.settings.image

    deployed = campaign.deploy()

    assert deployed.code == 0, deployed.output
    campaign.figures[FROM_NOTHING] = deployed.seconds
    campaign.only_version()


def test_no_request_is_lost_while_another_image_is_deployed(campaign: Campaign) -> None:
    before, old_pods = campaign.versions_served(), campaign.pod_names()
    campaign.serve_image = campaign.settings.serve_image

    with campaign.no_request_lost("the redeployment", FAILED):
        deployed = campaign.deploy()
        campaign.wait_for_end_of(old_pods)

    assert deployed.code == 0, deployed.output
    assert not old_pods & campaign.pod_names()
    campaign.figures[REDEPLOYMENT] = deployed.seconds
    assert campaign.versions_served() == before


def test_a_container_opens_its_port_soon(campaign: Campaign) -> None:
    campaign.figures[START] = campaign.slowest_start()


def test_a_pod_needs_little_memory(campaign: Campaign) -> None:
    campaign.figures[MEMORY] = campaign.most_memory()


def test_the_weekly_training_brings_the_new_week_to_the_same_pods(campaign: Campaign) -> None:
    before, pods = campaign.only_version(), campaign.pod_names()
    campaign.bucket.deliver()

    with campaign.no_request_lost("the weekly training"):
        assert campaign.run_weekly_job("campaign-week") == "Complete"
        campaign.only_version(other_than=before)

    assert campaign.pod_names() == pods


def test_no_request_is_lost_while_a_node_is_drained(campaign: Campaign) -> None:
    with campaign.no_request_lost("a drained node"):
        is_drained = campaign.drain_a_node()

    if not is_drained:
        pytest.skip("The pods have one node.")


def test_a_model_that_is_withdrawn_is_left_without_new_pods(campaign: Campaign) -> None:
    newest, pods = campaign.only_version(), campaign.pod_names()

    campaign.withdraw("withdraw", newest)
    campaign.only_version(other_than=newest)
    campaign.withdraw("restore", newest)
    campaign.only_version({newest})

    assert campaign.pod_names() == pods


def test_the_revision_before_is_a_command_away(campaign: Campaign) -> None:
    with campaign.no_request_lost("a roll-back"):
        for _ in range(2):
            old_pods = campaign.pod_names()
            campaign.rollout("undo")
            campaign.rollout("status", "--timeout=170s")
            campaign.wait_for_end_of(old_pods)


def test_a_refused_week_leaves_the_model_and_alerts(campaign: Campaign) -> None:
    before, alerts = campaign.only_version(), len(campaign.tools.alerts())
    dataset = campaign.bucket.deliver(in_minutes=True)

    assert campaign.run_weekly_job("campaign-refusal") == "Complete"

    campaign.only_version({before})
    (alert,) = campaign.new_alerts(alerts)
    assert dataset in alert


def test_a_training_without_its_store_fails_and_tells_and_the_service_goes_on(
    campaign: Campaign,
) -> None:
    before, alerts = campaign.only_version(), len(campaign.tools.alerts())
    campaign.change_store(f"s3://{campaign.bucket.name}-not/ttd")

    assert campaign.run_weekly_job("campaign-failure") == "Failed"

    told = campaign.new_alerts(alerts)
    assert told and all(f"{campaign.bucket.name}-not" in text for text in told)
    campaign.only_version({before})
    campaign.change_store(campaign.bucket.store)
    campaign.restart()
    campaign.only_version({before})
