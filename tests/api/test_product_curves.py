"""The curve of one product: the same as in the list, and what caches may do with it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from deploy.campaign.steady_load import request_bytes
from pipeline.api.product_curves import PRODUCT_CURVES
from pipeline.api.service import DispatchService
from pipeline.serve_model import create_app
from pipeline.server.fast_path import answer_fast
from tests.api.test_operations import CODES, ODD_CODES
from tests.support.service_clients import exchange, watched_service
from tests.support.service_fixtures import (
    PROBLEM,
    PRODUCTS,
    Answer,
    HandMadeModel,
    ask,
    hand_made_service,
)


@pytest.fixture(params=[answer_fast, lambda *request: None], ids=["fast", "slow"])
def way(request: pytest.FixtureRequest) -> Any:
    """Return each of the ways to an answer."""
    return request.param


def get(
    service: DispatchService,
    way: Any = answer_fast,
    code: str = "SKU001",
    known: str | None = None,
    method: str = "GET",
) -> Answer:
    """Ask for a curve, with the tags of what is known of it."""
    headers = [] if known is None else [(b"if-none-match", known.encode())]
    return asyncio.run(
        ask(create_app(service, way), PRODUCT_CURVES + code, headers=headers, method=method)
    )


@pytest.mark.parametrize("code", ODD_CODES)
def test_a_product_is_the_same_as_in_the_list(code: str) -> None:
    service = hand_made_service(model=HandMadeModel(CODES))
    answer = json.loads(get(service, code=code).body)
    page = TestClient(create_app(service)).get(PRODUCTS, params={"product_code": code}).json()
    facts = {"model_version": page["model_version"], "interval_level": page["interval_level"]}
    assert answer == facts | page["products"][0]


@pytest.mark.parametrize("code", ["", "SKU999", "sku001", "SKU001/", "\0", "x" * 10_000])
def test_an_unknown_product_is_not_found_and_similar_ones_are_named(code: str, way: Any) -> None:
    service = hand_made_service()
    answer = get(service, way, code)
    assert answer.status == 404
    assert answer.headers["content-type"] == PROBLEM
    assert b"not among the 3 that the model knows" in answer.body
    assert (b"the closest: 'SKU001'" in answer.body) == (code in ("sku001", "SKU001/"))
    assert b'ttd_refused_inputs_total{reason="unknown_product"} 1.0' in service.metrics.exposition()


@pytest.mark.parametrize(
    ("arguments", "caching"),
    [
        ((), "public, max-age=60"),
        (("--curve-cache-seconds", "3600"), "public, max-age=3600"),
        (("--curve-cache-seconds", "0"), "no-cache"),
        (("--curve-cache-seconds", "3600", "--api-key", "right"), "private, no-cache"),
    ],
)
def test_caches_are_told_what_they_may_do(arguments: tuple[str, ...], caching: str) -> None:
    app = create_app(hand_made_service(*arguments))
    answer = asyncio.run(
        ask(app, f"{PRODUCT_CURVES}SKU001", headers=[(b"x-api-key", b"right")], method="GET")
    )
    assert (answer.status, answer.headers["cache-control"]) == (200, caching)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("known", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"other", W/"more" ,{tag},""', 304),
        ("*", 304),
        (" * ", 304),
        ('"other"', 200),
        ('"*"', 200),
        ("", 200),
        ("\xff", 200),
    ],
)
def test_who_has_a_curve_is_told_so(known: str, status: int, method: str, way: Any) -> None:
    service = hand_made_service()
    first = get(service, way)
    tag = first.headers["etag"]
    again = get(service, way, known=known.format(tag=tag), method=method)
    assert again.status == status
    assert (again.body == b"") == (status == 304)
    assert again.headers["etag"] == tag
    assert again.headers["cache-control"] == first.headers["cache-control"]
    assert ("content-type" in again.headers) == (status == 200)


def test_the_tag_is_another_for_each_product_and_each_model() -> None:
    service = hand_made_service()
    tags = {get(service, code=code).headers["etag"] for code in ("SKU001", "SKU002")}
    service.serve(HandMadeModel(version="newer"))
    tags.add(get(service).headers["etag"])
    assert len(tags) == 3
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)


@pytest.mark.parametrize(("origins", "varies"), [("https://shop.example", True), ("*", False)])
def test_pages_of_other_origins_may_read_the_tag_and_caches_tell_them_apart(
    origins: str, varies: bool
) -> None:
    app = create_app(hand_made_service("--cors-origins", origins))
    headers = [(b"origin", b"https://shop.example")]
    answer = asyncio.run(ask(app, f"{PRODUCT_CURVES}SKU001", headers=headers, method="GET"))
    assert "ETag" in answer.headers["access-control-expose-headers"].split(", ")
    assert (answer.headers.get("vary") == "Origin") == varies


def test_all_curves_share_one_route_in_the_metrics(way: Any) -> None:
    service = hand_made_service()
    for code in ("SKU001", "SKU002", "no"):
        get(service, way, code)
    told = service.metrics.exposition().decode()
    route = 'route="/api/v0.2/products/{product_code}"'
    assert f'ttd_requests_total{{{route},status="200"}} 2.0' in told
    assert f'ttd_requests_total{{{route},status="404"}} 1.0' in told


@pytest.mark.system
def test_a_curve_is_asked_for_again_over_a_real_connection(
    trained_store: Path, tmp_path: Path
) -> None:
    path = f"{PRODUCT_CURVES}SKU%30%301?orders=1"
    with watched_service(tmp_path, str(trained_store)) as service, service.connect() as connection:
        first = exchange(connection, request_bytes("GET", path))
        known = [f"If-None-Match: {first.headers['etag']}"]
        again = exchange(connection, request_bytes("GET", path, headers=known))
        slash = exchange(connection, request_bytes("GET", f"{PRODUCT_CURVES}%2F%C3%A9"))
    assert [answer.status for answer in (first, again, slash)] == [200, 304, 404]
    assert json.loads(first.body)["product_code"] == "SKU001"
    assert again.body == b""
