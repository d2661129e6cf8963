"""What the campaign asks of the cluster, through kubectl."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

KubernetesObject = Mapping[str, Any]


class ClusterError(Exception):
    """The cluster is not there, or refuses something."""


def kubectl(*arguments: str, stdin: str | None = None, seconds: float = 180) -> str:
    """Run kubectl, and return what it prints.

    Raises:
        ClusterError: it fails, takes longer, or is not on PATH.
    """
    try:
        done = subprocess.run(
            ["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=seconds
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"`kubectl {' '.join(arguments)}`: {error}") from error
    if done.returncode != 0:
        raise ClusterError(f"`kubectl {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def check_cluster() -> str:
    """Return the version of the cluster of the current kubeconfig.

    Raises:
        ClusterError: there is none that answers.
    """
    try:
        answer = json.loads(kubectl("version", "--output=json", "--request-timeout=10s"))
        return str(answer["serverVersion"]["gitVersion"])
    except (ClusterError, KeyError) as error:
        raise ClusterError(
            f"There is no cluster to test on; KUBECONFIG should name one that answers. {error}"
        ) from error


def apply(objects: Iterable[KubernetesObject]) -> None:
    """Make objects, or bring them into a state."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    kubectl("apply", "--filename=-", stdin=text)


def find(kind: str, name: str, namespace: str = "default") -> Any | None:
    """Return an object, or None if there is none."""
    text = kubectl(
        "get", kind, name, f"--namespace={namespace}", "--ignore-not-found", "--output=json"
    )
    return json.loads(text) if text else None


def pods(namespace: str, labels: str) -> list[Any]:
    """Return the pods with some labels that are not on their way out."""
    text = kubectl(
        "get", "pods", f"--namespace={namespace}", f"--selector={labels}", "--output=json"
    )
    return [pod for pod in json.loads(text)["items"] if "deletionTimestamp" not in pod["metadata"]]


def delete(kind: str, *names: str, namespace: str = "default") -> None:
    """Delete objects, whether they are there or not, and return when they are gone."""
    kubectl(
        "delete",
        kind,
        *names,
        f"--namespace={namespace}",
        "--ignore-not-found",
        "--cascade=foreground",
        "--timeout=170s",
    )
