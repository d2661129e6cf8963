"""What is done for every request, whichever route it is for."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from deploy.campaign.steady_load import request_bytes
from pipeline.api.service import DispatchService
from pipeline.serve_model import create_app
from pipeline.stages.settings import ServeSettings
from tests.support.service_clients import watched_service
from tests.support.service_fixtures import (
    BATCH,
    ORDER,
    PRODUCTS,
    V0_1,
    V0_2,
    ask,
    hand_made_service,
)

PAGES = ["/", "/history", "/report", "/docs", "/docs/favicon.png", "/openapi.json"]
NUMBERS = ["/healthz", "/readyz", "/metrics", "/api/v0.1/model", PRODUCTS]


@pytest.mark.parametrize("path", [*PAGES, *NUMBERS, f"{PRODUCTS}?limit=1", "/no/such/path", V0_1])
@pytest.mark.parametrize("arguments", ["", "--api-key right", "--root-path /dispatch"])
def test_head_is_answered_as_get_without_the_body(
    path: str, arguments: str, trained_store: Path
) -> None:
    settings = ServeSettings.from_arguments([str(trained_store), *arguments.split()])
    client = TestClient(create_app(DispatchService(settings)), follow_redirects=False)
    head, get = (client.request(method, path) for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (get.status_code, b"")
    # The metrics tell how many requests there were, and the web pages have a nonce.
    pages = dict.fromkeys(("/", "/history"), {"content-security-policy"})
    also_varying = {"/metrics": {"content-length"}, **pages}
    varying = {"x-request-id"} | also_varying.get(path, set())
    differing = set(head.headers.items()) ^ set(get.headers.items())
    assert {name for name, _ in differing} <= varying


@pytest.mark.parametrize("key", ["", "right"])
def test_no_answer_may_be_taken_for_something_else(key: str) -> None:
    app = create_app(hand_made_service(*(("--api-key", key) if key else ())))
    for path in (*PAGES, *NUMBERS, V0_1, BATCH, "/no/such/path", f"{PRODUCTS}/SKU001"):
        for method in ("GET", "POST", "HEAD"):
            answer = asyncio.run(ask(app, path, (ORDER,), method=method))
            assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/history", "/report", "/docs"])
def test_a_page_runs_and_loads_nothing_but_its_own(path: str, trained_store: Path) -> None:
    settings = ServeSettings.from_arguments([str(trained_store)])
    app = create_app(DispatchService(settings))
    headers, again = (asyncio.run(ask(app, path, method="GET")).headers for _ in range(2))

    rules = [rule.partition(" ") for rule in headers["content-security-policy"].split("; ")]
    policy = {kind: sources for kind, _, sources in rules}
    assert "unsafe" not in headers["content-security-policy"]
    nothing = ("default-src", "base-uri", "form-action", "frame-ancestors")
    assert [policy[kind] for kind in nothing] == ["'none'"] * 4
    assert "script-src" in policy and ("sandbox" in policy) == (path == "/report")
    allowed = r"('self'|'sha256-\S{44}'|'nonce-\S{22}'|data:|blob:)( (?!$)|$)"
    del policy["default-src"], policy["base-uri"], policy["form-action"]
    sources = [policy[kind] for kind in policy if kind.endswith("-src")]
    assert [source for source in sources if not re.fullmatch(f"({allowed})+", source)] == []
    assert headers["referrer-policy"] == "no-referrer"
    is_same = headers["content-security-policy"] == again["content-security-policy"]
    assert is_same == (path not in ("/", "/history")), "a nonce is used once"


@pytest.mark.parametrize("path", [*PAGES, *NUMBERS])
def test_another_method_is_told_which_ones_there_are(path: str) -> None:
    refused = asyncio.run(ask(create_app(hand_made_service()), path))
    assert refused.status == 405
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.system
def test_after_an_answer_to_head_the_connection_goes_on(
    trained_store: Path, tmp_path: Path
) -> None:
    with watched_service(tmp_path, str(trained_store)) as service, service.connect() as connection:
        connection.sendall(request_bytes("HEAD", "/report") + request_bytes("GET", "/healthz"))
        heard = b""
        while not heard.endswith(b',"git_commit":null}'):
            heard += connection.recv(65_536)
        assert heard.count(b"HTTP/1.1 200 OK") == 2
        assert b"<html" not in heard


@pytest.mark.parametrize("root_path", ["", "/dispatch"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", sorted({*PAGES[1:], *NUMBERS, V0_1, V0_2, BATCH} - {PRODUCTS}))
def test_nobody_is_sent_elsewhere_for_a_slash_too_many(
    path: str, method: str, root_path: str
) -> None:
    app = create_app(hand_made_service("--root-path", root_path))
    for prefix in {"", root_path}:
        answer = asyncio.run(ask(app, f"{prefix}{path}/", method=method))
        assert answer.status == 404
        assert "location" not in answer.headers
        problem = {"type": "about:blank", "title": "Not Found", "status": 404}
        is_problem = path.startswith("/api/v0.2/")
        assert json.loads(answer.body) == {"detail": "Not Found"} | (problem if is_problem else {})


def test_nobody_is_sent_elsewhere_for_a_slash_too_few() -> None:
    app = create_app(hand_made_service("--root-path", "/dispatch"))
    for path in ("/dispatch", ""):
        answer = asyncio.run(ask(app, path, method="GET"))
        assert (answer.status, json.loads(answer.body)) == (404, {"detail": "Not Found"})
