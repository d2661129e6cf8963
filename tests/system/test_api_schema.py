"""The OpenAPI schema is right: requests made up from it find no answer that it does not describe.

A longer campaign than the one of every test run, with other requests each time:

    make fuzz-api
"""

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from openapi_spec_validator import validate
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pipeline.api.history import router as history_router
from pipeline.api.keys import OPEN_PATHS
from pipeline.api.operations import router as operations_router
from pipeline.api.predictions import router as predictions_router
from pipeline.api.service import DispatchService
from pipeline.model.reader import DispatchModel
from pipeline.serve_model import create_app
from tests.support.helpers import running_service
from tests.support.service_fixtures import (
    BATCH,
    ORDER,
    PROBLEM,
    PRODUCTS,
    UNREADABLE,
    V0_1,
    V0_2,
    HandMadeModel,
    hand_made_service,
    service_without_model,
)

FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "0"))
"""How long the campaign is; 0 means the short one, which is the same each time."""
SHORT_CAMPAIGN = ("--generation-deterministic", "--max-examples", "40")
LONG_CAMPAIGN = ("--max-time", str(FUZZ_SECONDS), "--max-examples", "1000")
KEY = "right-key"
POSTS = (V0_1, V0_2, BATCH)
CURVE = PRODUCTS + "/{product_code}"
ROUTES = {
    (route.path_format, method.lower())
    for router in (predictions_router, operations_router, history_router)
    for route in router.routes
    if isinstance(route, APIRoute) and route.include_in_schema
    for method in route.methods or ()
}
"""Paths and methods of all routes that should be described."""
OPERATIONS = {
    (V0_1, "post"): "estimate",
    (V0_2, "post"): "estimate_with_interval",
    (BATCH, "post"): "estimate_batch",
    ("/api/v0.1/model", "get"): "get_model",
    (PRODUCTS, "get"): "list_products",
    (CURVE, "get"): "get_product",
    ("/api/v0.2/history", "get"): "get_history",
    ("/report", "get"): "get_report",
    ("/reports/{version}", "get"): "get_report_on",
    ("/healthz", "get"): "get_liveness",
    ("/readyz", "get"): "get_readiness",
    ("/metrics", "get"): "get_metrics",
}
"""What generated clients call them; a new name breaks the programs that use such a client."""


@pytest.mark.timeout(180 + 2 * FUZZ_SECONDS)
def test_no_made_up_request_finds_an_answer_that_is_not_described(
    trained_store: Path, served_model: DispatchModel, tmp_path: Path
) -> None:
    environment = os.environ | {"TTD_API_KEY": f"old-key,{KEY}", "NO_PROXY": "*"}
    schema = with_products(description(hand_made_service("--api-key", KEY)), served_model.products)
    (tmp_path / "openapi.json").write_text(json.dumps(schema))
    with running_service(str(trained_store), environment=environment) as url:
        campaign = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", url),
                *("--header", f"X-API-Key: {KEY}", "--checks", "all", "--continue-on-failure"),
                *("--report", "json", "--report-json-path", "report.json", "--no-color"),
                *(LONG_CAMPAIGN if FUZZ_SECONDS else SHORT_CAMPAIGN),
            ],
            cwd=tmp_path,  # it keeps things there for the next time
            env=environment,
            capture_output=True,
            text=True,
        )
    assert campaign.returncode == 0, campaign.stdout + campaign.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    operations, cases = report["operations"], report["test_cases"]
    assert operations["total"] == operations["tested"] == len(ROUTES)
    assert cases["generated"] > 250
    assert not any(report["warnings"].values())
    for path in POSTS:
        assert report["valid_rates"][f"POST {path}"]["fuzzing"]["accepted"] > 5


def description(service: DispatchService) -> dict[str, Any]:
    """Return the schema of a service."""
    response = TestClient(create_app(service)).get("/openapi.json", headers={"x-api-key": KEY})
    assert response.status_code == 200
    schema: dict[str, Any] = response.json()
    return schema


def with_products(schema: dict[str, Any], codes: Collection[str]) -> dict[str, Any]:
    """Let a schema say which products there are, so that requests for these are made up too.

    JSON Schema cannot say that columns have equal lengths, so here they all have one value.
    """
    for column in schema["components"]["schemas"]["ColumnBatch"]["properties"].values():
        column["maxItems"] = 1
    for name in ("TimeToDispatchRequest", "Order"):
        schema["components"]["schemas"][name]["properties"]["product_code"]["enum"] = [*codes]
    for parameter in schema["paths"][PRODUCTS]["get"]["parameters"]:
        if parameter["name"] == "product_code":
            parameter["schema"]["enum"] = [*codes]
    return schema


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Return the schema of a service with a key."""
    return description(hand_made_service("--api-key", KEY))


@pytest.mark.parametrize("arguments", ["", f"--api-key {KEY}", "--root-path /dispatch"])
def test_the_schema_is_valid_openapi(arguments: str) -> None:
    schema = description(hand_made_service(*arguments.split()))
    assert schema["openapi"].startswith("3.1.")
    validate(schema)


def operations_of(schema: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what a schema says of each path and method."""
    return {
        (path, method): operation
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    }


def test_every_route_is_described(schema: dict[str, Any]) -> None:
    assert operations_of(schema).keys() == ROUTES
    assert len(ROUTES) >= 9


def test_the_key_is_asked_for_where_it_is_needed_and_only_if_there_is_one(
    schema: dict[str, Any],
) -> None:
    open_schema = description(hand_made_service())
    for (path, method), operation in operations_of(schema).items():
        assert ("security" in operation) == (path not in OPEN_PATHS)
        assert ("401" in operation["responses"]) == (path not in OPEN_PATHS)
        assert "security" not in open_schema["paths"][path][method]
    key = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    assert schema["components"]["securitySchemes"] == {"X-API-Key": key}
    assert "securitySchemes" not in open_schema["components"]


def test_the_schema_is_the_same_for_every_model_and_without_one(tmp_path: Path) -> None:
    service = service_without_model(tmp_path)
    client = TestClient(create_app(service))
    before = client.get("/openapi.json").content
    for model in (HandMadeModel(), HandMadeModel(["ANOTHER"], version="newer")):
        service.serve(model)
        assert client.get("/openapi.json").content == before
        assert TestClient(create_app(service)).get("/openapi.json").content == before


def test_generated_clients_find_short_names_and_whole_schemas(schema: dict[str, Any]) -> None:
    operations = operations_of(schema)
    assert {key: operation["operationId"] for key, operation in operations.items()} == OPERATIONS
    references = re.findall(r'"\$ref": "(.*?)"', json.dumps(schema))
    assert {reference.rsplit("/", 1)[0] for reference in references} == {"#/components/schemas"}


def test_errors_are_described_in_the_form_of_their_version(schema: dict[str, Any]) -> None:
    for (path, _), operation in operations_of(schema).items():
        media_type = PROBLEM if path.startswith("/api/v0.2/") else "application/json"
        for status, response in operation["responses"].items():
            assert response["description"]
            if status == "304":  # without a body
                assert "content" not in response
            elif status != "200":
                assert list(response["content"]) == [media_type]
    assert all("408" in operations_of(schema)[path, "post"]["responses"] for path in POSTS)


LONGEST = b" " * (8 * 1024 * 1024 + 1)
GZIPPED = gzip.compress(ORDER)
UNKNOWN = b'{"product_code": "no", "orders_placed": 1}'
BODIES = {V0_1: ORDER, V0_2: ORDER, BATCH: b'{"orders": [%b]}' % ORDER}
RARE = [
    *(("plain", "post", path, LONGEST, 413) for path in POSTS),
    *(("plain", "post", path, UNREADABLE, 400) for path in POSTS),
    *(("plain", "post", path, GZIPPED, 415) for path in POSTS),
    *(("plain", "post", path, b"x", 422) for path in POSTS),
    ("plain", "post", V0_1, UNKNOWN, 422),
    *(("plain", "get", path, b"", 404) for path in ("/report", CURVE)),
    ("draining", "get", "/readyz", b"", 503),
    *(
        ("locked", method, path, b"", 200 if path in OPEN_PATHS else 401)
        for path, method in sorted(ROUTES)
    ),
    *(
        ("empty", method, path, BODIES.get(path, b""), 503)
        for path, method in sorted(ROUTES)
        if path not in ("/healthz", "/metrics", "/reports/{version}")
    ),
]


@pytest.mark.parametrize(
    ("service", "method", "path", "body", "status"),
    RARE,
    ids=[f"{service}-{path}-{status}" for service, _, path, _, status in RARE],
)
def test_rare_answers_are_as_described(
    service: str,
    method: str,
    path: str,
    body: bytes,
    status: int,
    schema: dict[str, Any],
    tmp_path: Path,
) -> None:
    served = {
        "plain": lambda: hand_made_service(str(tmp_path)),
        "draining": lambda: hand_made_service(),
        "locked": lambda: hand_made_service("--api-key", KEY),
        "empty": lambda: service_without_model(tmp_path),
    }[service]()
    served.is_draining = service == "draining"
    headers = {"content-type": "application/json"}
    headers |= {"content-encoding": "gzip"} if body is GZIPPED else {}
    response = TestClient(create_app(served)).request(method, path, content=body, headers=headers)
    assert response.status_code == status
    case = schemathesis.openapi.from_dict(schema)[path][method].Case(
        path_parameters={"product_code": "no", "version": "no"}
    )
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    case.validate_response(response, checks=checks)
