"""A stand-in for the Kubernetes API: everything succeeds on it, and it keeps what it was asked.

It knows nothing of what it stores: what is created is listed from then on, jobs are done and
deployments available at once. So kubectl and the real Bodywork can work on it.
"""

import json
import re
from base64 import b64encode
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from tests.support.deploy_objects import Object
from tests.support.helpers import QuietHandler
from tests.support.local_servers import answer_json

PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/v\w+/(?:namespaces/(?P<namespace>[^/]+)/)?"
    r"(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?P<sub>/[^/]+)?"
)
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
KIND = {"name": "deployments", "namespaced": True, "kind": "Deployment", "verbs": ["get", "list"]}
APPS = {"groupVersion": "apps/v1", "version": "v1"}
DISCOVERY: dict[str, Any] = {
    "/version": {"major": "1", "minor": "32", "gitVersion": "v1.32.0"},
    "/api": {"kind": "APIVersions", "versions": []},
    "/apis": {"kind": "APIGroupList", "groups": [{"name": "apps", "versions": [APPS]}]},
    "/apis/apps/v1": {"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [KIND]},
}
"""What kubectl asks for first, to find Deployments."""


class ApiRequest(NamedTuple):
    """A request to Kubernetes, in the words of its access control.

    Attributes:
        verb: get, list, create, update, patch or delete.
        group: of the API; empty for the core.
        resource: in the plural, with a subresource after a slash.
        namespace: where, or None.
        name: of the object, or None.
        body: what was sent, or None.
    """

    verb: str
    group: str
    resource: str
    namespace: str | None
    name: str | None
    body: Object | None


class RecordingCluster(ThreadingHTTPServer):
    """The stand-in.

    Attributes:
        requests: what was asked, in order.
        refuses: whether all requests but those for deployments are answered with 403.
        objects: by resource, namespace and name.
    """

    def __init__(self) -> None:
        """Listen on a free port, without any object."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[ApiRequest] = []
        self.refuses = False
        self.objects: dict[tuple[str, str | None, str | None], Object] = {}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, kept: Object) -> None:
        """Put an object into the stand-in, as kubectl would."""
        texts = kept.get("stringData", {}).items()
        if texts:
            data = {name: b64encode(text.encode()).decode() for name, text in texts}
            kept = kept | {"data": data}
        resource = kept["kind"].lower() + ("es" if kept["kind"].endswith("s") else "s")
        self._store(resource, kept["metadata"].get("namespace"), kept)

    def created(self, resource: str, namespace: str | None = None) -> list[Any]:
        """Return the bodies of the requests that created something in a namespace."""
        wanted = ("create", resource, namespace)
        return [
            one.body for one in self.requests if (one.verb, one.resource, one.namespace) == wanted
        ]

    def answer(self, request: ApiRequest, query: dict[str, str]) -> tuple[int, Any]:
        """Do what is asked, and return status and content of the answer."""
        key = (request.resource, request.namespace, request.name)
        if self.refuses and request.resource != "deployments":
            return 403, {"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden"}
        if request.verb == "list":
            return 200, {"items": self._listed(key[:2], query)}
        if request.verb == "get" and request.resource == "deployments" and key not in self.objects:
            return 404, {"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound"}
        if request.verb == "get":
            return 200, self.objects.get(key, {})
        if request.verb == "delete":
            del self.objects[key]
        elif request.verb == "create" and (taken := self._taken_name(request)):
            message = f'{request.resource} "{taken}" already exists'
            return 409, {
                "kind": "Status",
                "code": 409,
                "reason": "AlreadyExists",
                "message": message,
            }
        elif request.body is not None:
            self._store(request.resource, request.namespace, request.body)
        return 200, request.body or {}

    def _taken_name(self, request: ApiRequest) -> str | None:
        """Return the name of what is to be created, if there is an object of that name."""
        name = (request.body or {}).get("metadata", {}).get("name")
        return name if (request.resource, request.namespace, name) in self.objects else None

    def _store(self, resource: str, namespace: str | None, body: Object) -> None:
        """Keep an object, and the pod and the status that controllers would give it."""
        name = body["metadata"]["name"]
        self.objects[resource, namespace, name] = body
        if resource == "deployments":
            body |= {"apiVersion": "apps/v1", "kind": "Deployment"}
        if resource in ("jobs", "deployments"):
            body["status"] = {"succeeded": 1, "availableReplicas": 1}
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            pod = {"metadata": {"name": f"{name}-x7k2p"}, "status": ready}
            self.objects["pods", namespace, f"{name}-x7k2p"] = pod

    def _listed(self, home: tuple[str, str | None], query: dict[str, str]) -> list[Object]:
        """Return the objects that a query selects."""
        labels = dict(part.split("=") for part in query.get("labelSelector", "").split(",") if part)
        name = query.get("fieldSelector", "").removeprefix("metadata.name=")
        return [
            kept
            for (*place, own_name), kept in self.objects.items()
            if tuple(place) == home
            and labels.items() <= kept["metadata"].get("labels", {}).items()
            and name in ("", own_name)
        ]


class _Handler(QuietHandler):
    server: RecordingCluster

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if self.command == "GET" and url.path in DISCOVERY:
            answer_json(self, 200, DISCOVERY[url.path])
            return
        request = self._request(url.path)
        self.server.requests.append(request)
        answer_json(self, *self.server.answer(request, dict(parse_qsl(url.query))))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _request(self, path: str) -> ApiRequest:
        parts = PATH.fullmatch(path)
        assert parts is not None, path
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        return ApiRequest(
            verb=VERBS.get(self.command, "get" if parts["name"] else "list"),
            group=parts["group"] or "",
            resource=parts["resource"] + (parts["sub"] or ""),
            namespace=parts["namespace"],
            name=parts["name"],
            body=json.loads(body) if body else None,
        )


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
