"""The objects of `deploy/` fit what Bodywork really creates, on a stand-in for a cluster.

The stand-in has our objects from the start. The real Bodywork configures it, and the weekly job's
own command deploys the project to it, with the `bodywork.yaml` of this repository.
"""

import re
from base64 import b64decode
from collections.abc import Iterator

import pytest

from tests.support.deploy_objects import MONITORING, Object, copy_of_deploy, render, selects, the
from tests.support.local_servers import serving
from tests.support.recording_cluster import ApiRequest, RecordingCluster
from tests.support.weekly_deployment import (
    CONTROLLERS,
    NAMESPACE,
    Bodywork,
    Deployed,
    secrets,
    weekly_pod,
)

pytestmark = pytest.mark.bodywork


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
    with serving(RecordingCluster()) as cluster:
        assert bodywork.run(cluster, "bodywork", "configure-cluster").returncode == 0
        for item in [*objects, *secrets()]:
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
    assert weekly_pod(deployed.ours)["serviceAccountName"] == account["metadata"]["name"]


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
    with serving(RecordingCluster()) as cluster:
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


def test_the_stages_get_a_region_and_no_keys_so_that_their_role_counts(deployed: Deployed) -> None:
    copies = deployed.cluster.created("secrets", NAMESPACE)

    (copy,) = [copy for copy in copies if copy["metadata"]["name"] == "aws-credentials"]
    given = {name: b64decode(text).decode() for name, text in copy["data"].items()}
    assert given == {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_S3": "",
    }


def test_traffic_finds_its_way_to_the_pods(deployed: Deployed) -> None:
    (rule,) = deployed.our("Ingress")["rules"]
    (path,) = rule["http"]["paths"]
    backend = path["backend"]["service"]
    (port,) = deployed.service["spec"]["ports"]
    (allowed,) = deployed.our("NetworkPolicy")["ingress"]

    assert backend["name"] == deployed.service["metadata"]["name"]
    assert backend["port"] == {"number": port["port"]}
    labels = deployed.pod_template["metadata"]["labels"]
    assert selects(deployed.service["spec"]["selector"], labels)
    assert allowed["ports"] == [{"protocol": "TCP", "port": port["targetPort"]}]


def test_prometheus_finds_the_pods_and_has_the_key(deployed: Deployed) -> None:
    monitor = deployed.our("ServiceMonitor")
    (endpoint,) = monitor["endpoints"]
    (port,) = deployed.service["spec"]["ports"]
    credentials = endpoint["authorization"]["credentials"]
    copies = deployed.cluster.created("secrets", NAMESPACE)
    (secret,) = [copy for copy in copies if copy["metadata"]["name"] == credentials["name"]]

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


def _allows(role: Object, request: ApiRequest) -> bool:
    return any(
        request.group in rule["apiGroups"]
        and {request.resource, "*"} & set(rule["resources"])
        and {request.verb, "*"} & set(rule["verbs"])
        for rule in role["rules"]
    )
