"""The objects of `deploy/` fit what Bodywork really creates, on a stand-in for a cluster.

The stand-in has our objects from the start. The real Bodywork configures it, and the weekly job's
own command deploys the project to it, with the `bodywork.yaml` of this repository.
"""

import os
import re
import shutil
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.deploy_objects import MONITORING, Object, copy_of_deploy, render, selects, the
from tests.helpers import ROOT
from tests.recording_cluster import ApiRequest, RecordingCluster

pytestmark = pytest.mark.bodywork

NAMESPACE = "time-to-dispatch"
CONTROLLERS = "bodywork-deployment-jobs"
"""The namespace of Bodywork's own jobs."""
SECRETS = {
    "store": ["TTD_STORE"],
    "aws-credentials": [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL_S3",
    ],
    "alerts": ["TTD_ALERT_WEBHOOK"],
    "api-key": ["TTD_API_KEY"],
}
"""The entries of the secrets that whoever deploys makes with Bodywork beforehand."""


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


class Bodywork:
    """Bodywork's command line, as the weekly job finds it on PATH."""

    def __init__(self, folder: Path) -> None:
        """Set it up, with a repository that holds the pipeline as it is."""
        self.folder = folder
        self.origin = _repository(folder / "origin")
        python = Path(os.environ["BODYWORK"]).with_name("python")
        command = folder / "bin" / "bodywork"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {python} {ROOT}/tests/bodywork_offline.py "$@"\n')
        command.chmod(0o755)

    def run(
        self, cluster: RecordingCluster, *command: str, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command with these variables, on a cluster."""
        kubeconfig = self.folder / "kubeconfig"
        cluster.write_kubeconfig(kubeconfig)
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
        (container,) = _weekly_pod(objects)["containers"]
        names = {variable["name"] for variable in container["env"]}
        given = {"GIT_URL": f"file://{self.origin}", "GIT_BRANCH": branch}
        assert given.keys() == names
        return self.run(cluster, *container["command"], *container["args"], **given)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """Return the objects of production, with monitoring."""
    copy = copy_of_deploy(tmp_path_factory.mktemp("monitored"), MONITORING)
    return render(copy / "overlays" / "production")


@pytest.fixture(scope="module")
def bodywork(tmp_path_factory: pytest.TempPathFactory) -> Bodywork:
    """Return the command line."""
    return Bodywork(tmp_path_factory.mktemp("bodywork"))


@pytest.fixture(scope="module")
def deployed(objects: list[Object], bodywork: Bodywork) -> Iterator[Deployed]:
    """Do what a first deployment takes: configure the cluster, apply our objects, deploy."""
    with _cluster() as cluster:
        assert bodywork.run(cluster, "bodywork", "configure-cluster").returncode == 0
        for item in [*objects, *_secrets()]:
            cluster.add(item)
        before = len(cluster.requests)
        deployment = bodywork.deploy_weekly(cluster, objects)
        assert deployment.returncode == 0, deployment.stdout
        yield Deployed(objects, cluster, cluster.requests[before:], deployment.stdout)


def test_bodywork_takes_the_namespace_and_the_account_as_they_are(deployed: Deployed) -> None:
    account = the(deployed.ours, "ServiceAccount")["metadata"]
    pods = [job["spec"]["template"] for job in deployed.cluster.created("jobs", NAMESPACE)]

    created = {request.resource for request in deployed.weekly if request.verb == "create"}
    assert created == {"secrets", "jobs", "deployments", "services"}
    assert account["namespace"] == NAMESPACE
    for pod in [*pods, deployed.pod_template]:
        assert pod["spec"]["serviceAccountName"] == account["name"]


def test_bodywork_deletes_nothing_but_its_jobs(deployed: Deployed) -> None:
    """It would delete an Ingress that it takes for its own, since bodywork.yaml asks for none."""
    deleted = {request.resource for request in deployed.weekly if request.verb == "delete"}

    assert deleted == {"jobs"}
    assert not [request for request in deployed.weekly if request.verb in ("patch", "update")]


def test_the_weekly_job_runs_under_the_account_that_bodywork_configures(
    deployed: Deployed,
) -> None:
    (account,) = deployed.cluster.created("serviceaccounts", CONTROLLERS)

    assert the(deployed.ours, "CronJob")["metadata"]["namespace"] == CONTROLLERS
    assert _weekly_pod(deployed.ours)["serviceAccountName"] == account["metadata"]["name"]


def test_that_account_may_do_what_a_deployment_takes_thanks_to_our_role(
    deployed: Deployed,
) -> None:
    (cluster_role,) = deployed.cluster.created("clusterroles")
    (subject,) = the(deployed.ours, "RoleBinding")["subjects"]
    (account,) = deployed.cluster.created("serviceaccounts", CONTROLLERS)
    role = the(deployed.ours, "Role")

    lacking = [request for request in deployed.weekly if not _allows(cluster_role, request)]

    assert {(request.verb, request.resource) for request in lacking} == {("get", "pods/log")}
    assert all(_allows(role, request) for request in lacking)
    assert {request.namespace for request in lacking} == {role["metadata"]["namespace"]}
    assert subject["name"] == account["metadata"]["name"]
    assert subject["namespace"] == account["metadata"]["namespace"]
    assert the(deployed.ours, "RoleBinding")["roleRef"]["name"] == role["metadata"]["name"]


def test_the_weekly_job_fails_where_bodywork_ends_as_if_all_were_well(
    bodywork: Bodywork, objects: list[Object]
) -> None:
    with _cluster() as cluster:
        cluster.refuses = True
        alone = bodywork.run(
            cluster, "bodywork", "create", "deployment", f"file://{bodywork.origin}"
        )
        weekly = bodywork.deploy_weekly(cluster, objects)

    assert (alone.returncode, weekly.returncode) == (0, 1)
    assert "Could not authenticate" in weekly.stdout


def test_the_weekly_job_fails_with_the_deployment(
    bodywork: Bodywork, objects: list[Object], deployed: Deployed
) -> None:
    weekly = bodywork.deploy_weekly(deployed.cluster, objects, branch="missing")

    assert weekly.returncode == 1
    assert "Deployment failed" in weekly.stdout


def test_the_weekly_job_may_take_longer_than_bodywork_waits_in_all_tries(
    deployed: Deployed,
) -> None:
    job = deployed.our("CronJob")["jobTemplate"]["spec"]
    waits = [int(seconds) for seconds in re.findall(r"timeout at \[.+\] \((\d+)s", deployed.output)]

    assert len(waits) == 2
    # Half as long again, for Git, and the stage that runs after a failure.
    assert 1.5 * (1 + job["backoffLimit"]) * sum(waits) < job["activeDeadlineSeconds"]


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "NetworkPolicy"])
def test_a_selector_takes_the_pods_of_the_service_and_no_others(
    kind: str, deployed: Deployed
) -> None:
    spec = deployed.our(kind)
    labels = (spec.get("selector") or spec["podSelector"])["matchLabels"]
    jobs = deployed.cluster.created("jobs", NAMESPACE)

    assert the(deployed.ours, kind)["metadata"]["namespace"] == NAMESPACE
    assert selects(labels, deployed.pod_template["metadata"]["labels"])
    assert [job["metadata"]["name"] for job in jobs] == ["train-model"]
    for job in jobs:
        # Those that Kubernetes gives the pods of jobs have names like job-name.
        assert not selects(labels, job["spec"]["template"].get("metadata", {}).get("labels"))


def test_the_autoscaler_scales_the_deployment_of_the_service(deployed: Deployed) -> None:
    scaler = deployed.our("HorizontalPodAutoscaler")
    deployment = deployed.service_deployment
    (container,) = deployed.pod_template["spec"]["containers"]
    (metric,) = scaler["metrics"]

    assert scaler["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }
    assert scaler["minReplicas"] == deployment["spec"]["replicas"]
    # Utilisation is a share of what is requested.
    assert metric["resource"]["target"]["type"] == "Utilization"
    assert float(container["resources"]["requests"][metric["resource"]["name"]]) > 0


def test_traffic_finds_its_way_to_the_pods(deployed: Deployed) -> None:
    (rule,) = deployed.our("Ingress")["rules"]
    (path,) = rule["http"]["paths"]
    backend = path["backend"]["service"]
    (port,) = deployed.service["spec"]["ports"]
    (allowed,) = deployed.our("NetworkPolicy")["ingress"]

    assert backend["name"] == deployed.service["metadata"]["name"]
    assert backend["port"] == {"number": port["port"]}
    assert selects(deployed.service["spec"]["selector"], deployed.pod_template["metadata"]["labels"])
    assert allowed["ports"] == [{"protocol": "TCP", "port": port["targetPort"]}]


def test_prometheus_finds_the_pods_and_has_the_key(deployed: Deployed) -> None:
    monitor = deployed.our("ServiceMonitor")
    (endpoint,) = monitor["endpoints"]
    (port,) = deployed.service["spec"]["ports"]
    credentials = endpoint["authorization"]["credentials"]
    secrets = deployed.cluster.created("secrets", NAMESPACE)
    (secret,) = [item for item in secrets if item["metadata"]["name"] == credentials["name"]]

    assert the(deployed.ours, "ServiceMonitor")["metadata"]["namespace"] == NAMESPACE
    assert selects(monitor["selector"]["matchLabels"], deployed.service["metadata"]["labels"])
    assert credentials["key"] in secret["data"]
    (keep,) = endpoint["relabelings"]
    assert (keep["action"], keep["sourceLabels"]) == ("keep", ["__address__"])
    assert re.fullmatch(keep["regex"], f"10.0.0.7:{port['targetPort']}")
    assert not re.fullmatch(keep["regex"], "10.0.0.7:9090")


def test_the_monitor_can_name_no_port_because_bodywork_declares_none(deployed: Deployed) -> None:
    (endpoint,) = deployed.our("ServiceMonitor")["endpoints"]
    (port,) = deployed.service["spec"]["ports"]
    (container,) = deployed.pod_template["spec"]["containers"]

    assert "name" not in port
    assert "ports" not in container
    assert not endpoint.keys() & {"port", "targetPort"}


def _secrets() -> list[Object]:
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


def _weekly_pod(objects: list[Object]) -> Any:
    return the(objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def _allows(role: Object, request: ApiRequest) -> bool:
    return any(
        request.group in rule["apiGroups"]
        and {request.resource, "*"} & set(rule["resources"])
        and {request.verb, "*"} & set(rule["verbs"])
        for rule in role["rules"]
    )


@contextmanager
def _cluster() -> Iterator[RecordingCluster]:
    with RecordingCluster() as cluster:
        thread = threading.Thread(target=cluster.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield cluster
        finally:
            cluster.shutdown()
            thread.join()


def _repository(origin: Path) -> Path:
    """Commit the pipeline and how Bodywork runs it to a new repository, and return it."""
    shutil.copytree(ROOT / "pipeline", origin / "pipeline")
    shutil.copy(ROOT / "bodywork.yaml", origin)
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    for arguments in (
        ("init", "--quiet", "--initial-branch=master"),
        ("add", "--all"),
        (*identity, "commit", "--quiet", "--message=The pipeline as it is"),
    ):
        subprocess.run(["git", "-C", str(origin), *arguments], check=True)
    return origin
