"""The objects of `deploy/` are valid, and agree with each other."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from kubernetes_validate.utils import all_versions

from tests.support.deploy_objects import (
    MONITORING,
    OVERLAYS,
    Object,
    copy_of_deploy,
    render,
    settings_of,
    the,
    tracked,
)

NEWEST_VERSIONS = list(dict.fromkeys(all_versions()))[-3:]  # each is named twice
OPERATOR_KINDS = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, whose schemas no package for offline use has."""


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of `deploy/` whose overlays have the component for monitoring."""
    return copy_of_deploy(tmp_path_factory.mktemp("monitored"), MONITORING)


@pytest.fixture(scope="module")
def all_objects(monitored: Path) -> dict[str, list[Object]]:
    """Return the objects of each overlay, with monitoring."""
    return {overlay: render(monitored / "overlays" / overlay) for overlay in OVERLAYS}


@pytest.fixture(scope="module")
def production() -> list[Object]:
    """Return the objects for production, without monitoring."""
    return tracked("production")


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("version", NEWEST_VERSIONS)
def test_every_object_has_the_schema_of_its_kind(
    version: str, overlay: str, all_objects: dict[str, list[Object]]
) -> None:
    """The two kinds of the operator are checked elsewhere: the rules by promtool, in
    test_alert_rules.py, and the monitor by hand, below and in test_objects_beside_bodywork.py."""
    checked = [item for item in all_objects[overlay] if item["kind"] not in OPERATOR_KINDS]

    versions = {kubernetes_validate.validate(item, version, strict=True) for item in checked}

    assert versions == {version.removesuffix(".0")}


@pytest.mark.parametrize("version", NEWEST_VERSIONS)
def test_the_schemas_would_find_a_misspelt_field(version: str, production: list[Object]) -> None:
    budget = the(production, "PodDisruptionBudget")
    misspelt = budget | {"spec": budget["spec"] | {"maxUnavailible": 1}}

    with pytest.raises(kubernetes_validate.ValidationError, match="maxUnavailible"):
        kubernetes_validate.validate(misspelt, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_monitoring_adds_two_objects_and_changes_none(
    overlay: str, all_objects: dict[str, list[Object]]
) -> None:
    with_monitoring = all_objects[overlay]

    plain = [item for item in with_monitoring if item["kind"] not in OPERATOR_KINDS]
    assert plain == tracked(overlay)
    assert {item["kind"] for item in with_monitoring if item not in plain} == OPERATOR_KINDS


def test_nothing_that_is_applied_is_outside_of_the_two_namespaces(production: list[Object]) -> None:
    homeless = [item["kind"] for item in production if "namespace" not in item["metadata"]]
    namespaces = {item["metadata"].get("namespace") for item in production}

    assert homeless == ["Namespace"]
    assert namespaces - {None} == {"time-to-dispatch", "bodywork-deployment-jobs"}


def test_the_weekly_deployment_follows_the_delivery(production: list[Object]) -> None:
    """Datasets arrive on Fridays at 23:00, and their names are read as UTC."""
    job = the(production, "CronJob")["spec"]
    minute, hour, *days, weekday = job["schedule"].split()

    assert job["timeZone"] == "Etc/UTC"
    assert (weekday, days) == ("5", ["*", "*"])
    assert 15 <= int(hour) * 60 + int(minute) - 23 * 60 < 60


def test_weekly_deployments_do_not_pile_up(production: list[Object]) -> None:
    job = the(production, "CronJob")["spec"]
    week = 7 * 24 * 3600

    assert job["concurrencyPolicy"] == "Forbid"
    assert job["startingDeadlineSeconds"] + job["jobTemplate"]["spec"]["activeDeadlineSeconds"] < (
        24 * 3600
    )
    # The log of the last one is still there when the next one fails.
    assert job["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] > 2 * week
    assert job["successfulJobsHistoryLimit"] > 1


def test_the_weekly_deployment_has_no_privileges(production: list[Object]) -> None:
    """As the profile "restricted" of Kubernetes' Pod Security Standards demands."""
    pod = the(production, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "volumes" not in pod


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_certificate_is_for_the_host_that_is_served(overlay: str) -> None:
    ingress = the(tracked(overlay), "Ingress")["spec"]
    (rule,), (tls,) = ingress["rules"], ingress["tls"]
    (path,) = rule["http"]["paths"]

    assert tls["hosts"] == [rule["host"]]
    assert re.fullmatch(r"[a-z0-9.-]+", rule["host"])
    assert (path["path"], path["pathType"]) == ("/", "Prefix")


def test_a_node_can_be_drained_and_somebody_always_serves(production: list[Object]) -> None:
    budget = the(production, "PodDisruptionBudget")["spec"]
    scaler = the(production, "HorizontalPodAutoscaler")["spec"]

    assert 0 < budget["maxUnavailable"] < scaler["minReplicas"] == 2
    assert scaler["maxReplicas"] == 10


def test_after_a_deployment_all_pods_are_back_in_one_step(production: list[Object]) -> None:
    """Bodywork's deployments set the replicas back to what bodywork.yaml says."""
    scaler = the(production, "HorizontalPodAutoscaler")["spec"]
    up, down = scaler["behavior"]["scaleUp"], scaler["behavior"]["scaleDown"]
    (policy,) = up["policies"]

    assert up["stabilizationWindowSeconds"] == 0
    assert policy["type"] == "Pods" and policy["periodSeconds"] <= 15
    assert scaler["minReplicas"] + policy["value"] >= scaler["maxReplicas"]
    assert down["stabilizationWindowSeconds"] >= 300


def test_the_service_reaches_dns_and_https_and_not_the_node_s_metadata(
    production: list[Object],
) -> None:
    policy = the(production, "NetworkPolicy")["spec"]
    dns, https = policy["egress"]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert _ports(dns) == {("UDP", 53), ("TCP", 53)}
    assert _ports(https) == {("TCP", 443)}
    blocks = {to["ipBlock"]["cidr"]: to["ipBlock"]["except"] for to in https["to"]}
    assert blocks == {"0.0.0.0/0": ["169.254.169.254/32"], "::/0": ["fd00:ec2::254/128"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_ingress_controller_and_prometheus_reach_the_service(overlay: str) -> None:
    settings = settings_of(overlay)
    (allowed,) = the(tracked(overlay), "NetworkPolicy")["spec"]["ingress"]

    namespaces = [peer["namespaceSelector"]["matchLabels"] for peer in allowed["from"]]
    assert namespaces == [
        {"kubernetes.io/metadata.name": settings["ingressNamespace"]},
        {"kubernetes.io/metadata.name": settings["prometheusNamespace"]},
    ]
    assert all(peer.keys() == {"namespaceSelector"} for peer in allowed["from"])


def _ports(rule: dict[str, Any]) -> set[tuple[str, int]]:
    return {(port["protocol"], port["port"]) for port in rule["ports"]}
