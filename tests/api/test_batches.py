"""Many orders at once: each gets the answer that it would get alone, or its own errors."""

import asyncio
import json
import random
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipeline.api.answers import ModelAnswers
from pipeline.api.batch_schemas import OrderBatch
from pipeline.api.batches import SLICE_ORDERS, answer_batch
from pipeline.api.metrics import ServiceMetrics
from pipeline.api.schemas import OrderEstimate
from pipeline.api.unknown_products import MAX_SEARCHES_IN_REQUEST
from pipeline.model.reader import DispatchModel
from pipeline.serve_model import create_app
from tests.support.helpers import EXAMPLE
from tests.support.service_fixtures import (
    BATCH,
    PROBLEM,
    PRODUCTS,
    V0_2,
    HandMadeModel,
    ask,
    hand_made_service,
)

MOST = 10_000


@pytest.fixture
def client() -> TestClient:
    """Return a client of a service with the model made by hand."""
    return TestClient(create_app(hand_made_service()))


def test_each_order_gets_the_answer_that_it_would_get_alone(served_model: DispatchModel) -> None:
    client = TestClient(create_app(hand_made_service(model=served_model)))
    drawn = random.Random(4)
    orders = [
        {
            "product_code": drawn.choice(sorted(served_model.products)),
            "orders_placed": drawn.choice([drawn.randrange(400), drawn.uniform(0, 1_000_000)]),
        }
        for _ in range(2 * SLICE_ORDERS + 7)
    ]
    answer = client.post(BATCH, json={"orders": orders})
    ends_of_slices = [0, SLICE_ORDERS - 1, SLICE_ORDERS, 2 * SLICE_ORDERS, len(orders) - 1]
    looked_at = ends_of_slices + drawn.sample(range(len(orders)), 300)
    alone = [_alone(client, orders[n]) for n in looked_at]
    content = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert content.keys() == {"model_version", "predictions"}
    assert content["model_version"] == served_model.version
    assert len(content["predictions"]) == len(orders)
    assert [content["predictions"][n] for n in looked_at] == alone
    assert len({single["est_hours_to_dispatch"] for single in alone}) > 200


BAD_ORDERS: dict[str, list[tuple[str, str]]] = {
    '{"orders_placed": 1}': [("missing", "/product_code")],
    '{"product_code": "SKU001"}': [("missing", "/orders_placed")],
    "{}": [("missing", "/product_code"), ("missing", "/orders_placed")],
    '{"product_code": null, "orders_placed": -1}': [
        ("string_type", "/product_code"),
        ("greater_than_equal", "/orders_placed"),
    ],
    **dict.fromkeys(['"SKU001"', '["SKU001", 1]', "NaN", "null"], [("dict_type", "")]),
}
"""Those of which more than the value of a field is wrong, with types and places of the errors."""


@pytest.mark.parametrize(("order", "expected"), BAD_ORDERS.items())
def test_a_bad_order_is_reported_at_its_index_and_costs_the_others_nothing(
    order: str, expected: list[tuple[str, str]], client: TestClient
) -> None:
    good = json.dumps(EXAMPLE)
    response = _post(client, f'{{"orders": [{good}, {order}, {good}]}}')
    # Python's json accepts NaN and infinities, other languages do not.
    answer = json.loads(response.content, parse_constant=pytest.fail)
    first, refused, last = answer["predictions"]
    assert response.status_code == 200
    assert first == last == _alone(client, EXAMPLE)
    assert refused.keys() == {"errors"}
    assert [(fault["type"], fault["pointer"]) for fault in refused["errors"]] == [
        (type_, f"#/orders/1{place}") for type_, place in expected
    ]


def test_bad_orders_are_found_in_every_slice(client: TestClient) -> None:
    n_orders = 3 * SLICE_ORDERS
    bad = {0, 1, SLICE_ORDERS - 1, SLICE_ORDERS, 2 * SLICE_ORDERS + 1, n_orders - 1}
    orders = [{} if n in bad else EXAMPLE for n in range(n_orders)]
    answers = client.post(BATCH, json={"orders": orders}).json()["predictions"]
    refused = {n: answer for n, answer in enumerate(answers) if "errors" in answer}
    assert refused.keys() == bad
    for n, answer in refused.items():
        assert answer["errors"][0]["pointer"] == f"#/orders/{n}/product_code"


def test_in_a_batch_the_closest_products_are_named_for_the_first_unknown_codes(
    client: TestClient,
) -> None:
    codes = [f"sku-001{' ' * n}" for n in range(MAX_SEARCHES_IN_REQUEST + 1)]
    codes *= SLICE_ORDERS // 2
    orders = [{**EXAMPLE, "product_code": code} for code in codes]
    answers = client.post(BATCH, json={"orders": orders}).json()["predictions"]
    told = {
        code: "the closest: 'SKU001'" in answer["errors"][0]["detail"]
        for code, answer in zip(codes, answers)
    }
    assert list(told.values()) == [True] * MAX_SEARCHES_IN_REQUEST + [False]
    assert all(PRODUCTS in answer["errors"][0]["detail"] for answer in answers)


def test_all_bad_is_still_an_answer(client: TestClient) -> None:
    response = client.post(BATCH, json={"orders": [None] * 2})
    assert response.status_code == 200
    assert [list(answer) for answer in response.json()["predictions"]] == [["errors"]] * 2


BAD_ENVELOPES: dict[str, tuple[str, str, str | None]] = {
    "no orders": ('{"orders": []}', "too_short", "#/orders"),
    "one too many": (f'{{"orders": [{", ".join(["1"] * (MOST + 1))}]}}', "too_long", "#/orders"),
    "not JSON": ("orders", "json_invalid", None),
    "empty": ("", "missing", None),
    "no key": ("{}", "missing", "#/orders"),
    "null": ('{"orders": null}', "list_type", "#/orders"),
    "one order": (f'{{"orders": {json.dumps(EXAMPLE)}}}', "list_type", "#/orders"),
    "only the list": (f"[{json.dumps(EXAMPLE)}]", "model_attributes_type", None),
}


@pytest.mark.parametrize(
    ("body", "reason", "pointer"), BAD_ENVELOPES.values(), ids=BAD_ENVELOPES.keys()
)
def test_a_bad_envelope_is_refused_as_a_whole(
    body: str, reason: str, pointer: str | None, client: TestClient
) -> None:
    response = _post(client, body)
    (fault,) = response.json()["errors"]
    assert response.status_code == 422
    assert response.headers["content-type"] == PROBLEM
    assert (fault["type"], fault.get("pointer")) == (reason, pointer)


def test_each_order_is_counted() -> None:
    service = hand_made_service()
    n_orders = SLICE_ORDERS + 5
    orders: list[Any] = [EXAMPLE] * n_orders + [
        {"product_code": "SKU002", "orders_placed": 1_000},
        {"product_code": "SKU999", "orders_placed": 1},
        {},
        None,
    ]
    assert TestClient(create_app(service)).post(BATCH, json={"orders": orders}).status_code == 200
    counts = service.metrics.exposition().decode().splitlines()
    assert {
        f'ttd_predictions_total{{product_code="SKU001"}} {float(n_orders)}',
        'ttd_predictions_total{product_code="SKU002"} 1.0',
        'ttd_predictions_total{product_code="other"} 0.0',
        "ttd_extrapolations_total 1.0",
        'ttd_refused_inputs_total{reason="unknown_product"} 1.0',
        'ttd_refused_inputs_total{reason="missing"} 2.0',
        'ttd_refused_inputs_total{reason="dict_type"} 1.0',
    } <= set(counts)


def test_a_batch_gives_way_after_every_slice() -> None:
    metrics = ServiceMetrics()
    answers = ModelAnswers(HandMadeModel(), metrics.product_labels)
    most = MOST // SLICE_ORDERS - 1
    for n_orders, n_pauses in ((1, 0), (SLICE_ORDERS, 0), (SLICE_ORDERS + 1, 1), (MOST, most)):
        batch = answer_batch(answers, OrderBatch(orders=[EXAMPLE] * n_orders), metrics)
        pauses = 0
        try:
            while True:
                batch.send(None)
                pauses += 1
        except StopIteration as stop:
            assert len(json.loads(stop.value)["predictions"]) == n_orders
        assert pauses == n_pauses


def test_a_batch_keeps_the_model_that_it_began_with() -> None:
    service = hand_made_service()
    app = create_app(service)

    async def reload_in_the_middle() -> bytes:
        orders = json.dumps({"orders": [EXAMPLE] * MOST}).encode()
        batch = asyncio.create_task(ask(app, BATCH, [orders]))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not batch.done()
        service.serve(HandMadeModel(["ANOTHER"], version="newer"))
        return (await batch).body

    answer = json.loads(asyncio.run(reload_in_the_middle()))
    assert answer["model_version"] == "by_hand"
    assert all("interval" in order for order in answer["predictions"])
    assert service.answers().model.version == "newer"


def _post(client: TestClient, body: str) -> Any:
    return client.post(BATCH, content=body, headers={"content-type": "application/json"})


def _alone(client: TestClient, order: dict[str, Any]) -> dict[str, Any]:
    """Return of the answer to a single order what is about the order, not about the model."""
    answer: dict[str, Any] = client.post(V0_2, json=order).json()
    return {name: answer[name] for name in OrderEstimate.model_fields}
