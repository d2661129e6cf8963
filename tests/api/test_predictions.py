"""The HTTP interface: right answers for good requests, and 4xx with reasons for all others."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict

from pipeline.api.service import DispatchService
from pipeline.model.artifact import MODELS
from pipeline.model.metadata import ProductCatalogue
from pipeline.model.reader import DispatchModel, OrderColumns
from pipeline.serve_model import create_app
from pipeline.stages.settings import ServeSettings
from tests.support.helpers import EXAMPLE, PREDICTION
from tests.support.service_fixtures import HandMadeModel as AnyHandMadeModel

PREDICTION_WITH_INTERVAL = "/api/v0.2/time_to_dispatch"
JSON_CONTENT = {"content-type": "application/json"}
TWO_MEGABYTES = 2 * 1024 * 1024


class Fault(BaseModel):
    """What FastAPI's schema calls a ValidationError."""

    model_config = ConfigDict(strict=True)

    loc: list[str | int]
    msg: str
    type: str


class HTTPValidationError(BaseModel):
    """The schema of the body of an answer 422."""

    model_config = ConfigDict(strict=True)

    detail: list[Fault]


@pytest.fixture(scope="module")
def client(trained_store: Path) -> Iterator[TestClient]:
    """Return a client of a service that has loaded the model of the trained store."""
    with TestClient(create_app(service_of(trained_store))) as client:
        yield client


def service_of(store: Path) -> DispatchService:
    return DispatchService(ServeSettings.from_arguments([str(store)]))


HAND_MADE_LINEAGE = AnyHandMadeModel().metadata.model_copy(
    update={
        "catalogue": ProductCatalogue(
            product_code=("SKU001", "NOISY", "STEADY"),
            rows=(1, 1, 1),
            least_orders=(10, 0, 0),
            most_orders=(200.5, 5, 5),
            relative_noise=(1, 8, 1e-6),
        )
    }
)


class HandMadeModel(DispatchModel):
    """A model without training: 2.12 hours, and 0.055 more for each order."""

    def __init__(self) -> None:
        super().__init__("by_hand", HAND_MADE_LINEAGE, session=None)

    def estimate(self, orders: OrderColumns) -> npt.NDArray[np.float64]:
        """Return the estimated hours to dispatch, shape (n_rows,)."""
        return 2.12 + 0.055 * np.asarray(orders.get("orders_placed"), dtype=np.float64)


@pytest.fixture(scope="module")
def hand_made_client(trained_store: Path) -> Iterator[TestClient]:
    """Return a client of a service that serves the model made by hand."""
    service = service_of(trained_store)
    service.serve(HandMadeModel())
    with TestClient(create_app(service)) as client:
        yield client


@pytest.fixture
def client_without_model(tmp_path: Path) -> TestClient:
    """Return a client of a service whose store has no model."""
    return TestClient(create_app(service_of(tmp_path)))


def test_the_example_is_answered_with_exactly_two_keys(
    client: TestClient, trained_store: Path
) -> None:
    (artifact,) = (trained_store / MODELS).iterdir()
    status, answer = post(client, json.dumps(EXAMPLE).encode())
    assert status == 200
    assert list(answer) == ["est_hours_to_dispatch", "model_version"]
    assert answer["est_hours_to_dispatch"] == pytest.approx(8.28, abs=0.3)
    assert answer["model_version"] == artifact.stem


@pytest.mark.parametrize("orders", ["0", "-0.0", "0.5", "112.25", "1e2", "1000000", "1_000_000.0"])
def test_the_estimate_is_that_of_the_model_to_two_decimals(
    orders: str, client: TestClient, served_model: DispatchModel
) -> None:
    status, answer = post(client, request(orders=orders.replace("_", "")))
    (hours,) = served_model.estimate({"product_code": ["SKU001"], "orders_placed": [float(orders)]})
    assert status == 200
    assert answer["est_hours_to_dispatch"] == round(float(hours), 2)


def test_v0_2_answers_with_exactly_these_keys(hand_made_client: TestClient) -> None:
    status, answer = post(hand_made_client, request(), PREDICTION_WITH_INTERVAL)
    assert status == 200
    assert json.dumps(answer) == json.dumps(
        {
            "est_hours_to_dispatch": 8.28,
            "interval": {"level": 0.9, "lower_hours": 6.95, "upper_hours": 9.61},
            "extrapolated": False,
            "model_version": "by_hand",
        }
    )


@pytest.mark.parametrize(
    ("orders", "extrapolated"),
    [("0", True), ("9.99", True), ("10", False), ("200.5", False), ("200.51", True)],
)
def test_orders_outside_the_range_seen_for_the_product_are_extrapolated(
    orders: str, extrapolated: bool, hand_made_client: TestClient
) -> None:
    _, answer = post(hand_made_client, request(orders), PREDICTION_WITH_INTERVAL)
    assert answer["extrapolated"] is extrapolated


@pytest.mark.parametrize("orders", ["0", "0.05", "0.0909", "0.1", "0.2727", "112", "1000000"])
@pytest.mark.parametrize("product", ["SKU001", "NOISY", "STEADY"])
def test_the_interval_of_the_product_contains_the_estimate_in_two_decimals(
    product: str, orders: str, hand_made_client: TestClient
) -> None:
    body = request(orders, f'"{product}"')
    _, answer = post(hand_made_client, body, PREDICTION_WITH_INTERVAL)
    hours, interval = answer["est_hours_to_dispatch"], answer["interval"]
    half_width = {"SKU001": 2, "NOISY": 16, "STEADY": 2e-6}[product] * (0.251 + 0.05 * hours)
    assert 0 <= interval["lower_hours"] <= hours <= interval["upper_hours"]
    assert interval["lower_hours"] == pytest.approx(max(hours - half_width, 0), abs=0.02)
    assert interval["upper_hours"] == pytest.approx(hours + half_width, abs=0.02)
    for number in (hours, interval["lower_hours"], interval["upper_hours"]):
        assert number == round(number, 2)


@pytest.mark.parametrize("orders", [0, 112, 1_000_000])
def test_both_versions_answer_with_the_estimate_of_the_model(
    orders: float, client: TestClient, served_model: DispatchModel
) -> None:
    body = request(str(orders))
    _, answer = post(client, body)
    status, answer_with_interval = post(client, body, PREDICTION_WITH_INTERVAL)
    estimates = served_model.estimate({"product_code": ["SKU001"], "orders_placed": [orders]})
    (lower,), (upper,) = served_model.bounds(["SKU001"], estimates)
    assert status == 200
    assert answer_with_interval == answer | {
        "interval": {
            "level": 0.9,
            "lower_hours": round(float(lower), 2),
            "upper_hours": round(float(upper), 2),
        },
        "extrapolated": served_model.predict(
            {"product_code": ["SKU001"], "orders_placed": [orders]}
        ).extrapolated.item(),
    }


def test_unknown_fields_are_ignored(client: TestClient) -> None:
    alone = post(client, json.dumps(EXAMPLE).encode())
    assert post(client, json.dumps(EXAMPLE | {"customer": ["A", 1]}).encode()) == alone


def request(orders: str = "112", product: str = '"SKU001"') -> bytes:
    """Return the body of a request with these JSON values, valid or not."""
    return f'{{"product_code": {product}, "orders_placed": {orders}}}'.encode()


BAD_ORDERS = {
    "negative": ("-1", "greater than or equal to 0"),
    "negative, a little": ("-1e-300", "greater than or equal to 0"),
    "NaN": ("NaN", "finite number"),
    "Infinity": ("Infinity", "finite number"),
    "-Infinity": ("-Infinity", "finite number"),
    "too large for a float": ("1e400", "finite number"),
    "text": ('"12"', "valid number"),
    "true": ("true", "valid number"),
    "null": ("null", "valid number"),
    "a list": ("[112]", "valid number"),
    "an object": ('{"n": 112}', "valid number"),
    "above the limit": ("1000001", "less than or equal to 1000000"),
    "above the limit, a little": ("1000000.0001", "less than or equal to 1000000"),
    "400 digits": ("9" * 400, "valid number"),
    "depth 500": ("[" * 500 + "]" * 500, "valid number"),
    "depth 900": ("[" * 900 + "]" * 900, "valid number"),
}


@pytest.mark.parametrize(("orders", "reason"), BAD_ORDERS.values(), ids=BAD_ORDERS.keys())
def test_bad_orders_are_refused(orders: str, reason: str, client: TestClient) -> None:
    (fault,) = faults(client, request(orders=orders))
    assert fault["loc"] == ["body", "orders_placed"]
    assert reason in fault["msg"]


def test_an_unknown_product_is_refused_by_name(client: TestClient) -> None:
    (fault,) = faults(client, request(product='"SKU999"'))
    assert fault["type"] == "unknown_product"
    assert fault["loc"] == ["body", "product_code"]
    assert fault["input"] == "SKU999"
    assert "not among the 5 that the model knows: 'SKU001', 'SKU002'" in fault["msg"]


BAD_PRODUCTS = {
    "empty": ('""', "not among the 5"),
    "lower case": ('"sku001"', "not among the 5"),
    "a lone surrogate": (r'"\ud800"', "not among the 5"),
    "a null character": (r'"SKU001\u0000"', "not among the 5"),
    "a number": ("1", "valid string"),
    "null": ("null", "valid string"),
    "a list": ('["SKU001"]', "valid string"),
}


@pytest.mark.parametrize(("product", "reason"), BAD_PRODUCTS.values(), ids=BAD_PRODUCTS.keys())
def test_bad_products_are_refused(product: str, reason: str, client: TestClient) -> None:
    (fault,) = faults(client, request(product=product))
    assert fault["loc"] == ["body", "product_code"]
    assert reason in fault["msg"]


@pytest.mark.parametrize("field", ["product_code", "orders_placed"])
def test_a_missing_field_is_named(field: str, client: TestClient) -> None:
    others = {name: value for name, value in EXAMPLE.items() if name != field}
    (fault,) = faults(client, json.dumps(others).encode())
    assert fault["loc"] == ["body", field]
    assert fault["msg"] == "Field required"


BAD_BODIES = {
    "empty": (b"", "Field required"),
    "not JSON": (b"SKU001, 112", "JSON decode error"),
    "half of it": (request()[:20], "JSON decode error"),
    "a list": (b"[]", "valid dictionary"),
    "null": (b"null", "valid dictionary"),
    "text": (b'"x"', "valid dictionary"),
    "a number": (b"112", "valid dictionary"),
    "depth 500": (b"[" * 500 + b"]" * 500, "valid dictionary"),
    "depth 900": (b"[" * 900 + b"]" * 900, "valid dictionary"),
}


@pytest.mark.parametrize(("body", "reason"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_bad_bodies_are_refused(body: bytes, reason: str, client: TestClient) -> None:
    (fault,) = faults(client, body)
    assert fault["loc"][0] == "body"
    assert reason in fault["msg"]


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}], ids=["missing", "text"])
def test_another_content_type_than_json_is_refused(
    headers: dict[str, str], client: TestClient
) -> None:
    response = client.post(PREDICTION, content=request(), headers=headers)
    (fault,) = checked_faults(response.status_code, response.content)
    assert fault["loc"] == ["body"]
    assert "sent with the header Content-Type: application/json" in fault["msg"]


UNREADABLE_BODIES = {
    "5,000 digits": request(orders="9" * 5_000),
    "invalid UTF-8": b'{"product_code": "\xff", "orders_placed": 112}',
    "depth 100,000": b"[" * 100_000,
    "depth 100,000 in a value": request(orders="[" * 100_000),
}


@pytest.mark.parametrize("body", UNREADABLE_BODIES.values(), ids=UNREADABLE_BODIES.keys())
def test_unreadable_bodies_are_refused(body: bytes, client: TestClient) -> None:
    assert post(client, body) == (400, {"detail": "There was an error parsing the body"})


@pytest.mark.parametrize("depth", [*range(900, 1_001, 5), 5_000, 10_000, 50_000])
def test_every_depth_is_refused_wherever_the_recursion_limit_is(
    depth: int, client: TestClient
) -> None:
    # Python 3.11's JSON parser gives up at about 960 levels, later ones at about 10,000.
    nested = "[" * depth + "]" * depth
    for body in (nested.encode(), request(orders=nested), request(product=nested)):
        status, answer = post(client, body)
        assert status in (400, 422)
        assert answer["detail"]


def test_a_body_that_is_too_long_is_refused(client: TestClient) -> None:
    refusal = (413, {"detail": "The body is longer than 1,048,576 bytes."})
    assert post(client, b" " * TWO_MEGABYTES) == refusal
    assert post(client, chunks(TWO_MEGABYTES)) == refusal


def chunks(n_bytes: int) -> Iterator[bytes]:
    """Yield blanks in pieces, which makes a client send no content-length."""
    for _ in range(0, n_bytes, 1024):
        yield b" " * 1024


REFUSED_BODIES = {
    **{f"orders: {name}": request(orders) for name, (orders, _) in BAD_ORDERS.items()},
    **{f"product: {name}": request(product=code) for name, (code, _) in BAD_PRODUCTS.items()},
    **{f"body: {name}": body for name, (body, _) in BAD_BODIES.items()},
    **UNREADABLE_BODIES,
    "too long": b" " * TWO_MEGABYTES,
}


@pytest.mark.parametrize("body", REFUSED_BODIES.values(), ids=REFUSED_BODIES.keys())
def test_v0_2_refuses_what_v0_1_refuses_in_a_problem_document(
    body: bytes, hand_made_client: TestClient
) -> None:
    status, answer = post(hand_made_client, body)
    response = hand_made_client.post(PREDICTION_WITH_INTERVAL, content=body, headers=JSON_CONTENT)
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert response.status_code == problem["status"] == status
    assert status in (400, 413, 422)
    if isinstance(answer["detail"], str):
        assert problem["detail"] == answer["detail"]
    else:
        assert [error["type"] for error in problem["errors"]] == [
            fault["type"] for fault in answer["detail"]
        ]
        assert all(fault["msg"] in problem["detail"] for fault in answer["detail"])


LONG_INPUTS = {
    "product": request(product=f'"{"9" * 100_000}"'),
    "integer": request(orders="9" * 4_000),
    "list": request(orders=f"[{'9, ' * 10_000}9]"),
    "object": b'{"%s": 1}' % (b"9" * 100_000),
    "text": b'"%s"' % (b"9" * 100_000),
}


@pytest.mark.parametrize("body", LONG_INPUTS.values(), ids=LONG_INPUTS.keys())
def test_long_inputs_are_not_repeated_in_full(body: bytes, client: TestClient) -> None:
    for fault in faults(client, body):
        assert len(json.dumps(fault["input"])) <= 202


def test_an_input_that_json_cannot_carry_is_described(client: TestClient) -> None:
    (fault,) = faults(client, request(orders="NaN"))
    assert fault["input"] == "nan"
    (fault,) = faults(client, request(orders="true"))
    assert fault["input"] is True


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_refused(method: str, client: TestClient) -> None:
    response = client.request(method, PREDICTION)
    assert response.status_code == 405
    assert response.json() == {"detail": "Method Not Allowed"}
    assert response.headers["allow"] == "POST"


def test_an_unknown_path_is_refused(client: TestClient) -> None:
    response = client.post("/api/v9/time_to_dispatch", json=EXAMPLE)
    assert response.status_code == 404
    assert response.json() == {"detail": "Not Found"}


def test_the_lineage_of_the_model_is_told(client: TestClient, served_model: DispatchModel) -> None:
    response = client.get("/api/v0.1/model")
    metadata = json.loads(served_model.metadata.model_dump_json())
    assert response.status_code == 200
    assert response.json() == {"model_version": served_model.version, "lineage": metadata}
    assert metadata["dataset"]["key"].startswith("datasets/time_to_dispatch_")


def test_a_service_with_a_model_is_alive_and_ready(client: TestClient) -> None:
    for path in ("/healthz", "/readyz"):
        assert client.get(path).status_code == 200


def test_a_service_without_a_model_is_alive_but_not_ready(client_without_model: TestClient) -> None:
    assert client_without_model.get("/healthz").status_code == 200
    readiness = client_without_model.get("/readyz")
    assert readiness.status_code == 503
    assert readiness.json() == {"status": "no model is loaded"}


def test_a_service_without_a_model_answers_503_and_says_why(
    client_without_model: TestClient,
) -> None:
    asked = [
        client_without_model.post(PREDICTION, json=EXAMPLE),
        client_without_model.post(PREDICTION_WITH_INTERVAL, json=EXAMPLE),
        client_without_model.get("/api/v0.1/model"),
    ]
    for response in asked:
        assert response.status_code == 503
        assert "run the train-model stage on this store first" in response.json()["detail"]


def test_the_api_description_has_examples_and_the_products_of_the_model(
    client: TestClient, served_model: DispatchModel
) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    fields = schemas["TimeToDispatchRequest"]["properties"]
    assert fields["product_code"]["enum"] == list(served_model.metadata.catalogue.product_code)
    assert fields["product_code"]["examples"] == ["SKU001"]
    assert fields["orders_placed"]["examples"] == [112]
    answer = schemas["TimeToDispatchAnswer"]
    assert answer["properties"]["est_hours_to_dispatch"]["examples"] == [8.28]
    assert answer["required"] == ["est_hours_to_dispatch", "model_version"]


def test_the_api_description_of_v0_2_has_examples(
    hand_made_client: TestClient,
) -> None:
    description = hand_made_client.get("/openapi.json").json()
    schemas = description["components"]["schemas"]
    old = description["paths"][PREDICTION]["post"]
    new = description["paths"][PREDICTION_WITH_INTERVAL]["post"]
    assert description["info"]["version"] == "0.2"
    statuses = {"200", "400", "408", "413", "422", "503"}
    assert new["responses"].keys() == old["responses"].keys() == statuses
    answer, interval = schemas["TimeToDispatchAnswerWithInterval"], schemas["DispatchInterval"]
    assert answer["required"] == list(answer["properties"])
    assert answer["properties"]["est_hours_to_dispatch"]["examples"] == [8.28]
    assert answer["properties"]["extrapolated"]["examples"] == [False]
    assert [field["examples"] for field in interval["properties"].values()] == [
        [0.9],
        [6.95],
        [9.61],
    ]


def test_the_api_description_promises_the_form_of_faults_that_is_checked_here(
    client: TestClient,
) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["HTTPValidationError"]["properties"].keys() == {"detail"}
    assert set(schemas["ValidationError"]["required"]) == Fault.model_fields.keys()


def test_the_page_for_trying_out_is_there(client: TestClient) -> None:
    response = client.get("/docs")
    assert response.status_code == 200
    assert "/openapi.json" in response.text


def post(
    client: TestClient, body: bytes | Iterable[bytes], path: str = PREDICTION
) -> tuple[int, Any]:
    """Send the body of a prediction request, and return status and JSON of the answer."""
    response = client.post(path, content=body, headers=JSON_CONTENT)
    assert response.headers["content-type"] == "application/json"
    return response.status_code, response.json()


def faults(client: TestClient, body: bytes) -> list[dict[str, Any]]:
    """Send a bad body, and return the faults that the answer names."""
    response = client.post(PREDICTION, content=body, headers=JSON_CONTENT)
    return checked_faults(response.status_code, response.content)


def checked_faults(status: int, content: bytes) -> list[dict[str, Any]]:
    """Check that an answer is a 422 of the promised form and return its faults."""
    assert status == 422
    HTTPValidationError.model_validate_json(content)
    # Python's json accepts NaN and infinities, other languages do not.
    answer = json.loads(content, parse_constant=pytest.fail)
    detail: list[dict[str, Any]] = answer["detail"]
    assert detail
    return detail
