"""A pod of the same image beside the service: its client, and the webhook that gets the alerts.

The files that run in it need nothing but Python, and come by a ConfigMap.
"""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deploy.campaign.alert_receiver import PORT
from deploy.campaign.git_repositories import ROOT
from deploy.campaign.kubectl_commands import KubernetesObject, apply, find, kubectl
from pipeline.orders.simulator import HOURS_PER_ORDER

NAMESPACE = "time-to-dispatch-campaign"
POD = "tools"
FILES = (
    "deploy/smoke_test.py",
    "deploy/campaign/alert_receiver.py",
    "deploy/campaign/steady_load.py",
)
FOLDER = "/tools"
END_OF_LOAD = "/tmp/end-of-load"  # noqa: S108 - in a pod, where nobody else is
MAX_LOAD_SECONDS = 600.0


def tools_objects(image: str, api_key: str) -> list[KubernetesObject]:
    """Return the pod, with all that it needs.

    Args:
        image: with Python on its PATH.
        api_key: of the service.
    """
    inside = {"namespace": NAMESPACE}
    files = {(ROOT / name).name: (ROOT / name).read_text() for name in FILES}
    container = {
        "name": POD,
        "image": image,
        "imagePullPolicy": "Always",  # as Bodywork's pods do
        "command": ["python", "-u", f"{FOLDER}/alert_receiver.py"],
        "env": [{"name": "TTD_API_KEY", "value": api_key}],
        # Or else the load would wait for whatever else runs on a busy node.
        "resources": {"requests": {"cpu": "250m", "memory": "100M"}},
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "files", "mountPath": FOLDER}],
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "files", **inside},
            "data": files,
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": POD, "labels": {"app": POD}, **inside},
            "spec": {
                "containers": [container],
                "volumes": [{"name": "files", "configMap": {"name": "files"}}],
                "terminationGracePeriodSeconds": 0,
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "alerts", **inside},
            "spec": {"selector": {"app": POD}, "ports": [{"port": PORT}]},
        },
    ]


class ToolsPod:
    """The pod, once it runs."""

    def __init__(self, image: str, api_key: str) -> None:
        """Make it, and wait until it is ready."""
        apply(tools_objects(image, api_key))
        kubectl(
            "wait",
            f"--namespace={NAMESPACE}",
            "--for=condition=Ready",
            f"pod/{POD}",
            "--timeout=170s",
        )

    @property
    def webhook(self) -> str:
        """The URL that alerts are posted to; an address, since a name would need the DNS."""
        return f"http://{address_of('alerts', NAMESPACE)}:{PORT}/services/campaign"

    def alerts(self) -> list[str]:
        """Return the texts of all alerts so far."""
        lines = kubectl("logs", f"--namespace={NAMESPACE}", POD).splitlines()
        return [json.loads(line) for line in lines]

    def smoke(self, url: str, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run the smoke test inside the cluster."""
        command = exec_command("smoke_test.py", url, *options)
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    def versions_served(self, host: str, port: int) -> set[str]:
        """Return the versions of all models that answer."""
        with self.load(host, port, per_second=20) as result:
            time.sleep(2)
        assert result["failed"] == 0, result
        return set(result["answers"])

    @contextmanager
    def load(self, host: str, port: int, per_second: float) -> Iterator[dict[str, Any]]:
        """Ask for predictions meanwhile; the dictionary is filled at the end.

        It has what `deploy.campaign.steady_load.summary` says.
        """
        kubectl("exec", f"--namespace={NAMESPACE}", POD, "--", "rm", "-f", END_OF_LOAD)
        options = ["--until", END_OF_LOAD, "--product-codes", ",".join(HOURS_PER_ORDER)]
        options += ["--per-second", str(per_second), "--max-seconds", str(MAX_LOAD_SECONDS)]
        command = exec_command("steady_load.py", host, str(port), *options)
        result: dict[str, Any] = {}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            printed: list[str] = []
            reader = threading.Thread(target=lambda: printed.extend(process.stdout or ()))
            reader.start()
            try:
                yield result
            finally:
                kubectl("exec", f"--namespace={NAMESPACE}", POD, "--", "touch", END_OF_LOAD)
                process.wait(timeout=120)
                reader.join()
        assert process.returncode == 0, f"The load ended with exit code {process.returncode}."
        result.update(json.loads("".join(printed)))


def exec_command(file: str, *arguments: str) -> list[str]:
    """Return the command that runs one of the files in the pod."""
    command = ["kubectl", "exec", f"--namespace={NAMESPACE}", POD, "--"]
    return [*command, "python", f"{FOLDER}/{file}", *arguments]


def address_of(service: str, namespace: str) -> str:
    """Return the address of a service inside the cluster."""
    found = find("service", service, namespace)
    assert found is not None, f"There is no service {service} in namespace {namespace}."
    return str(found["spec"]["clusterIP"])
