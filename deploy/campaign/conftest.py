"""The campaign's cluster, and the table of what was measured on it."""

import os
import signal
from collections.abc import Iterator

import pytest

from deploy.campaign import bodywork_steps, plain_steps
from deploy.campaign.kubectl_commands import ClusterError, check_cluster
from deploy.campaign.pod_figures import table
from deploy.campaign.settings import BODYWORK, PLAIN, CampaignSettings, SettingsMissing
from deploy.campaign.steps import Campaign

CAMPAIGN = pytest.StashKey[Campaign]()


@pytest.fixture(scope="module")
def campaign(request: pytest.FixtureRequest) -> Iterator[Campaign]:
    """Prepare the cluster of the current kubeconfig, and remove all traces in the end."""
    is_plain = "plain" in request.path.name
    try:
        version = check_cluster()
        settings = CampaignSettings.from_environment(os.environ, PLAIN if is_plain else BODYWORK)
    except (ClusterError, SettingsMissing) as error:
        pytest.exit(str(error), returncode=1)
    # Whoever stops the campaign this way should not find its traces on the cluster either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    way = plain_steps if is_plain else bodywork_steps
    with way.prepared_cluster(settings) as campaign:
        command = f"make test-cluster{' WAY=plain' * is_plain}"
        campaign.remarks.append(f"Measured on Kubernetes {version} by `{command}`.")
        request.config.stash[CAMPAIGN] = campaign
        yield campaign


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was measured, if anything was."""
    campaign = config.stash.get(CAMPAIGN, None)
    if campaign is not None and campaign.figures:
        terminalreporter.write_sep("=", "figures")
        terminalreporter.write_line(table(campaign.figures, campaign.goals, campaign.remarks))
