"""The steps that the campaign takes without Bodywork."""

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy import deploy_plain
from deploy.bodywork_run import NAMESPACE, DeployFailure
from deploy.campaign import tools_pod
from deploy.campaign.deployed_objects import write_overlay
from deploy.campaign.git_repositories import ROOT
from deploy.campaign.kubectl_commands import KubernetesObject, apply, delete, kubectl
from deploy.campaign.pod_figures import PLAIN_GOALS
from deploy.campaign.settings import CampaignSettings
from deploy.campaign.steps import PORT, Campaign, Deployed, refuse_a_cluster_in_use
from deploy.campaign.tools_pod import ToolsPod
from deploy.campaign.weekly_bucket import WeeklyBucket


class PlainCampaign(Campaign):
    """A cluster that gets plain objects.

    Attributes:
        serve_image: of the next deployment.
    """

    goals = PLAIN_GOALS
    job = (NAMESPACE, deploy_plain.CRON_JOB)

    def __init__(
        self, settings: CampaignSettings, bucket: WeeklyBucket, tools: ToolsPod, overlay: Path
    ) -> None:
        """Take over what has been made, with the folder of the objects."""
        super().__init__(settings, bucket, tools)
        self._overlay = overlay
        self.serve_image = settings.serve_image

    def deploy(self) -> Deployed:
        """Deploy as `make deploy-plain` does, but ask the service inside the cluster."""
        train, serve = map(deploy_plain.Image.parsed, (self.settings.image, self.serve_image))
        started, reason = time.monotonic(), ""
        try:
            deploy_plain.deploy(self._overlay, train, serve, self.check)
        except DeployFailure as failure:
            reason = str(failure)
        return Deployed(1 if reason else 0, time.monotonic() - started, reason)

    def check(self) -> None:
        """Ask the service for a prediction.

        Raises:
            DeployFailure: the answer is not as it should be.
        """
        smoke = self.tools.smoke(f"http://{self.host}:{PORT}")
        if smoke.returncode != 0:
            raise DeployFailure(smoke.stderr.strip())

    def change_store(self, store: str) -> None:
        """Put the URL of another store into the secret."""
        apply([secret("store", {"TTD_STORE": store})])


@contextmanager
def prepared_cluster(settings: CampaignSettings) -> Iterator[PlainCampaign]:
    """Make all that deployments need, and remove it in the end, with what they have made.

    Raises:
        ClusterError: the cluster refuses something, or has a deployment already.
    """
    refuse_a_cluster_in_use()
    with ExitStack() as stack:
        stack.callback(delete, "namespace", NAMESPACE, tools_pod.NAMESPACE)
        api_key = secrets.token_urlsafe()
        tools = ToolsPod(settings.image, api_key)
        bucket = WeeklyBucket(settings)
        stack.callback(bucket.remove)
        kubectl("apply", f"--filename={ROOT}/deploy/common/namespace.yaml")
        apply(plain_secrets(settings, bucket.store, tools.webhook, api_key))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        write_overlay("plain", settings, tools_pod.NAMESPACE, folder)
        yield PlainCampaign(settings, bucket, tools, folder)


def plain_secrets(
    settings: CampaignSettings, store: str, webhook: str, api_key: str
) -> list[KubernetesObject]:
    """Return the secrets, as `docs/deploy/plain.md` makes them."""
    aws = {**settings.credentials, "AWS_ENDPOINT_URL_S3": settings.s3_endpoint}
    return [
        secret("store", {"TTD_STORE": store}),
        secret("api-key", {"TTD_API_KEY": api_key}),
        secret("alerts", {"TTD_ALERT_WEBHOOK": webhook}),
        secret("aws-credentials", aws),
    ]


def secret(name: str, entries: Mapping[str, str]) -> KubernetesObject:
    """Return a secret of the stages."""
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": entries}
