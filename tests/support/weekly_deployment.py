"""The weekly deployment without a cluster: the real Bodywork, on a stand-in for Kubernetes."""

import os
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any, NamedTuple

from deploy.campaign.git_repositories import commit_working_tree
from tests.support.deploy_objects import Object, the
from tests.support.helpers import ROOT
from tests.support.recording_cluster import ApiRequest, RecordingCluster, write_kubeconfig

NAMESPACE = "time-to-dispatch"
CONTROLLERS = "bodywork-deployment-jobs"
"""The namespace of Bodywork's own jobs."""
SECRETS = {
    "store": ["TTD_STORE"],
    "alerts": ["TTD_ALERT_WEBHOOK"],
    "api-key": ["TTD_API_KEY"],
}
"""The entries of the secrets that whoever deploys makes with Bodywork beforehand."""


class Bodywork:
    """Bodywork's command line, as the weekly job finds it on PATH."""

    def __init__(self, folder: Path) -> None:
        """Set it up, with a repository that holds the working tree as it is."""
        self.folder = folder
        self.origin = folder / "origin"
        commit_working_tree(self.origin)
        python = Path(os.environ["BODYWORK"]).with_name("python")
        command = folder / "bin" / "bodywork"
        command.parent.mkdir()
        command.write_text(
            f'#!/bin/sh\nexec {python} {ROOT}/tests/support/bodywork_offline.py "$@"\n'
        )
        command.chmod(0o755)

    def run(
        self, cluster: RecordingCluster, *command: str, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command with these variables, on a cluster."""
        kubeconfig = self.folder / "kubeconfig"
        write_kubeconfig(kubeconfig, cluster.url)
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        settings = {"PATH": path, "KUBECONFIG": str(kubeconfig), "no_proxy": "*"}
        return subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | settings | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def deploy_weekly(
        self, cluster: RecordingCluster, objects: list[Object], branch: str = "master"
    ) -> "subprocess.CompletedProcess[str]":
        """Run the command of the weekly job, on the repository's copy here."""
        (container,) = weekly_pod(objects)["containers"]
        names = {variable["name"] for variable in container["env"]}
        given = {"GIT_URL": f"file://{self.origin}", "GIT_BRANCH": branch}
        assert given.keys() == names
        return self.run(cluster, *container["command"], *container["args"], **given)


class Deployed(NamedTuple):
    """A stand-in after the first weekly deployment.

    Attributes:
        ours: the objects of production with monitoring.
        cluster: what Bodywork asked of it.
        weekly: the requests of the weekly job alone.
        output: what the weekly job printed.
    """

    ours: list[Object]
    cluster: RecordingCluster
    weekly: list[ApiRequest]
    output: str

    @property
    def service_deployment(self) -> Object:
        """The deployment of the service."""
        (deployment,) = self.cluster.created("deployments", NAMESPACE)
        return deployment

    @property
    def service(self) -> Object:
        """The Kubernetes service before it."""
        (service,) = self.cluster.created("services", NAMESPACE)
        return service

    @property
    def pod_template(self) -> Object:
        """What the pods of the service are made from."""
        template: Object = self.service_deployment["spec"]["template"]
        return template

    def our(self, kind: str) -> Any:
        """Return the specification of the only object of a kind of ours."""
        return the(self.ours, kind)["spec"]


def secrets() -> list[Object]:
    """Return the secrets as `bodywork create secret … --group time-to-dispatch` makes them."""
    return [
        {
            "kind": "Secret",
            "metadata": {
                "name": f"{NAMESPACE}-{name}",
                "namespace": CONTROLLERS,
                "labels": {"group": NAMESPACE},
            },
            "data": {entry: b64encode(b"a secret").decode() for entry in entries},
        }
        for name, entries in SECRETS.items()
    ]


def weekly_pod(objects: list[Object]) -> Any:
    """Return the specification of the weekly job's pod."""
    return the(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
