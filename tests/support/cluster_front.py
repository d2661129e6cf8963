"""The little of a Kubernetes API server that it takes to ask for one Deployment."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.local_servers import answer_json

KIND = {"name": "deployments", "namespaced": True, "kind": "Deployment", "verbs": ["get", "list"]}
DISCOVERY: dict[str, Any] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {
                "name": "apps",
                "versions": [{"groupVersion": "apps/v1", "version": "v1"}],
                "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"},
            }
        ],
    },
    "/apis/apps/v1": {"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [KIND]},
}
SERVICE = "/apis/apps/v1/namespaces/time-to-dispatch/deployments/serve-model"


class ClusterFront(ThreadingHTTPServer):
    """Knows of one Deployment at most, and lets nobody do anything but look at it."""

    def __init__(self) -> None:
        """Listen on a free port; there is no Deployment yet."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.commit: str | None = None
        self.updated = "2026-11-20T23:30:00"

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def deployment(self) -> dict[str, Any]:
        """The Deployment, with what Bodywork writes into it."""
        template = {
            "labels": {"stage": "serve-model", "git-commit-hash": self.commit},
            "annotations": {"last-updated": self.updated},
        }
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "serve-model", "namespace": "time-to-dispatch"},
            "spec": {"template": {"metadata": template}},
        }


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, ClusterFront)
        path = self.path.split("?")[0]
        if path in DISCOVERY:
            answer_json(self, 200, DISCOVERY[path])
        elif path != SERVICE:
            answer_json(self, 403, _status(403, "Forbidden"))
        elif self.server.commit is None:
            answer_json(self, 404, _status(404, "NotFound"))
        else:
            answer_json(self, 200, self.server.deployment)

    def do_PUT(self) -> None:
        """Take a new state, for stand-ins of Bodywork."""
        assert isinstance(self.server, ClusterFront)
        state = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.commit, self.server.updated = state
        answer_json(self, 200, {})

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def _status(code: int, reason: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "not for you",
        "reason": reason,
        "code": code,
    }


def write_kubeconfig(path: Path, url: str) -> None:
    """Write a kubeconfig for a cluster that needs no credentials."""
    context = {"cluster": "test", "user": "test"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {"token": "none"}}],
        "contexts": [{"name": "test", "context": context}],
        "current-context": "test",
    }
    path.write_text(json.dumps(content))
