"""A cluster with all that a deployment needs, and the steps that the campaign takes on it."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from deploy.bodywork_run import DEPLOYMENT, NAMESPACE
from deploy.campaign import tools_pod
from deploy.campaign.deployed_objects import CRON_JOB, deployed_objects
from deploy.campaign.git_repositories import ROOT
from deploy.campaign.kubectl_commands import ClusterError, apply, delete, find, kubectl, pods
from deploy.campaign.settings import CampaignSettings
from deploy.campaign.tools_pod import ToolsPod, address_of
from deploy.campaign.weekly_bucket import WeeklyBucket
from deploy.deploy_pipeline import commit_of

CONTROLLER_NAMESPACE = "bodywork-deployment-jobs"
CONTROLLER = "bodywork-workflow-controller"
GROUP = "time-to-dispatch"
SECRETS = ("store", "aws-credentials", "alerts", "api-key", "git")
PODS = f"stage={DEPLOYMENT}"
PORT = 8000


class Deployed(NamedTuple):
    """What came of a deployment.

    Attributes:
        code: exit code.
        seconds: that it took.
        output: what it printed.
    """

    code: int
    seconds: float
    output: str


class Campaign:
    """A cluster that is ready for deployments."""

    def __init__(self, settings: CampaignSettings, bucket: WeeklyBucket, tools: ToolsPod) -> None:
        """Take over what has been made."""
        self.settings = settings
        self.bucket = bucket
        self.tools = tools
        self.commit = commit_of(settings.git_url, settings.branch)
        self.figures: dict[str, float] = {}
        self.remarks: list[str] = []

    @property
    def host(self) -> str:
        """The address of the service inside the cluster."""
        return address_of(DEPLOYMENT, NAMESPACE)

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

    def run_weekly_job(self, name: str) -> str:
        """Start the weekly deployment once, wait for its end, and return its condition."""
        inside = f"--namespace={CONTROLLER_NAMESPACE}"
        kubectl("create", "job", inside, name, f"--from=cronjob/{CRON_JOB}")
        deadline = time.monotonic() + 900
        while time.monotonic() < deadline:
            job = find("job", name, CONTROLLER_NAMESPACE)
            for condition in (job or {}).get("status", {}).get("conditions", []):
                if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
                    return str(condition["type"])
            time.sleep(2)
        raise ClusterError(f"Job {name} did not end.")

    def versions_served(self) -> set[str]:
        """Return the versions of the models that answer."""
        return self.tools.versions_served(self.host, PORT)

    def new_alerts(self, before: int) -> list[str]:
        """Return the alerts that came after the first ones; wait a little for one."""
        deadline = time.monotonic() + 10
        while len(alerts := self.tools.alerts()) <= before and time.monotonic() < deadline:
            time.sleep(0.5)
        return alerts[before:]

    def pod_names(self) -> set[str]:
        """Return the names of the service's pods that are not about to end."""
        return {pod["metadata"]["name"] for pod in pods(NAMESPACE, PODS)}

    def wait_for_end_of(self, names: set[str]) -> None:
        """Return when pods are gone, drained as they are."""
        for name in names:
            kubectl(
                "wait", f"--namespace={NAMESPACE}", "--for=delete", f"pod/{name}", "--timeout=120s"
            )


@contextmanager
def prepared_cluster(settings: CampaignSettings) -> Iterator[Campaign]:
    """Make all that deployments need, and remove it in the end, with what they have made.

    Raises:
        ClusterError: the cluster refuses something, or has a deployment already.
    """
    refuse_a_cluster_in_use()
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
        yield Campaign(settings, bucket, tools)


def refuse_a_cluster_in_use() -> None:
    """Fail if there is something that the end of the campaign would remove.

    Raises:
        ClusterError: there is.
    """
    found = [
        f"{kind} {name}"
        for kind, name, namespace in [
            ("namespace", NAMESPACE, "default"),
            ("namespace", tools_pod.NAMESPACE, "default"),
            ("cronjob", CRON_JOB, CONTROLLER_NAMESPACE),
            *[("secret", f"{GROUP}-{name}", CONTROLLER_NAMESPACE) for name in SECRETS],
        ]
        if find(kind, name, namespace) is not None
    ]
    if found:
        raise ClusterError(
            f"The cluster is in use: it has {', '.join(found)}, which the campaign would replace "
            "and remove. If a campaign that was killed has left that behind, delete it; otherwise "
            "test on another cluster."
        )


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
