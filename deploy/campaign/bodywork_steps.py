"""The steps that the campaign takes with Bodywork."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.bodywork_run import NAMESPACE
from deploy.campaign import tools_pod
from deploy.campaign.deployed_objects import deployed_objects
from deploy.campaign.git_repositories import ROOT
from deploy.campaign.kubectl_commands import ClusterError, apply, delete, find, kubectl
from deploy.campaign.pod_figures import GOALS
from deploy.campaign.settings import CampaignSettings
from deploy.campaign.steps import Campaign, Deployed, refuse_a_cluster_in_use
from deploy.campaign.tools_pod import ToolsPod
from deploy.campaign.weekly_bucket import WeeklyBucket
from deploy.deploy_pipeline import commit_of

CONTROLLER_NAMESPACE = "bodywork-deployment-jobs"
CONTROLLER = "bodywork-workflow-controller"
CRON_JOB = "weekly-deployment"
GROUP = "time-to-dispatch"
SECRETS = ("store", "aws-credentials", "alerts", "api-key", "git")


class BodyworkCampaign(Campaign):
    """A cluster to which Bodywork deploys."""

    goals = GOALS
    job = (CONTROLLER_NAMESPACE, CRON_JOB)

    def __init__(self, settings: CampaignSettings, bucket: WeeklyBucket, tools: ToolsPod) -> None:
        """Take over what has been made."""
        super().__init__(settings, bucket, tools)
        self.commit = commit_of(settings.git_url, settings.branch)

    def deploy(self) -> Deployed:
        """Deploy as `make deploy` does."""
        command = [sys.executable, "-m", "deploy.deploy_pipeline", self.settings.git_url]
        command += ["--branch", self.settings.branch, "--image", self.settings.image]
        started = time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        return Deployed(done.returncode, time.monotonic() - started, done.stdout)

    def change_store(self, store: str) -> None:
        """Put the URL of another store into the secret of the group."""
        bodywork_secret("update", "store", {"TTD_STORE": store})


@contextmanager
def prepared_cluster(settings: CampaignSettings) -> Iterator[BodyworkCampaign]:
    """Make all that deployments need, and remove it in the end, with what they have made.

    Raises:
        ClusterError: the cluster refuses something, or has a deployment already.
    """
    refuse_a_cluster_in_use(
        [
            ("cronjob", CRON_JOB, CONTROLLER_NAMESPACE),
            *[("secret", f"{GROUP}-{name}", CONTROLLER_NAMESPACE) for name in SECRETS],
        ]
    )
    with ExitStack() as stack:
        if find("namespace", CONTROLLER_NAMESPACE) is None:
            stack.callback(remove_bodywork)
        stack.callback(remove_deployment)
        bodywork("configure-cluster")
        api_key = secrets.token_urlsafe()
        tools = ToolsPod(settings.image, api_key)
        bucket = WeeklyBucket(settings)
        stack.callback(bucket.remove)
        create_secrets(settings, bucket.store, tools.webhook, api_key)
        folder = Path(stack.enter_context(TemporaryDirectory()))
        apply(deployed_objects(settings, tools_pod.NAMESPACE, folder))
        yield BodyworkCampaign(settings, bucket, tools)


def create_secrets(settings: CampaignSettings, store: str, webhook: str, api_key: str) -> None:
    """Make the secrets of the group, as `docs/deploy/bodywork.md` does."""
    values: Sequence[Mapping[str, str]] = [
        {"TTD_STORE": store},
        {**settings.credentials, "AWS_ENDPOINT_URL_S3": settings.s3_endpoint},
        {"TTD_ALERT_WEBHOOK": webhook},
        {"TTD_API_KEY": api_key},
        {"GIT_USERNAME": "none", "GIT_TOKEN": "none"},
    ]
    for name, data in zip(SECRETS, values, strict=True):
        bodywork_secret("create", name, data)


def bodywork_secret(verb: str, name: str, data: Mapping[str, str]) -> None:
    """Create or update a secret, and make sure of it."""
    options = [part for key, value in data.items() for part in ("--data", f"{key}={value}")]
    printed = bodywork(verb, "secret", name, "--group", GROUP, *options)
    if f"{verb}d secret" not in printed.lower():
        raise ClusterError(f"Bodywork did not {verb} secret {name}: {printed}")


def bodywork(*arguments: str) -> str:
    """Run Bodywork, and return what it prints.

    Raises:
        ClusterError: it says that it failed.
    """
    command = [os.environ.get("BODYWORK", "bodywork"), *arguments]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
    )
    if done.returncode != 0 or "Could not authenticate" in done.stdout:
        raise ClusterError(f"`bodywork {' '.join(arguments[:2])}` failed: {done.stdout}")
    return done.stdout


def remove_deployment() -> None:
    """Remove what the campaign and its deployments have made, but for Bodywork's own."""
    delete("namespace", NAMESPACE, tools_pod.NAMESPACE)
    inside = CONTROLLER_NAMESPACE
    if find("namespace", inside) is not None:
        delete("cronjob", CRON_JOB, namespace=inside)
        kubectl("delete", "secrets", f"--namespace={inside}", f"--selector=group={GROUP}")


def remove_bodywork() -> None:
    """Remove what `bodywork configure-cluster` has made."""
    delete("namespace", CONTROLLER_NAMESPACE)
    delete("clusterrolebinding", f"{CONTROLLER}--{CONTROLLER_NAMESPACE}")
    delete("clusterrole", CONTROLLER)
