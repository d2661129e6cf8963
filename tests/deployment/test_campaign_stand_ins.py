"""The stand-ins for what a cluster needs from outside, asked as Git and Bodywork ask."""

import ssl
from collections.abc import Iterator, Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import pytest

from deploy.campaign.stand_ins import main, stand_ins
from tests.support.helpers import ROOT, QuietHandler
from tests.support.local_servers import serving

HERE = "127.0.0.1"
TAGS = "https://hub.docker.com/v2/repositories/timetodispatch/pipeline/tags"


class _Registry(QuietHandler):
    """A registry with one image."""

    def do_HEAD(self) -> None:
        is_there = self.path == "/v2/timetodispatch/pipeline/manifests/0.1.0"
        self.send_response(200 if is_there and "oci.image" in self.headers["accept"] else 404)
        self.end_headers()


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


@pytest.fixture(autouse=True)
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the proxy for servers on this machine too."""
    monkeypatch.setenv("no_proxy", "")


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


def test_another_host_is_reached_through_the_tunnel_and_s3_without_it(
    variables: Mapping[str, str],
) -> None:
    assert status_of(variables["GIT_URL"] + "/HEAD", variables) == 200
    assert status_of(variables["S3_ENDPOINT"] + "/moto-api/", variables) == 200
    with pytest.raises((URLError, ConnectionError)):
        status_of("https://localhost:1/", variables)


def test_a_command_clones_the_working_tree_beside_them_and_its_exit_code_counts(
    registry: str, tmp_path: Path
) -> None:
    script = 'git clone --branch master --single-branch "$GIT_URL" "$0/$IMAGE" && exit 7'
    arguments = ["--address", HERE, "--registry", registry, "--image", "shop/pipeline:1"]

    assert main([*arguments, "--", "sh", "-c", script, str(tmp_path)]) == 7
    cloned = tmp_path / "shop" / "pipeline:1" / "bodywork.yaml"
    assert cloned.read_bytes() == (ROOT / "bodywork.yaml").read_bytes()
