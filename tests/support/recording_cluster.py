"""A stand-in for the Kubernetes API: everything succeeds on it, and it keeps what it was asked.

It knows nothing of what it stores: what is created is listed from then on, jobs are done and
deployments available at once. So the real Bodywork can deploy to it, and its requests can be read.
"""

import json
import re
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.support.deploy_objects import Object
from tests.support.local_servers import answer_json

PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/v\w+/(?:namespaces/(?P<namespace>[^/]+)/)?"
    r"(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?P<sub>/[^/]+)?"
)
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


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
        refuses: whether every request is answered with 403.
    """

    def __init__(self) -> None:
        """Listen on a free port, without any object."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[ApiRequest] = []
        self.refuses = False
        self._objects: dict[tuple[str, str | None, str], Object] = {}

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
        self.store(resource, kept["metadata"].get("namespace"), kept)

    def created(self, resource: str, namespace: str | None = None) -> list[Object]:
        """Return the bodies of the requests that created something in a namespace."""
        return [
            request.body
            for request in self.requests
            if (request.verb, request.resource, request.namespace)
            == ("create", resource, namespace)
            and request.body is not None
        ]

    def store(self, resource: str, namespace: str | None, body: Object) -> None:
        """Keep an object, and the pod and the status that controllers would give it."""
        name = body["metadata"]["name"]
        self._objects[resource, namespace, name] = body
        if resource in ("jobs", "deployments"):
            body["status"] = {"succeeded": 1, "availableReplicas": 1}
            ready = {"type": "Ready", "status": "True"}
            pod = {"metadata": {"name": f"{name}-x7k2p"}, "status": {"conditions": [ready]}}
            self._objects["pods", namespace, pod["metadata"]["name"]] = pod  # type: ignore[index]

    def listed(self, resource: str, namespace: str | None, query: dict[str, list[str]]) -> Object:
        """Return the list of the objects that a query selects."""
        wanted = dict(
            part.split("=") for part in query.get("labelSelector", [""])[0].split(",") if part
        )
        name = query.get("fieldSelector", [""])[0].removeprefix("metadata.name=")
        return {
            "items": [
                kept
                for (kind, home, own_name), kept in self._objects.items()
                if (kind, home) == (resource, namespace)
                and wanted.items() <= kept["metadata"].get("labels", {}).items()
                and name in ("", own_name)
            ]
        }

    def forget(self, resource: str, namespace: str | None, name: str) -> None:
        """Delete an object."""
        del self._objects[resource, namespace, name]


class _Handler(BaseHTTPRequestHandler):
    server: RecordingCluster

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _answer(self) -> None:
        url = urlsplit(self.path)
        request = self._request(url.path)
        self.server.requests.append(request)
        if self.server.refuses:
            answer_json(self, 403, {"message": "forbidden"})
        elif request.verb == "list":
            query = parse_qs(url.query)
            answer_json(self, 200, self.server.listed(request.resource, request.namespace, query))
        else:
            self._change(request)
            answer_json(self, 200, request.body or {})

    def _request(self, path: str) -> ApiRequest:
        parts = PATH.fullmatch(path)
        assert parts is not None, path
        name = parts["name"]
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        return ApiRequest(
            verb=VERBS.get(self.command, "list" if name is None else "get"),
            group=parts["group"] or "",
            resource=parts["resource"] + (parts["sub"] or ""),
            namespace=parts["namespace"],
            name=name,
            body=json.loads(body) if body else None,
        )

    def _change(self, request: ApiRequest) -> None:
        if request.verb == "delete" and request.name is not None:
            self.server.forget(request.resource, request.namespace, request.name)
        elif request.verb in ("create", "update", "patch") and request.body is not None:
            self.server.store(request.resource, request.namespace, request.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
