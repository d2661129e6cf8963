"""The objects of `deploy/` fit what Bodywork really creates, on a stand-in for a cluster.

The stand-in has our objects from the start. The real Bodywork configures it, and the weekly job's
own command deploys the project to it, with the `bodywork.yaml` of this repository.
"""

import os
import re
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deploy.campaign.git_repositories import commit_working_tree
from tests.support.deploy_objects import (
    MONITORING,
    Object,
    copy_of_deploy,
    render,
    selects,
    the,
    tracked,
)
from tests.support.helpers import ROOT
from tests.support.local_servers import serving
from tests.support.recording_cluster import ApiRequest, RecordingCluster, write_kubeconfig

pytestmark = [pytest.mark.bodywork, pytest.mark.timeout(900)]

NAMESPACE = "time-to-dispatch"
CONTROLLERS = "bodywork-deployment-jobs"
"""The namespace of Bodywork's own jobs."""
SECRETS = {"store": "TTD_STORE", "alerts": "TTD_ALERT_WEBHOOK", "api-key": "TTD_API_KEY"}
"""The entries of the secrets that whoever deploys makes with Bodywork beforehand."""
Done = subprocess.CompletedProcess[str]


class Bodywork:
    """Bodywork's command line, as the weekly job finds it on PATH."""

    def __init__(self, folder: Path) -> None:
        """Set it up, with a repository that holds the working tree as it is."""
        self.folder = folder
        commit_working_tree(folder / "origin")
        python = Path(os.environ["BODYWORK"]).with_name("python")
        command = folder / "bin" / "bodywork"
        command.parent.mkdir()
        offline = ROOT / "tests" / "support" / "bodywork_offline.py"
        command.write_text(f'#!/bin/sh\nexec {python} {offline} "$@"\n')
        command.chmod(0o755)

    def run(self, cluster: RecordingCluster, *command: str, **variables: str) -> Done:
        """Run a command with these variables, on a cluster."""
        write_kubeconfig(self.folder / "kubeconfig", cluster.url)
        settings = {
            "PATH": f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}",
            "KUBECONFIG": f"{self.folder}/kubeconfig",
        }
        return subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | settings | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def deploy_weekly(self, cluster: RecordingCluster, ours: list[Object], branch: str) -> Done:
        """Run the command of the weekly job, on the repository's copy here."""
        (container,) = weekly_pod(ours)["containers"]
        given = {"GIT_URL": f"file://{self.folder}/origin", "GIT_BRANCH": branch}
        assert given.keys() == {variable["name"] for variable in container["env"]}
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

    def created(self, resource: str, namespace: str | None = NAMESPACE) -> Any:
        """Return the only object of a resource that Bodywork has created."""
        (found,) = self.cluster.created(resource, namespace)
        return found

    @property
    def pod_template(self) -> Any:
        """What the pods of the service are made from."""
        return self.created("deployments")["spec"]["template"]

    def our(self, kind: str) -> Any:
        """Return the specification of the only object of a kind of ours."""
        return the(self.ours, kind)["spec"]

    def secret(self, name: str) -> dict[str, str]:
        """Return the entries of a secret that Bodywork has copied for the stages."""
        copies = self.cluster.created("secrets", NAMESPACE)
        (data,) = [copy["data"] for copy in copies if copy["metadata"]["name"] == name]
        return {entry: b64decode(text).decode() for entry, text in data.items()}


def secret(name: str, entry: str) -> Object:
    """Return a secret as `bodywork create secret … --group time-to-dispatch` makes it."""
    labels = {"group": NAMESPACE}
    metadata = {"name": f"{NAMESPACE}-{name}", "namespace": CONTROLLERS, "labels": labels}
    return {"kind": "Secret", "metadata": metadata, "stringData": {entry: "a secret"}}


def weekly_pod(ours: list[Object]) -> Any:
    """Return the specification of the weekly job's pod."""
    return the(ours, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """Return the objects of production, with monitoring."""
    copy = copy_of_deploy(tmp_path_factory.mktemp("monitored"), MONITORING)
    return render(copy / "overlays" / "production")


@pytest.fixture(scope="module")
def bodywork(tmp_path_factory: pytest.TempPathFactory) -> Bodywork:
    """Return the command line."""
    return Bodywork(tmp_path_factory.mktemp("bodywork"))


@pytest.fixture(scope="module")
def deployed(ours: list[Object], bodywork: Bodywork) -> Iterator[Deployed]:
    """Do what a first deployment takes: configure the cluster, apply our objects, deploy."""
    with serving(RecordingCluster()) as cluster:
        assert bodywork.run(cluster, "bodywork", "configure-cluster").returncode == 0
        for item in [*ours, *(secret(name, entry) for name, entry in SECRETS.items())]:
            cluster.add(item)
        before = len(cluster.requests)
        deployment = bodywork.deploy_weekly(cluster, ours, "master")
        assert deployment.returncode == 0, deployment.stdout
        yield Deployed(ours, cluster, cluster.requests[before:], deployment.stdout)


def test_bodywork_takes_the_namespace_and_the_account_as_they_are(deployed: Deployed) -> None:
    account = the(deployed.ours, "ServiceAccount")["metadata"]

    created = {request.resource for request in deployed.weekly if request.verb == "create"}
    assert created == {"secrets", "jobs", "deployments", "services"}
    assert account["namespace"] == NAMESPACE
    for pod in (deployed.created("jobs")["spec"]["template"], deployed.pod_template):
        assert pod["spec"]["serviceAccountName"] == account["name"]


def test_bodywork_deletes_nothing_but_its_jobs(deployed: Deployed) -> None:
    """It would delete an Ingress that it takes for its own, since bodywork.yaml asks for none."""
    changes = {(one.verb, one.resource) for one in deployed.weekly}

    assert {one for one in changes if one[0] not in ("create", "get", "list")} == {
        ("delete", "jobs")
    }


def test_the_account_of_the_weekly_job_may_do_what_it_takes_thanks_to_our_role(
    deployed: Deployed,
) -> None:
    (subject,) = the(deployed.ours, "RoleBinding")["subjects"]
    account = deployed.created("serviceaccounts", CONTROLLERS)["metadata"]
    cluster_role, role = deployed.created("clusterroles", None), the(deployed.ours, "Role")

    lacking = [request for request in deployed.weekly if not _allows(cluster_role, request)]

    assert the(deployed.ours, "CronJob")["metadata"]["namespace"] == CONTROLLERS
    assert weekly_pod(deployed.ours)["serviceAccountName"] == account["name"]
    assert {(request.verb, request.resource) for request in lacking} == {("get", "pods/log")}
    assert all(_allows(role, request) for request in lacking)
    assert {request.namespace for request in lacking} == {role["metadata"]["namespace"]}
    assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])
    assert the(deployed.ours, "RoleBinding")["roleRef"]["name"] == role["metadata"]["name"]


def test_the_weekly_job_fails_where_bodywork_ends_as_if_all_were_well(
    bodywork: Bodywork, ours: list[Object]
) -> None:
    command = ["bodywork", "create", "deployment", f"file://{bodywork.folder}/origin"]
    with serving(RecordingCluster()) as cluster:
        cluster.refuses = True
        alone = bodywork.run(cluster, *command)
        weekly = bodywork.deploy_weekly(cluster, ours, "master")

    assert (alone.returncode, weekly.returncode) == (0, 1)
    assert "Could not authenticate" in weekly.stdout


def test_the_weekly_job_fails_with_the_deployment(bodywork: Bodywork, deployed: Deployed) -> None:
    weekly = bodywork.deploy_weekly(deployed.cluster, deployed.ours, "missing")

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
    spec, job = deployed.our(kind), deployed.created("jobs")
    labels = (spec.get("selector") or spec["podSelector"])["matchLabels"]

    assert the(deployed.ours, kind)["metadata"]["namespace"] == NAMESPACE
    assert selects(labels, deployed.pod_template["metadata"]["labels"])
    # Those that Kubernetes gives the pods of jobs have names like job-name.
    assert not selects(labels, job["spec"]["template"].get("metadata", {}).get("labels"))


def test_the_autoscaler_scales_the_deployment_of_the_service(deployed: Deployed) -> None:
    scaler, deployment = deployed.our("HorizontalPodAutoscaler"), deployed.created("deployments")
    (container,) = deployed.pod_template["spec"]["containers"]
    (metric,) = scaler["metrics"]

    name = deployment["metadata"]["name"]
    assert scaler["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": name,
    }
    assert scaler["minReplicas"] == deployment["spec"]["replicas"]
    # Utilisation is a share of what is requested.
    assert metric["resource"]["target"]["type"] == "Utilization"
    assert float(container["resources"]["requests"][metric["resource"]["name"]]) > 0


def test_the_stages_get_a_region_and_no_keys_so_that_their_role_counts(deployed: Deployed) -> None:
    assert deployed.secret("aws-credentials") == {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_S3": "",
    }


def test_traffic_finds_its_way_to_the_pods(deployed: Deployed) -> None:
    (rule,), service = deployed.our("Ingress")["rules"], deployed.created("services")
    backend = rule["http"]["paths"][0]["backend"]["service"]
    (port,) = service["spec"]["ports"]
    (allowed,) = deployed.our("NetworkPolicy")["ingress"]

    assert backend == {"name": service["metadata"]["name"], "port": {"number": port["port"]}}
    assert selects(service["spec"]["selector"], deployed.pod_template["metadata"]["labels"])
    assert allowed["ports"] == [{"protocol": "TCP", "port": port["targetPort"]}]


def test_the_plain_objects_take_over_what_bodywork_has_made(deployed: Deployed) -> None:
    """Name, selector and ports are the same, and the secrets that they ask for are there."""
    plain = tracked("plain-production")
    theirs = {
        "Deployment": deployed.created("deployments"),
        "Service": deployed.created("services"),
    }

    for kind, made in theirs.items():
        assert the(plain, kind)["metadata"]["name"] == made["metadata"]["name"]
    ours, service = the(plain, "Deployment")["spec"], the(plain, "Service")["spec"]
    assert ours["selector"] == theirs["Deployment"]["spec"]["selector"]
    assert service["selector"] == theirs["Service"]["spec"]["selector"]
    assert service["ports"] == theirs["Service"]["spec"]["ports"]
    training = the(plain, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    for pod in (ours["template"]["spec"], training):
        for variable in pod["containers"][0]["env"]:
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                assert reference["key"] in deployed.secret(reference["name"])


def test_prometheus_finds_the_pods_and_has_the_key(deployed: Deployed) -> None:
    monitor, service = deployed.our("ServiceMonitor"), deployed.created("services")
    (endpoint,), (port,) = monitor["endpoints"], service["spec"]["ports"]
    credentials = endpoint["authorization"]["credentials"]
    (keep,) = endpoint["relabelings"]

    assert the(deployed.ours, "ServiceMonitor")["metadata"]["namespace"] == NAMESPACE
    assert selects(monitor["selector"]["matchLabels"], service["metadata"]["labels"])
    assert credentials["key"] in deployed.secret(credentials["name"])
    assert (keep["action"], keep["sourceLabels"]) == ("keep", ["__address__"])
    assert re.fullmatch(keep["regex"], f"10.0.0.7:{port['targetPort']}")
    assert not re.fullmatch(keep["regex"], "10.0.0.7:9090")
    # Bodywork declares no name of a port, neither of the service nor of the container.
    assert "name" not in port
    assert "ports" not in deployed.pod_template["spec"]["containers"][0]
    assert not endpoint.keys() & {"port", "targetPort"}


def _allows(role: Object, request: ApiRequest) -> bool:
    return any(
        request.group in rule["apiGroups"]
        and {request.resource, "*"} & set(rule["resources"])
        and {request.verb, "*"} & set(rule["verbs"])
        for rule in role["rules"]
    )
