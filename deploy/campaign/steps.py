"""What the campaigns of both ways do on a cluster, and ask of it."""

import json
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import environ
from typing import Any, NamedTuple

from deploy.bodywork_run import DEPLOYMENT, NAMESPACE
from deploy.campaign import tools_pod
from deploy.campaign.git_repositories import ROOT
from deploy.campaign.kubectl_commands import ClusterError, find, kubectl, pods
from deploy.campaign.pod_figures import memory_mib, start_seconds
from deploy.campaign.settings import CampaignSettings
from deploy.campaign.tools_pod import ToolsPod, address_of
from deploy.campaign.weekly_bucket import WeeklyBucket

PODS = f"stage={DEPLOYMENT}"
PORT = 8000
REPLICAS = 2
REQUESTS_PER_SECOND = 60
RELOAD_SECONDS = 150.0
"""Until all pods serve a model that has come or gone, at the latest: they look once a minute."""


class Deployed(NamedTuple):
    """What came of a deployment.

    Attributes:
        code: exit code.
        seconds: that it took.
        output: what it printed, or why it failed.
    """

    code: int
    seconds: float
    output: str


class Campaign(ABC):
    """A cluster that is ready for deployments.

    Attributes:
        figures: what was measured.
        remarks: what else is to be said of it.
        goals: what the figures should be at most.
        job: namespace and name of the weekly CronJob.
    """

    goals: Mapping[str, float]
    job: tuple[str, str]

    def __init__(self, settings: CampaignSettings, bucket: WeeklyBucket, tools: ToolsPod) -> None:
        """Take over what has been made."""
        self.settings = settings
        self.bucket = bucket
        self.tools = tools
        self.figures: dict[str, float] = {}
        self.remarks: list[str] = []

    @property
    def host(self) -> str:
        """The address of the service inside the cluster."""
        return address_of(DEPLOYMENT, NAMESPACE)

    @abstractmethod
    def deploy(self) -> Deployed:
        """Deploy as `make` does."""

    @abstractmethod
    def change_store(self, store: str) -> None:
        """Put the URL of another store into the secret that people keep."""

    def run_weekly_job(self, name: str) -> str:
        """Start the weekly job once, wait for its end, and return its condition."""
        namespace, cron_job = self.job
        kubectl("create", "job", f"--namespace={namespace}", name, f"--from=cronjob/{cron_job}")
        deadline = time.monotonic() + 900
        while time.monotonic() < deadline:
            job = find("job", name, namespace)
            for condition in (job or {}).get("status", {}).get("conditions", []):
                if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
                    return str(condition["type"])
            time.sleep(2)
        raise ClusterError(f"Job {name} did not end.")

    def versions_served(self) -> set[str]:
        """Return the versions of the models that answer."""
        return self.tools.versions_served(self.host, PORT)

    def only_version(self, wanted: set[str] | None = None, other_than: str = "") -> str:
        """Wait until all pods serve one model, and return its version.

        Args:
            wanted: the version that it should be, if that is known.
            other_than: a version that it should not be.
        """
        deadline = time.monotonic() + RELOAD_SECONDS
        while True:
            served = self.versions_served()
            if len(served) == 1 and other_than not in served and wanted in (None, served):
                return served.pop()
            assert time.monotonic() < deadline, f"{served} are served."

    @contextmanager
    def no_request_lost(self, during: str, figure: str | None = None) -> Iterator[dict[str, Any]]:
        """Ask for predictions meanwhile, and fail if one is lost.

        Args:
            during: what happens, for people.
            figure: under which the lost ones are noted.
        """
        with self.tools.load(self.host, PORT, REQUESTS_PER_SECOND) as result:
            time.sleep(5)
            yield result
            time.sleep(5)
        if figure:
            self.figures[figure] = result["failed"]
        self.remarks.append(
            f"{result['failed']} of {result['requests']:,} requests at {REQUESTS_PER_SECOND}/s "
            f"lost during {during}, {result['kept_alive']:,} of them on connections that were "
            f"kept; the longest pause was {result['longest_pause']:.1f} s."
        )
        assert result["failed"] == 0, result["failures"]

    def withdraw(self, verb: str, version: str) -> None:
        """Withdraw a model as `ttd-models` does, or restore it."""
        command = [sys.executable, "-m", "pipeline.manage_models", verb, version, self.bucket.store]
        credentials = {
            **self.settings.credentials,
            "AWS_ENDPOINT_URL_S3": self.settings.s3_endpoint,
        }
        subprocess.run(
            [*command, "--reason", "a campaign"], cwd=ROOT, env=environ | credentials, check=True
        )

    def restart(self) -> None:
        """Replace all pods, and wait for the new ones."""
        self.rollout("restart")
        self.rollout("status", "--timeout=170s")

    def rollout(self, verb: str, *options: str) -> None:
        """Do something with the rollout of the service."""
        kubectl("rollout", verb, f"--namespace={NAMESPACE}", f"deployment/{DEPLOYMENT}", *options)

    def pin(self, key: str) -> None:
        """Pin a model by its key as the documents do; end that with an empty one."""
        setting = f"TTD_MODEL_KEY={key}" if key else "TTD_MODEL_KEY-"
        kubectl("set", "env", f"--namespace={NAMESPACE}", f"deployment/{DEPLOYMENT}", setting)
        self.rollout("status", "--timeout=170s")

    def store_of_stages(self) -> str:
        """Return the URL of the store in the secret from which pods take it."""
        secret = find("secret", "store", NAMESPACE)
        assert secret is not None
        return b64decode(secret["data"]["TTD_STORE"]).decode()

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

    def slowest_start(self) -> float:
        """Return in how many seconds the slower of the pods opened its port."""
        found = pods(NAMESPACE, PODS)
        assert len(found) == REPLICAS
        names = [pod["metadata"]["name"] for pod in found]
        logs = [kubectl("logs", f"--namespace={NAMESPACE}", "--timestamps", one) for one in names]
        return max(start_seconds(pod, log) for pod, log in zip(found, logs, strict=True))

    def most_memory(self) -> float:
        """Return the larger working set of the pods, in MiB."""
        nodes = {pod["spec"]["nodeName"] for pod in pods(NAMESPACE, PODS)}
        paths = [f"/api/v1/nodes/{node}/proxy/stats/summary" for node in nodes]
        summaries = [json.loads(kubectl("get", "--raw", path)) for path in paths]
        sizes = [size for one in summaries for size in memory_mib(one, self.pod_names())]
        assert len(sizes) == REPLICAS
        return max(sizes)

    def drain_a_node(self) -> bool:
        """Drain a node of the service and let it back in; False if pods have no other node."""
        nodes = {pod["spec"]["nodeName"] for pod in pods(NAMESPACE, PODS)}
        if len(nodes) < REPLICAS:
            return False
        node = nodes.pop()
        options = ("--ignore-daemonsets", "--delete-emptydir-data", f"--pod-selector={PODS}")
        try:
            kubectl("drain", node, *options, "--timeout=170s")
            self.rollout("status", "--timeout=170s")
        finally:
            kubectl("uncordon", node)
        return True


def refuse_a_cluster_in_use(others: Sequence[tuple[str, str, str]] = ()) -> None:
    """Fail if there is something that the end of the campaign would remove.

    Args:
        others: kind, name and namespace of what it would remove beside its two namespaces.

    Raises:
        ClusterError: there is.
    """
    namespaces = [("namespace", name, "default") for name in (NAMESPACE, tools_pod.NAMESPACE)]
    found = [
        f"{kind} {name}"
        for kind, name, namespace in [*namespaces, *others]
        if find(kind, name, namespace) is not None
    ]
    if found:
        raise ClusterError(
            f"The cluster is in use: it has {', '.join(found)}, which the campaign would replace "
            "and remove. If a campaign that was killed has left that behind, delete it; otherwise "
            "test on another cluster."
        )
