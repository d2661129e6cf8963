"""An HTTPS server that shows files and answers as Docker Hub does whether an image exists."""

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

DOCKER_HUB = "hub.docker.com"
TAG = "/v2/repositories/"
"""What Bodywork asks Docker Hub for: `/v2/repositories/USER/NAME/tags/TAG`."""
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class Registry:
    """The registry that the nodes of the cluster take for Docker Hub's."""

    def __init__(self, url: str) -> None:
        """Remember its URL."""
        self._url = url

    def has(self, name: str, tag: str) -> bool:
        """Tell whether it has an image with a tag."""
        url = f"{self._url}/v2/{name}/manifests/{tag}"
        accepted = {"Accept": ", ".join(MANIFESTS)}
        question = Request(url, headers=accepted, method="HEAD")  # noqa: S310 - a server of ours
        try:
            with build_opener(ProxyHandler({})).open(question, timeout=30):
                return True
        except HTTPError as error:
            error.close()
            return False


@contextmanager
def https_server(
    address: str, certificate: Path, folder: Path, registry: Registry
) -> Iterator[int]:
    """Show a folder on an address, answer for Docker Hub, and yield the port.

    Args:
        address: of this machine.
        certificate: file; the key is in `key.pem` in the folder above.
        folder: that is shown.
        registry: that knows which images there are.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.parents[1] / "key.pem")
    handler = partial(_Handler, directory=str(folder), registry=registry)
    server = ThreadingHTTPServer((address, 0), handler)
    # The handshake waits for the thread of its connection, so that it holds nobody up.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    with server, ThreadPoolExecutor(1) as thread:
        thread.submit(server.serve_forever)
        try:
            yield server.server_port
        finally:
            server.shutdown()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, registry: Registry, **options: Any) -> None:
        self._registry = registry
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        if not self.path.startswith(TAG):
            super().do_GET()
            return
        name, _, tag = self.path.removeprefix(TAG).partition("/tags/")
        self.send_response(200 if self._registry.has(name, tag) else 404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
