"""The stand-ins for what a cluster needs from outside, asked as Git, Bodywork and boto3 ask."""

import os
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import boto3
import pytest

from deploy.campaign.stand_ins import main, stand_ins
from tests.support.helpers import ROOT
from tests.support.local_servers import serving

HERE = "127.0.0.1"
TAGS = "https://hub.docker.com/v2/repositories/timetodispatch/pipeline/tags"


class _Registry(BaseHTTPRequestHandler):
    """A registry with one image."""

    def do_HEAD(self) -> None:
        is_there = self.path == "/v2/timetodispatch/pipeline/manifests/0.1.0"
        self.send_response(200 if is_there and "oci.image" in self.headers["accept"] else 404)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    """Run a registry, and return its URL."""
    with serving(ThreadingHTTPServer((HERE, 0), _Registry)) as server:
        yield f"http://{HERE}:{server.server_port}"


@pytest.fixture(scope="module")
def variables(registry: str) -> Iterator[Mapping[str, str]]:
    """Run the stand-ins, and return the environment variables that tell of them."""
    with stand_ins(HERE, registry) as variables:
        yield variables


def status_of(url: str, variables: Mapping[str, str]) -> int:
    """Ask for something through the proxy, trusting the certificate, and return the status."""
    context = ssl.create_default_context(cafile=variables["REQUESTS_CA_BUNDLE"])
    proxies = ProxyHandler({"https": variables["https_proxy"]})
    try:
        with build_opener(proxies, HTTPSHandler(context=context)).open(url, timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code


@pytest.mark.parametrize(("tag", "status"), [("0.1.0", 200), ("0.1.1", 404), ("", 404)])
def test_docker_hub_knows_what_the_registry_has(
    tag: str, status: int, variables: Mapping[str, str]
) -> None:
    assert status_of(f"{TAGS}/{tag}", variables) == status


def test_a_tunnel_to_another_host_leads_there_or_is_closed(variables: Mapping[str, str]) -> None:
    assert status_of(variables["GIT_URL"] + "/HEAD", variables) == 200
    with pytest.raises((URLError, ConnectionError)):
        status_of("https://localhost:1/", variables)


def test_git_clones_the_working_tree_as_bodywork_does(
    variables: Mapping[str, str], tmp_path: Path
) -> None:
    command = ["git", "clone", "--quiet", "--branch", "master", "--single-branch"]
    command += [variables["GIT_URL"], str(tmp_path)]
    # Nobody else trusts the certificate.
    distrusting = {**os.environ, **variables, "GIT_SSL_CAINFO": ""}
    distrusting.pop("SSL_CERT_FILE", None)

    assert subprocess.run(command, env=distrusting, capture_output=True).returncode != 0
    subprocess.run(command, check=True, env={**os.environ, **variables})

    name = "bodywork.yaml"
    assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()


def test_s3_keeps_what_is_put_there(
    variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=variables["S3_ENDPOINT"])
    client.create_bucket(Bucket="weeks")
    client.put_object(Bucket="weeks", Key="one", Body=b"1")
    assert client.get_object(Bucket="weeks", Key="one")["Body"].read() == b"1"
    client.close()


def test_a_command_runs_beside_them_and_its_exit_code_counts(registry: str) -> None:
    script = 'test "$IMAGE" = shop/pipeline:1 && git ls-remote --exit-code "$GIT_URL" && exit 7'
    arguments = ["--address", HERE, "--registry", registry, "--image", "shop/pipeline:1"]

    assert main([*arguments, "--", "sh", "-c", script]) == 7
