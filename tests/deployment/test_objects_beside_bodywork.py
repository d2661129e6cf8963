"""The objects of `deploy/` fit what Bodywork really creates, on a stand-in for a cluster.

The stand-in has our objects from the start. The real Bodywork configures it and deploys the project
to it, with the `bodywork.yaml` of this repository; then the weekly job's own command does so again.
"""

import os
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deploy.campaign.git_repositories import IDENTITY, commit_working_tree, git
from deploy.deploy_pipeline import git_settings, image_of_version
from tests.support.deploy_objects import (
    MONITORING,
    Object,
    copy_of_deploy,
    render,
    selects,
    settings_of,
    the,
    tracked,
)
from tests.support.helpers import ROOT, Webhook
from tests.support.local_servers import serving
from tests.support.recording_cluster import ApiRequest, RecordingCluster, write_kubeconfig

pytestmark = [pytest.mark.bodywork, pytest.mark.timeout(900)]

NAMESPACE = "time-to-dispatch"
CONTROLLERS = "bodywork-deployment-jobs"
"""The namespace of Bodywork's own jobs."""
SECRETS = {
    "store": ["TTD_STORE"],
    "alerts": ["TTD_ALERT_WEBHOOK"],
    "api-key": ["TTD_API_KEY"],
    "git": ["GIT_USERNAME", "GIT_TOKEN"],
}
"""The entries of the secrets that whoever deploys makes with Bodywork beforehand."""
Done = subprocess.CompletedProcess[str]


class Bodywork:
    """Bodywork's command line, as the weekly job finds it on PATH."""

    def __init__(self, folder: Path) -> None:
        """Set it up, with a repository that holds the working tree as it is."""
        self.folder = folder
        commit_working_tree(folder / "origin")
        self.python = Path(os.environ["BODYWORK"]).with_name("python")
        command = folder / "bin" / "bodywork"
        command.parent.mkdir()
        offline = ROOT / "tests" / "support" / "bodywork_offline.py"
        command.write_text(f'#!/bin/sh\nexec {self.python} {offline} "$@"\n')
        command.chmod(0o755)

    def run(self, cluster: RecordingCluster, *command: str, **variables: str) -> Done:
        """Run a command with these variables, on a cluster."""
        write_kubeconfig(self.folder / "kubeconfig", cluster.url)
        settings = {
            "PATH": f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}",
            "KUBECONFIG": f"{self.folder}/kubeconfig",
            "BODYWORK": f"{self.folder}/bin/bodywork",
        }
        return subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | settings | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def deploy(self, cluster: RecordingCluster) -> Done:
        """Do what `make deploy` does with the repository's copy here."""
        command = [sys.executable, "-m", "deploy.deploy_pipeline", f"file://{self.folder}/origin"]
        return self.run(cluster, *command, PYTHONPATH=str(ROOT))

    def deploy_weekly(
        self, cluster: RecordingCluster, ours: list[Object], webhook: str = "none"
    ) -> Done:
        """Run the command of the weekly job, with Git's settings in the image."""
        (container,) = weekly_pod(ours)["containers"]
        names = {variable["name"] for variable in container["env"]}
        given = {"PYTHONPATH": str(ROOT), "TTD_ALERT_WEBHOOK": webhook}
        given |= {"GIT_USERNAME": "none", "GIT_TOKEN": "none"}
        assert given.keys() == names
        _, *arguments = container["command"]
        variables = given | git_settings()
        return self.run(cluster, str(self.python), *arguments, **variables)


class Deployed(NamedTuple):
    """A stand-in after a deployment, a merge that was not deployed, and the weekly job.

    Attributes:
        ours: the objects of production with monitoring.
        cluster: what Bodywork asked of it.
        requests: those of both deployments.
        weekly: those of the weekly job.
        output: what the weekly job printed.
        commit: that was deployed.
    """

    ours: list[Object]
    cluster: RecordingCluster
    requests: list[ApiRequest]
    weekly: list[ApiRequest]
    output: str
    commit: str

    def created(self, resource: str, namespace: str | None = NAMESPACE) -> Any:
        """Return the object of a resource that Bodywork has created, the last if there are more."""
        *_, found = self.cluster.created(resource, namespace)
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
        data = next(copy["data"] for copy in copies if copy["metadata"]["name"] == name)
        return {entry: b64decode(text).decode() for entry, text in data.items()}


def secret(name: str, entries: Sequence[str]) -> Object:
    """Return a secret as `bodywork create secret … --group time-to-dispatch` makes it."""
    labels = {"group": NAMESPACE}
    metadata = {"name": f"{NAMESPACE}-{name}", "namespace": CONTROLLERS, "labels": labels}
    return {"kind": "Secret", "metadata": metadata, "stringData": dict.fromkeys(entries, "none")}


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
        for item in [*ours, *(secret(name, entries) for name, entries in SECRETS.items())]:
            cluster.add(item)
        before = len(cluster.requests)
        deployment = bodywork.deploy(cluster)
        assert deployment.returncode == 0, deployment.stdout
        first = len(cluster.requests)
        commit = git(bodywork.folder / "origin", "rev-parse", "HEAD").strip()
        (bodywork.folder / "origin" / "bodywork.yaml").write_text("was never deployed\n")
        git(bodywork.folder / "origin", *IDENTITY, "commit", "--quiet", "--all", "--message=Broken")
        weekly = bodywork.deploy_weekly(cluster, ours)
        assert weekly.returncode == 0, weekly.stdout
        requests = cluster.requests
        yield Deployed(ours, cluster, requests[before:], requests[first:], weekly.stdout, commit)


@pytest.mark.parametrize("resource", ["deployments", "jobs"])
def test_the_weekly_job_deploys_the_commit_and_the_image_that_are_deployed(
    resource: str, deployed: Deployed
) -> None:
    bodies = [
        one.body
        for one in deployed.weekly
        if one.resource == resource and one.body and "spec" in one.body
    ]

    assert bodies
    for body in bodies:
        (container,) = body["spec"]["template"]["spec"]["containers"]
        variables = {one["name"]: one.get("value") for one in container["env"]}
        assert container["image"] == image_of_version()
        assert variables["GIT_COMMIT_HASH"] == deployed.commit


def test_bodywork_takes_the_namespace_and_the_account_as_they_are(deployed: Deployed) -> None:
    account = the(deployed.ours, "ServiceAccount")["metadata"]

    created = {request.resource for request in deployed.requests if request.verb == "create"}
    assert created == {"secrets", "jobs", "deployments", "services"}
    assert account["namespace"] == NAMESPACE
    for pod in (deployed.created("jobs")["spec"]["template"], deployed.pod_template):
        assert pod["spec"]["serviceAccountName"] == account["name"]


def test_bodywork_deletes_nothing_but_its_jobs(deployed: Deployed) -> None:
    """It would delete an Ingress that it takes for its own, since bodywork.yaml asks for none."""
    assert {one.resource for one in deployed.requests if one.verb == "delete"} == {"jobs"}


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


def refuse_all(cluster: RecordingCluster) -> None:
    """Let nobody in but for the Deployment."""
    cluster.refuses = True


def remove_the_service(cluster: RecordingCluster) -> None:
    """Take the Deployment away."""
    del cluster.objects["deployments", NAMESPACE, "serve-model"]


def name_an_unknown_commit(cluster: RecordingCluster) -> None:
    """Let the Deployment say a commit that the repository does not have."""
    template = cluster.objects["deployments", NAMESPACE, "serve-model"]["spec"]["template"]
    template["metadata"]["labels"]["git-commit-hash"] = "0" * 40


def lose_a_secret(cluster: RecordingCluster) -> None:
    """Take away the token for Git, and the copy of it."""
    for key in [key for key in cluster.objects if key[0] == "secrets" and "git" in str(key[2])]:
        del cluster.objects[key]


def train_elsewhere(cluster: RecordingCluster) -> None:
    """Let another deployment be at work."""
    metadata = {"name": "train-model", "namespace": NAMESPACE}
    cluster.add({"kind": "Job", "metadata": metadata})


@pytest.mark.parametrize(
    ("happen", "reason"),
    [
        (refuse_all, "Bodywork says: "),
        (remove_the_service, "The cluster does not tell what is deployed: 404 Not Found"),
        (name_an_unknown_commit, f"error: Commit {'0' * 40} was deployed, and cannot be had"),
        (lose_a_secret, "cannot find key=GIT_USERNAME in secret=git"),
        (train_elsewhere, 'jobs "train-model" already exists'),
    ],
)
def test_a_weekly_job_that_cannot_deploy_says_why_in_a_line_and_people_are_told(
    happen: Callable[[RecordingCluster], None],
    reason: str,
    deployed: Deployed,
    bodywork: Bodywork,
    webhook: Webhook,
) -> None:
    objects = deepcopy(deployed.cluster.objects)
    with serving(RecordingCluster()) as cluster:
        cluster.objects = objects
        happen(cluster)
        weekly = bodywork.deploy_weekly(cluster, deployed.ours, webhook.url)
    *_, told = weekly.stdout.splitlines()

    assert weekly.returncode == 1
    assert told.startswith("error: The weekly deployment failed. ")
    assert reason in told, weekly.stdout
    failure_stage = "Completed k8s job for stage = notify-failure" in weekly.stdout
    assert len(webhook.texts) == (0 if failure_stage else 1)
    assert all(reason in text for text in webhook.texts)


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
        "AWS_DEFAULT_REGION": settings_of("production")["awsRegion"],
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
