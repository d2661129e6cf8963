"""One setting listens over IPv6 and IPv4, and does on a machine that has but one of them."""

import re
import socket
from errno import EADDRNOTAVAIL, EAFNOSUPPORT
from pathlib import Path
from typing import Any

import pytest

from deploy.campaign.steady_load import PATIENCE_SECONDS, request_bytes
from pipeline.server.listening import sockets_for, url_of
from pipeline.stages.errors import ServiceError
from tests.support.helpers import logged
from tests.support.service_clients import EXAMPLE_REQUEST, exchange, wait_until, watched_service

NO_IPV6 = "This machine has no IPv6, so the service listens over IPv4 alone."
LOOPBACKS = ["127.0.0.1", "::1"] if socket.has_dualstack_ipv6() else ["127.0.0.1"]


@pytest.mark.system
@pytest.mark.parametrize("host", ["::", "[::]", "0:0:0:0:0:0:0:0"])
def test_every_network_is_reached_over_both_families(
    host: str, trained_store: Path, tmp_path: Path
) -> None:
    arguments = (str(trained_store), "--host", host, "--api-key", "right", "--access-log")
    with watched_service(tmp_path, *arguments) as service:
        for address in LOOPBACKS:
            with socket.create_connection((address, service.port), PATIENCE_SECONDS) as client:
                assert exchange(client, EXAMPLE_REQUEST).status == 401
                key = ["X-API-Key: right"]
                model = request_bytes("GET", "/api/v0.1/model", headers=key)
                assert exchange(client, model).status == 200
        opened = re.findall(r"Uvicorn running on (\S+) ", service.log)
        assert opened == [f"http://{'[::]' if len(LOOPBACKS) == 2 else '0.0.0.0'}:{service.port}"]
        line = "GET /api/v0.1/model 200 in "
        wait_until(lambda: service.log.count(line) == len(LOOPBACKS), "each is logged")
        assert service.errors == []


class WithoutFamily(socket.socket):
    """A socket of a machine whose kernel knows no IPv6."""

    def __init__(self, family: int = -1, *args: Any, **options: Any) -> None:
        """Open a socket, unless it is for IPv6."""
        if family == socket.AF_INET6:
            raise OSError(EAFNOSUPPORT, "Address family not supported by protocol")
        super().__init__(family, *args, **options)


class WithoutAddress(socket.socket):
    """A socket of a machine whose kernel knows IPv6, where it is switched off."""

    def bind(self, address: Any, /) -> None:
        """Bind to an address, unless it is for IPv6."""
        if self.family == socket.AF_INET6:
            raise OSError(EADDRNOTAVAIL, "Cannot assign requested address")
        super().bind(address)


@pytest.mark.parametrize("kind", [WithoutFamily, WithoutAddress])
def test_without_ipv6_every_network_is_ipv4(
    kind: type[socket.socket], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(socket, "socket", kind)
    (listener,) = sockets_for("::", 0)
    with listener:
        assert re.fullmatch(r"http://0\.0\.0\.0:\d+", url_of(listener))
        with socket.create_connection(("127.0.0.1", listener.getsockname()[1])):
            pass
    assert logged(caplog, "INFO") == [NO_IPV6]


@pytest.mark.parametrize("host", ["::", *LOOPBACKS])
@pytest.mark.parametrize("taken", LOOPBACKS)
def test_a_port_in_use_is_named_with_what_to_do(taken: str, host: str) -> None:
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    with socket.create_server((taken, 0), family=family) as other:
        port = other.getsockname()[1]
        if host not in ("::", taken):
            (free,) = sockets_for(host, port)
            free.close()
            return
        with pytest.raises(ServiceError) as failure:
            sockets_for(host, port)
    place = "every network" if host == "::" else host
    assert f"Cannot listen on port {port} of {place}: Address already in use" in str(failure.value)
    assert "choose another --port" in str(failure.value)


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("127.0.0.1", {"127.0.0.1"}),
        ("0.0.0.0", {"0.0.0.0"}),
        ("localhost", set(LOOPBACKS)),
        *(("::1", {"::1"}) for _ in LOOPBACKS[1:]),
    ],
)
def test_a_host_is_reached_at_each_of_its_addresses(host: str, addresses: set[str]) -> None:
    listeners = sockets_for(host, 0)
    assert {listener.getsockname()[0] for listener in listeners} <= addresses
    for listener in listeners:
        with listener, socket.create_connection(listener.getsockname()[:2]):
            pass


def test_a_host_that_is_not_there_is_named() -> None:
    with pytest.raises(ServiceError, match=r"Cannot listen on port 1 of no\.such\.host\.invalid: "):
        sockets_for("no.such.host.invalid", 1)
