"""The objects of `deploy/` are valid, agree with each other, and differ in their settings only."""

import re
import shutil
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import all_versions

from tests.support.deploy_objects import (
    BODYWORK,
    DEPLOY,
    MONITORING,
    OVERLAYS,
    PLAIN,
    Object,
    copy_of_deploy,
    render,
    settings_of,
    the,
    tracked,
)
from tests.support.helpers import ROOT

NEWEST_VERSIONS = list(dict.fromkeys(all_versions()))[-3:]  # each is named twice
OPERATOR_KINDS = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, whose schemas no package for offline use has."""
DAY_SECONDS = 24 * 3600


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Object]]:
    """Return the objects of each overlay, with the component for monitoring."""
    copy = copy_of_deploy(tmp_path_factory.mktemp("monitored"), MONITORING)
    return {overlay: render(copy / "overlays" / overlay) for overlay in OVERLAYS}


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    """Return the name of each overlay in turn."""
    return str(request.param)


def specification(kind: str, overlay: str = "production") -> Object:
    """Return what an overlay says of the only object of a kind."""
    spec: Object = the(tracked(overlay), kind)["spec"]
    return spec


@pytest.mark.parametrize("version", NEWEST_VERSIONS)
def test_every_object_has_the_schema_of_its_kind(
    version: str, overlay: str, monitored: dict[str, list[Object]]
) -> None:
    """The two kinds of the operator are checked elsewhere: the rules by promtool, in
    test_alert_rules.py, and the monitor by hand, in test_objects_beside_bodywork.py."""
    for item in monitored[overlay]:
        if item["kind"] not in OPERATOR_KINDS:
            used = kubernetes_validate.validate(item, version, strict=True)
            assert used == version.removesuffix(".0")


def test_monitoring_adds_three_objects_and_changes_none(
    overlay: str, monitored: dict[str, list[Object]]
) -> None:
    without = tracked(overlay)

    added = [item for item in monitored[overlay] if item not in without]
    assert [item for item in monitored[overlay] if item not in added] == without
    assert {item["kind"] for item in added} == {*OPERATOR_KINDS, "ConfigMap"}


def test_every_setting_goes_into_an_object(overlay: str, tmp_path: Path) -> None:
    copy = copy_of_deploy(tmp_path, MONITORING)
    path = copy / "overlays" / overlay / "settings.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["data"] = {name: f"value-of-{name}" for name in settings["data"]}
    path.write_text(yaml.safe_dump(settings))

    rendered = yaml.safe_dump(render(copy / "overlays" / overlay))

    assert [value for value in settings["data"].values() if value not in rendered] == []
    assert "set-by-the-overlay" not in rendered
    assert "local-config" not in rendered


@pytest.mark.parametrize("way", [BODYWORK, PLAIN])
def test_staging_and_production_differ_in_their_settings_only(
    way: tuple[str, str], tmp_path: Path
) -> None:
    copy = copy_of_deploy(tmp_path, MONITORING)
    staging, production = (copy / "overlays" / overlay for overlay in way)

    shutil.copy(staging / "settings.yaml", production / "settings.yaml")

    assert render(staging) == render(production)


def test_every_folder_and_setting_that_the_page_names_is_there() -> None:
    page = (DEPLOY / "README.md").read_text()

    named = set(re.findall(r"(?<!/)deploy/[\w/.-]+\w", page))
    assert [path for path in named if not (ROOT / path).exists()] == []
    settings = settings_of("staging") | settings_of("plain-staging")
    assert [name for name in settings if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("overlay", "others"),
    [("production", {"bodywork-deployment-jobs"}), ("plain-production", set())],
)
def test_nothing_that_is_applied_is_outside_of_its_namespaces(
    overlay: str, others: set[str]
) -> None:
    homes = {item["metadata"].get("namespace", item["kind"]) for item in tracked(overlay)}

    assert homes == {"Namespace", "time-to-dispatch"} | others


@pytest.mark.parametrize("overlay", ["production", "plain-production"])
def test_the_weekly_job_follows_the_delivery_and_does_not_pile_up(overlay: str) -> None:
    """Datasets arrive on Fridays at 23:00, and their names are read as UTC."""
    spec = specification("CronJob", overlay)
    job = spec["jobTemplate"]["spec"]
    minute, hour, *days, weekday = spec["schedule"].split()

    assert (spec["timeZone"], weekday) == (settings_of(overlay)["timeZone"], "5")
    assert days == ["*", "*"]
    assert 15 <= int(hour) * 60 + int(minute) - 23 * 60 < 60
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] + job["activeDeadlineSeconds"] < DAY_SECONDS
    # The log of the last one is still there when the next one fails.
    assert job["ttlSecondsAfterFinished"] > 14 * DAY_SECONDS
    assert spec["successfulJobsHistoryLimit"] > 1


@pytest.mark.parametrize("overlay", BODYWORK)
def test_the_weekly_deployment_has_the_image_of_the_stages_and_no_privileges(overlay: str) -> None:
    """As the profile "restricted" of Kubernetes' Pod Security Standards demands."""
    pod = specification("CronJob", overlay)["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    bodywork = yaml.safe_load((ROOT / "bodywork.yaml").read_text())

    assert container["image"] == bodywork["pipeline"]["docker_image"], (
        "settings.yaml and bodywork.yaml name two images: name the one that you build in both"
    )
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "volumes" not in pod


def test_the_certificate_is_for_the_host_that_is_served(overlay: str) -> None:
    ingress = specification("Ingress", overlay)
    (rule,), (tls,) = ingress["rules"], ingress["tls"]
    (path,) = rule["http"]["paths"]

    assert tls["hosts"] == [rule["host"]]
    assert re.fullmatch(r"[a-z0-9.-]+", rule["host"])
    assert (path["path"], path["pathType"]) == ("/", "Prefix")


def test_somebody_always_serves_and_after_a_deployment_all_pods_are_back_in_one_step() -> None:
    """Bodywork's deployments set the replicas back to what bodywork.yaml says."""
    scaler = specification("HorizontalPodAutoscaler")
    up, down = scaler["behavior"]["scaleUp"], scaler["behavior"]["scaleDown"]
    (policy,) = up["policies"]

    assert 0 < specification("PodDisruptionBudget")["maxUnavailable"] < scaler["minReplicas"] == 2
    assert scaler["maxReplicas"] == 10
    assert up["stabilizationWindowSeconds"] == 0
    assert policy["type"] == "Pods" and policy["periodSeconds"] <= 15
    assert scaler["minReplicas"] + policy["value"] >= scaler["maxReplicas"]
    assert down["stabilizationWindowSeconds"] >= 300


def test_the_service_reaches_dns_and_https_and_not_the_node_s_metadata(overlay: str) -> None:
    policy, settings = specification("NetworkPolicy", overlay), settings_of(overlay)
    ports = [{(one["protocol"], one["port"]) for one in rule["ports"]} for rule in policy["egress"]]
    blocks = {to["ipBlock"]["cidr"]: to["ipBlock"]["except"] for to in policy["egress"][1]["to"]}
    (allowed,) = policy["ingress"]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert ports == [{("UDP", 53), ("TCP", 53)}, {("TCP", 443)}, {("TCP", 80)}]
    agents = [to["ipBlock"]["cidr"] for to in policy["egress"][2]["to"]]
    assert agents == ["169.254.170.23/32", "fd00:ec2::23/128"]
    assert blocks == {"0.0.0.0/0": ["169.254.169.254/32"], "::/0": ["fd00:ec2::254/128"]}
    assert allowed["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": settings[name]}}}
        for name in ("ingressNamespace", "prometheusNamespace")
    ]
