"""Predictions for one order: right answers, and 4xx with reasons for all other requests."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipeline.model.artifact import MODELS
from pipeline.model.order import BaseOrder
from pipeline.model.reader import DispatchModel
from pipeline.serve_model import create_app
from tests.support.helpers import EXAMPLE
from tests.support.service_fixtures import (
    BATCH,
    PROBLEM,
    PRODUCTS,
    UNREADABLE,
    V0_1,
    V0_2,
    HandMadeModel,
    hand_made_service,
)

JSON_CONTENT = {"content-type": "application/json"}
RELATIVE_NOISE = {"NOISY": 8, "SKU001": 1, "STEADY": 1e-6}


@pytest.fixture(scope="module")
def client(served_model: DispatchModel) -> TestClient:
    """Return a client of a service with the model of the trained store."""
    return TestClient(create_app(hand_made_service(model=served_model)))


@pytest.fixture(scope="module")
def hand_made_client() -> TestClient:
    """Return a client of a service with a model made by hand, whose products differ in noise."""
    noise = {"relative_noise": list(RELATIVE_NOISE.values())}
    model = HandMadeModel(RELATIVE_NOISE, catalogue=noise)
    return TestClient(create_app(hand_made_service(model=model)))


def post(client: TestClient, body: bytes, path: str = V0_1) -> tuple[int, Any]:
    """Send the body of a prediction request, and return status and JSON of the answer."""
    response = client.post(path, content=body, headers=JSON_CONTENT)
    # Python's json accepts NaN and infinities, other languages do not.
    return response.status_code, json.loads(response.content, parse_constant=pytest.fail)


def request(orders: str = "112", product: str = '"SKU001"') -> bytes:
    """Return the body of a request with these JSON values, valid or not."""
    return f'{{"product_code": {product}, "orders_placed": {orders}}}'.encode()


def test_the_example_is_answered_with_exactly_two_keys(
    client: TestClient, trained_store: Path
) -> None:
    (artifact,) = (trained_store / MODELS).iterdir()
    status, answer = post(client, json.dumps(EXAMPLE).encode())
    assert status == 200
    assert list(answer) == ["est_hours_to_dispatch", "model_version"]
    assert answer["est_hours_to_dispatch"] == pytest.approx(8.28, abs=0.3)
    assert answer["model_version"] == artifact.stem


@pytest.mark.parametrize("orders", ["0", "-0.0", "0.5", "112.25", "1e2", "1000000", "1000000.0"])
def test_both_versions_answer_with_the_estimate_of_the_model(
    orders: str, client: TestClient, served_model: DispatchModel
) -> None:
    columns = {"product_code": ["SKU001"], "orders_placed": [float(orders)]}
    hours, lower, upper, extrapolated = (column.item() for column in served_model.predict(columns))
    status, answer = post(client, request(orders))
    status_with_interval, answer_with_interval = post(client, request(orders), V0_2)
    assert status == status_with_interval == 200
    assert answer["est_hours_to_dispatch"] == round(hours, 2)
    expected = answer | {
        "interval": {
            "level": None if extrapolated else 0.9,
            "lower_hours": round(lower, 2),
            "upper_hours": round(upper, 2),
        },
        "extrapolated": extrapolated,
    }
    assert {name: answer_with_interval[name] for name in expected} == expected


def test_v0_2_answers_with_exactly_these_keys(hand_made_client: TestClient) -> None:
    status, answer = post(hand_made_client, request(product='"NOISY"'), V0_2)
    assert status == 200
    assert json.dumps(answer) == json.dumps(
        {
            "est_hours_to_dispatch": 8.28,
            "interval": {"level": 0.9, "lower_hours": 0.0, "upper_hours": 18.92},
            "dispatched_within": {"share": 0.95, "hours": 18.92},
            "extrapolated": False,
            "curve_from": "2026-11-20T23:00:00Z",
            "trusted": True,
            "model_version": "by_hand",
        }
    )


@pytest.mark.parametrize(
    ("orders", "extrapolated"),
    [("0", True), ("9.99", True), ("10", False), ("200.5", False), ("200.51", True)],
)
def test_orders_outside_the_range_seen_are_extrapolated_and_nothing_is_promised_of_them(
    orders: str, extrapolated: bool, hand_made_client: TestClient
) -> None:
    _, answer = post(hand_made_client, request(orders), V0_2)
    assert answer["extrapolated"] is extrapolated
    told = None if extrapolated else {"share": 0.95, "hours": answer["interval"]["upper_hours"]}
    assert answer["dispatched_within"] == told
    assert answer["interval"]["level"] == (None if extrapolated else 0.9)


@pytest.mark.parametrize(("level", "share"), [(0.8, 0.9), (0.9, 0.95), (0.999, 0.9995)])
def test_the_share_dispatched_within_the_upper_bound_follows_from_the_level(
    level: float, share: float
) -> None:
    served = hand_made_service(model=HandMadeModel(interval={"level": level}))
    _, answer = post(TestClient(create_app(served)), request(), V0_2)
    assert answer["dispatched_within"]["share"] == share


@pytest.mark.parametrize("orders", ["0", "0.0909", "0.1", "1000000"])
@pytest.mark.parametrize("product", RELATIVE_NOISE)
def test_the_interval_of_the_product_contains_the_estimate_in_two_decimals(
    product: str, orders: str, hand_made_client: TestClient
) -> None:
    _, answer = post(hand_made_client, request(orders, f'"{product}"'), V0_2)
    hours, interval = answer["est_hours_to_dispatch"], answer["interval"]
    lower, upper = interval["lower_hours"], interval["upper_hours"]
    away = max(10 - float(orders), float(orders) - 200.5)
    half_width = 2 * RELATIVE_NOISE[product] * (0.251 + 0.05 * hours) * (1 + away / 190.5)
    assert 0 <= lower <= hours <= upper
    assert lower == pytest.approx(max(hours - half_width, 0), rel=1e-6, abs=0.02)
    assert upper == pytest.approx(hours + half_width, rel=1e-6, abs=0.02)
    assert [hours, lower, upper] == [round(number, 2) for number in (hours, lower, upper)]


@pytest.mark.parametrize("text", [" SKU001 ", "SKU001\u00a0", "\u200bSKU001", "SKU\u00ad001\ufeff"])
def test_a_code_that_looks_like_a_known_one_gets_the_answer_of_that_alike_everywhere(
    text: str, hand_made_client: TestClient
) -> None:
    sent, known = request(product=json.dumps(text)), request()
    for path in (V0_1, V0_2):
        answer = post(hand_made_client, known, path)
        assert answer[0] == 200 and post(hand_made_client, sent, path) == answer
    _, batch = post(hand_made_client, b'{"orders": [%b, %b]}' % (sent, known), BATCH)
    assert batch["predictions"][0] == batch["predictions"][1]
    page = hand_made_client.get("/api/v0.2/products", params={"product_code": text}).json()
    assert [product["product_code"] for product in page["products"]] == ["SKU001"]
    assert 'product_code="SKU001"' in hand_made_client.get("/metrics").text


BAD_VALUES = {
    ("orders_placed", "greater_than_equal"): ["-1", "-1e-300"],
    ("orders_placed", "less_than_equal"): ["1000001", "1000000.0001"],
    ("orders_placed", "finite_number"): ["NaN", "Infinity", "-Infinity", "1e400"],
    ("orders_placed", "float_type"): [
        *('"12"', "true", "null", "[112]", '{"n": 112}', "9" * 400, "9" * 4_000),
        *("[" * depth + "]" * depth for depth in (500, 900)),
    ],
    ("product_code", "string_type"): ["1", "null", '["SKU001"]'],
    ("product_code", "unknown_product"): [
        *('"SKU999"', '""', '"sku001"', r'"\ud800"', r'"SKU001\u0000"', f'"{"9" * 100_000}"'),
    ],
}
BAD_FIELDS = [(*place, value) for place, values in BAD_VALUES.items() for value in values]
"""The name of a field, the type of its error, and its value as JSON."""


@pytest.mark.parametrize(("field", "kind", "value"), BAD_FIELDS, ids=lambda text: text[:20])
def test_a_bad_field_is_refused_alike_in_both_versions_and_in_a_batch(
    field: str, kind: str, value: str, client: TestClient
) -> None:
    body = request(product=value) if field == "product_code" else request(orders=value)
    status, answer = post(client, body)
    (fault,) = answer["detail"]
    assert (status, fault["type"], fault["loc"]) == (422, kind, ["body", field])
    assert fault["msg"] and len(json.dumps(fault["input"])) <= 202
    told = {"type": kind, "detail": f"{field}: {fault['msg']}", "pointer": f"#/{field}"}
    status, problem = post(client, body, V0_2)
    assert (status, problem["errors"]) == (422, [told])
    status, batch = post(client, b'{"orders": [%b, %b]}' % (request(), body), BATCH)
    assert (status, "interval" in batch["predictions"][0]) == (200, True)
    place = {"detail": f"orders[1].{told['detail']}", "pointer": f"#/orders/1/{field}"}
    assert batch["predictions"][1] == {"errors": [told | place]}


@pytest.mark.parametrize(
    ("product", "closest"),
    [("sku003", "; the closest: 'SKU003'"), ("SKU31", "; the closest: 'SKU001', 'SKU003'")]
    + [("VALVE", "")],
)
def test_an_unknown_product_is_told_the_closest_and_where_all_are(
    product: str, closest: str, client: TestClient
) -> None:
    (fault,) = post(client, request(product=f'"{product}"'))[1]["detail"]
    assert fault["input"] == product
    assert fault["msg"] == (
        f"This product is not among the 5 that the model knows{closest}; GET {PRODUCTS} lists all"
    )


BAD_BODIES = {
    "empty": (b"", "missing", "Field required"),
    "not JSON": (b"SKU001, 112", "json_invalid", "JSON decode error"),
    "half of it": (request()[:20], "json_invalid", "JSON decode error"),
    **{
        body[:9].decode(): (body, "model_attributes_type", "valid dictionary")
        for body in (b"[]", b"null", b'"x"', b"112", b"[" * 900 + b"]" * 900)
    },
    "no product": (b'{"orders_placed": 1}', "missing", "Field required"),
    "no orders": (b'{"product_code": "SKU001"}', "missing", "Field required"),
}


@pytest.mark.parametrize(("body", "kind", "words"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_bad_body_is_refused_with_its_reason(
    body: bytes, kind: str, words: str, client: TestClient
) -> None:
    status, answer = post(client, body)
    (fault,) = answer["detail"]
    assert (status, fault["type"], fault["loc"][0]) == (422, kind, "body")
    assert words in fault["msg"]
    status, problem = post(client, body, V0_2)
    assert (status, [error["type"] for error in problem["errors"]]) == (422, [kind])


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}], ids=["missing", "text"])
def test_another_content_type_than_json_is_refused(
    headers: dict[str, str], client: TestClient
) -> None:
    response = client.post(V0_1, content=request(), headers=headers)
    (fault,) = response.json()["detail"]
    assert (response.status_code, fault["loc"]) == (422, ["body"])
    assert "sent with the header Content-Type: application/json" in fault["msg"]


@pytest.mark.parametrize(
    "body",
    [request(orders="9" * 5_000), request(product='"\xff"').decode().encode("latin-1"), UNREADABLE],
    ids=["5,000 digits", "invalid UTF-8", "depth 50,000"],
)
def test_an_unreadable_body_is_refused(body: bytes, client: TestClient) -> None:
    assert post(client, body) == (400, {"detail": "There was an error parsing the body"})
    assert post(client, body, V0_2)[0] == 400


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


def test_an_input_that_json_cannot_carry_is_described(client: TestClient) -> None:
    for value, told in (("NaN", "nan"), ("true", True), (r'["\ud800"]', "['\\ud800']")):
        assert post(client, request(orders=value))[1]["detail"][0]["input"] == told


def test_the_api_description_has_the_fields_and_their_examples(client: TestClient) -> None:
    description = client.get("/openapi.json").json()
    schemas = description["components"]["schemas"]
    frozen = schemas["TimeToDispatchRequest"]["properties"]
    assert list(frozen) == list(BaseOrder.model_fields) == ["product_code", "orders_placed"]
    assert schemas["Order"]["properties"].items() >= frozen.items()
    assert frozen["product_code"]["type"] == "string"
    assert "enum" not in frozen["product_code"]
    assert frozen["product_code"]["examples"] == ["SKU001"]
    assert frozen["orders_placed"]["examples"] == [112]
    old, new = (description["paths"][path]["post"] for path in (V0_1, V0_2))
    statuses = {"200", "400", "408", "413", "415", "422", "431", "503"}
    assert new["responses"].keys() == old["responses"].keys() == statuses
    assert PROBLEM in new["responses"]["422"]["content"]
    for name in ("TimeToDispatchAnswer", "TimeToDispatchAnswerWithInterval", "DispatchInterval"):
        fields = schemas[name]["properties"]
        assert schemas[name]["required"] == list(fields)
        assert all("description" in field or "$ref" in field for field in fields.values())
    assert {"loc", "msg", "type"} <= set(schemas["ValidationError"]["required"])
