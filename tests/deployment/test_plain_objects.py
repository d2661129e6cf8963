"""What runs without Bodywork: the objects fit each other, and their commands do their work."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import Request

import pytest

from pipeline.orders.simulator import add_week
from pipeline.stores.base import open_store
from tests.support.deploy_objects import PLAIN, Object, selects, the, tracked
from tests.support.helpers import EXAMPLE, HTTP, PREDICTION, ROOT, running_service
from tests.support.sandbox import bubblewrap
from tests.support.service_clients import wait_until
from tests.support.surroundings import command, environment

OBJECTS = tracked("plain-production")
DEPLOYMENT = the(OBJECTS, "Deployment")["spec"]
SERVING = DEPLOYMENT["template"]["spec"]
TRAINING = the(OBJECTS, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
PODS = pytest.mark.parametrize("pod", [SERVING, TRAINING], ids=["serve", "train"])
KEY = "a-key-of-the-shop"


@PODS
def test_a_pod_is_as_the_profile_restricted_of_pod_security_demands(pod: Object) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    (container,) = pod["containers"]
    rules, own = pod["securityContext"], container["securityContext"]

    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC", "initContainers"}
    assert (rules["runAsNonRoot"], rules["runAsUser"] > 0) == (True, True)
    assert rules["seccompProfile"] == {"type": "RuntimeDefault"}
    assert all("hostPort" not in port for port in container.get("ports", []))
    assert [set(one) - {"name"} for one in pod.get("volumes", [])] in ([], [{"emptyDir"}])
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    labels = the(OBJECTS, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@PODS
def test_a_pod_has_its_own_account_no_token_and_a_limit_of_memory(pod: Object) -> None:
    account = the(OBJECTS, "ServiceAccount")
    (container,) = pod["containers"]

    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert pod["automountServiceAccountToken"] is account["automountServiceAccountToken"] is False
    assert container["resources"]["limits"].keys() == {"memory"}
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@pytest.mark.parametrize("overlay", PLAIN)
def test_all_that_is_selected_are_the_pods_of_the_service(overlay: str) -> None:
    objects = tracked(overlay)
    service, labels = the(objects, "Service")["spec"], DEPLOYMENT["template"]["metadata"]["labels"]
    (rule,) = the(objects, "Ingress")["spec"]["rules"]
    scaled = the(objects, "HorizontalPodAutoscaler")["spec"]
    (allowed,) = the(objects, "NetworkPolicy")["spec"]["ingress"]
    (port,) = service["ports"]

    for selector in (
        service["selector"],
        DEPLOYMENT["selector"]["matchLabels"],
        the(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        the(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ):
        assert selects(selector, labels)
    assert scaled["scaleTargetRef"]["name"] == the(objects, "Deployment")["metadata"]["name"]
    assert scaled["minReplicas"] == DEPLOYMENT["replicas"]
    assert rule["http"]["paths"][0]["backend"]["service"]["port"]["number"] == port["port"]
    assert allowed["ports"] == [{"protocol": "TCP", "port": port["targetPort"]}]
    assert SERVING["containers"][0]["ports"] == [{"containerPort": port["targetPort"]}]


def test_nobody_is_cut_off_when_a_pod_is_replaced() -> None:
    """10 s of drain, then up to 30 s for the requests that are being worked on."""
    assert SERVING["terminationGracePeriodSeconds"] >= 10 + 30 + 1
    assert DEPLOYMENT["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def variables_of(pod: Object, secrets: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the environment that Kubernetes gives a container; fail if a secret is missing."""
    (container,) = pod["containers"]
    optional = [one["secretRef"] for one in container["envFrom"]]
    assert all(one["optional"] for one in optional)
    found = {name: text for one in optional for name, text in secrets[one["name"]].items()}
    for one in container["env"]:
        reference = one.get("valueFrom", {}).get("secretKeyRef", {})
        found[one["name"]] = (
            secrets[reference["name"]][reference["key"]] if reference else one["value"]
        )
    return found


def line_of(pod: Object) -> list[str]:
    """Return the command of a container, where only its `emptyDir` can be written to."""
    (container,) = pod["containers"]
    (installed,) = container["command"]
    mounts = [one["mountPath"] for one in container.get("volumeMounts", [])]
    folders = [part for path in mounts for part in ("--tmpfs", path)]
    for path in (str(ROOT), sys.prefix):  # which may be below /tmp
        folders += ["--ro-bind", path, path]
    started = command(installed.removeprefix("ttd-"), *container["args"])
    user = ("--unshare-user", "--uid", "1000", "--die-with-parent")
    return bubblewrap(*folders, *user, "--", *started)


def answer(url: str, body: Mapping[str, Any]) -> Any:
    """Ask a service as a client with the key does."""
    headers = {"content-type": "application/json", "X-API-Key": KEY}
    with HTTP.open(Request(url + PREDICTION, json.dumps(body).encode(), headers)) as response:
        return json.load(response)


@pytest.mark.system
def test_the_weekly_training_and_the_service_run_as_the_manifests_say(s3_store_url: str) -> None:
    """A new week is served without a new pod, and no process writes outside of its `emptyDir`."""
    aws = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    secrets = {
        "store": {"TTD_STORE": s3_store_url},
        "api-key": {"TTD_API_KEY": KEY},
        "alerts": {"TTD_ALERT_WEBHOOK": "none"},
        "aws-credentials": aws,
    }
    store = open_store(s3_store_url)

    def train(days_ago: int) -> None:
        add_week(store, datetime.now(UTC) - timedelta(days_ago))
        done = subprocess.run(
            line_of(TRAINING),
            env=environment(**variables_of(TRAINING, secrets)),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    train(days_ago=7)
    variables = variables_of(SERVING, secrets)
    assert float(variables["TTD_RELOAD_SECONDS"]) <= 60
    variables |= {"TTD_RELOAD_SECONDS": "0.2"}
    with running_service(command=line_of(SERVING), environment=environment(**variables)) as url:
        (container,) = SERVING["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            with HTTP.open(url + container[probe]["httpGet"]["path"]) as response:
                assert response.status == 200
        first = answer(url, EXAMPLE)["model_version"]
        train(days_ago=0)
        wait_until(lambda: answer(url, EXAMPLE)["model_version"] != first, "the new week is served")
