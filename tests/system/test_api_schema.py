"""The OpenAPI schema is right: requests made up from it find no answer that it does not describe.

A longer campaign than the one of every test run, with other requests each time:

    make fuzz-api
"""

import json
import os
import subprocess
import sys
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

from pipeline.api.keys import OPEN_PATHS
from pipeline.api.operations import router as operations_router
from pipeline.api.predictions import router as predictions_router
from pipeline.serve_model import create_app
from tests.support.helpers import EXAMPLE, running_service
from tests.support.service_fixtures import (
    BATCH,
    PROBLEM,
    PRODUCTS,
    V0_1,
    V0_2,
    BrokenModel,
    hand_made_service,
    service_without_model,
)

FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "0"))
"""How long the campaign is; 0 means the short one, which is the same each time."""
SHORT_CAMPAIGN = ("--generation-deterministic", "--max-examples", "40")
LONG_CAMPAIGN = ("--max-time", str(FUZZ_SECONDS), "--max-examples", "1000")
KEY = "right-key"


@pytest.mark.system
@pytest.mark.timeout(180 + 2 * FUZZ_SECONDS)
def test_no_made_up_request_finds_an_answer_that_is_not_described(
    trained_store: Path, tmp_path: Path
) -> None:
    environment = os.environ | {"TTD_API_KEY": f"old-key,{KEY}", "NO_PROXY": "*"}
    with running_service(str(trained_store), environment=environment) as url:
        campaign = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
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
    assert operations["total"] == operations["tested"] == len(_routes())
    assert cases["generated"] > 250
    assert not any(report["warnings"].values())
    for path in (V0_1, V0_2, BATCH):
        assert report["valid_rates"][f"POST {path}"]["fuzzing"]["accepted"] > 5


def _routes() -> set[tuple[str, str]]:
    """Return paths and methods of all routes that should be described."""
    return {
        (route.path, method.lower())
        for router in (predictions_router, operations_router)
        for route in router.routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods or ()
    }


def description(*arguments: str, **options: Any) -> dict[str, Any]:
    """Return the schema of a service with these command line arguments."""
    client = TestClient(create_app(hand_made_service(*arguments, **options)))
    response = client.get("/openapi.json", headers={"x-api-key": KEY})
    assert response.status_code == 200
    schema: dict[str, Any] = response.json()
    return schema


@pytest.mark.parametrize(
    "arguments",
    [(), ("--api-key", KEY), ("--root-path", "/dispatch")],
    ids=["plain", "with a key", "behind a prefix"],
)
def test_the_schema_is_valid_openapi(arguments: tuple[str, ...]) -> None:
    schema = description(*arguments)
    assert schema["openapi"].startswith("3.1.")
    validate(schema)


def test_every_route_is_described() -> None:
    described = {
        (path, method)
        for path, operations in description()["paths"].items()
        for method in operations
    }
    assert described == _routes()
    assert len(described) >= 9


def test_the_key_is_asked_for_where_it_is_needed_and_only_if_there_is_one() -> None:
    schema, open_schema = description("--api-key", KEY), description()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert ("security" in operation) == (path not in OPEN_PATHS)
            assert ("401" in operation["responses"]) == (path not in OPEN_PATHS)
            assert "security" not in open_schema["paths"][path][method]
    assert schema["components"]["securitySchemes"] == {
        "X-API-Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    }
    assert "securitySchemes" not in open_schema["components"]


def test_the_products_of_the_model_are_listed_for_orders_and_for_the_filter() -> None:
    schema = description()
    order = schema["components"]["schemas"]["TimeToDispatchRequest"]["properties"]["product_code"]
    (product_filter,) = [
        parameter
        for parameter in schema["paths"][PRODUCTS]["get"]["parameters"]
        if parameter["name"] == "product_code"
    ]
    assert order["enum"] == ["SKU001", "SKU002", "SKU003"]
    assert product_filter["schema"] == {
        "$ref": "#/components/schemas/TimeToDispatchRequest/properties/product_code"
    }


def test_errors_are_described_in_the_form_of_their_version() -> None:
    for path, operations in description("--api-key", KEY)["paths"].items():
        media_type = PROBLEM if path.startswith("/api/v0.2/") else "application/json"
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status not in ("200", "408"):
                    assert list(response["content"]) == [media_type]
                assert response["description"]


def test_the_answer_to_those_who_are_too_slow_has_no_body() -> None:
    paths = description()["paths"]
    for path in (V0_1, V0_2, BATCH):
        assert "content" not in paths[path]["post"]["responses"]["408"]


TOO_LONG = b" " * (4 * 1024 * 1024 + 1)
RARE: dict[str, tuple[str, str, bytes, int]] = {
    **{f"too long for {path}": ("POST", path, TOO_LONG, 413) for path in (V0_1, V0_2, BATCH)},
    **{f"unreadable for {path}": ("POST", path, b"[" * 10**5, 400) for path in (V0_1, V0_2, BATCH)},
    **{f"not JSON for {path}": ("POST", path, b"x", 422) for path in (V0_1, V0_2, BATCH)},
    "bad product for v0.1": ("POST", V0_1, b'{"product_code": "no", "orders_placed": 1}', 422),
    "no report": ("GET", "/report", b"", 404),
}


@pytest.mark.parametrize(("method", "path", "body", "status"), RARE.values(), ids=RARE.keys())
def test_rare_answers_are_as_described(
    method: str, path: str, body: bytes, status: int, tmp_path: Path
) -> None:
    client = TestClient(create_app(hand_made_service(str(tmp_path))))
    _check(client, method, path, body, status)


@pytest.mark.parametrize(("path", "method"), sorted(_routes()))
def test_answers_without_a_model_are_as_described(path: str, method: str, tmp_path: Path) -> None:
    client = TestClient(create_app(service_without_model(tmp_path)))
    open_without = {"/healthz", "/metrics"}
    body = json.dumps({"orders": [EXAMPLE]} if path == BATCH else EXAMPLE).encode()
    _check(client, method.upper(), path, body, 200 if path in open_without else 503)


@pytest.mark.parametrize(("path", "method"), sorted(_routes()))
def test_answers_without_a_key_are_as_described(path: str, method: str) -> None:
    client = TestClient(create_app(hand_made_service("--api-key", KEY)))
    _check(client, method.upper(), path, b"", 200 if path in OPEN_PATHS else 401)


def test_the_answer_of_a_service_about_to_stop_is_as_described() -> None:
    service = hand_made_service()
    service.is_draining = True
    _check(TestClient(create_app(service)), "GET", "/readyz", b"", 503)


def _check(client: TestClient, method: str, path: str, body: bytes, status: int) -> None:
    """Send a request, and check that the answer has this status and is one of those described."""
    response = client.request(
        method, path, content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == status
    schema = schemathesis.openapi.from_dict(description("--api-key", KEY))
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    schema[path][method].Case().validate_response(response, checks=checks)


def test_a_fault_of_ours_has_the_form_of_other_errors() -> None:
    client = TestClient(create_app(hand_made_service(model=BrokenModel())))
    schemas = description()["components"]["schemas"]
    for path, name in ((V0_1, "ErrorAnswer"), (V0_2, "Problem")):
        answer = client.post(path, json=EXAMPLE).json()
        required = set(schemas[name]["required"])
        assert required <= answer.keys() <= schemas[name]["properties"].keys()
