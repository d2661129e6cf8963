"""Many orders in columns: the answers are those to the same orders in rows."""

import json
import random
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipeline.api.batch_schemas import EstimateColumns
from pipeline.api.batches import SLICE_ORDERS
from pipeline.model.reader import DispatchModel
from pipeline.serve_model import create_app
from tests.support.builders import KEPT
from tests.support.service_fixtures import BATCH, PROBLEM, HandMadeModel, hand_made_service

MOST = 100_000


@pytest.fixture
def client() -> TestClient:
    """Return a client of a service with a model that doubts one product and keeps another."""
    model = HandMadeModel(earlier_weeks=[KEPT], remarks={"few_rows": ["SKU003"]})
    return TestClient(create_app(hand_made_service(model=model)))


def as_columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answers to orders in rows in the form of the answers in columns."""
    columns: dict[str, list[Any]] = {name: [] for name in EstimateColumns.model_fields}
    for row in rows:
        interval = row.pop("interval", {})
        within = row.pop("dispatched_within", None) or {}
        flat = row | interval | {"dispatched_within_hours": within.get("hours")}
        for name, column in columns.items():
            column.append(flat.get(name))
    return columns


def drawn_orders(codes: list[str], n_orders: int) -> list[dict[str, Any]]:
    drawn = random.Random(4)
    return [
        {
            "product_code": drawn.choice(codes),
            "orders_placed": drawn.choice([drawn.randrange(400), drawn.uniform(0, 1_000_000)]),
        }
        for _ in range(n_orders)
    ]


def columns_of(orders: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [order[name] for order in orders] for name in ("product_code", "orders_placed")}


@pytest.mark.parametrize("codes", [["SKU001"], ["SKU001", " SKU002 ", "SKU003"]], ids=len)
def test_columns_get_the_answers_of_rows(codes: list[str], client: TestClient) -> None:
    orders = drawn_orders(codes, 2 * SLICE_ORDERS + 7)

    rows = client.post(BATCH, json={"orders": orders}).json()
    answer = client.post(BATCH, json=columns_of(orders))

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "model_version": rows["model_version"],
        "interval_level": 0.9,
        "dispatched_within_share": 0.95,
        "predictions": as_columns(rows["predictions"]),
        "errors": [],
    }


def test_the_model_in_production_answers_both_forms_alike(served_model: DispatchModel) -> None:
    client = TestClient(create_app(hand_made_service(model=served_model)))
    orders = drawn_orders(sorted(served_model.products), 500)

    rows = client.post(BATCH, json={"orders": orders}).json()["predictions"]
    columns = client.post(BATCH, json=columns_of(orders)).json()["predictions"]

    assert columns == as_columns(rows)


@pytest.mark.parametrize("place", [0, 1, SLICE_ORDERS - 1, SLICE_ORDERS, 2 * SLICE_ORDERS])
@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("product_code", "SKU999", "unknown_product"),
        ("product_code", None, "string_type"),
        ("product_code", 1, "string_type"),
        ("orders_placed", -1, "greater_than_equal"),
        ("orders_placed", 1_000_001, "less_than_equal"),
        ("orders_placed", "12", "float_type"),
        ("orders_placed", True, "float_type"),
        ("orders_placed", [], "float_type"),
        pytest.param("orders_placed", 10**400, "float_type", id="huge"),
    ],
)
def test_a_bad_value_is_told_by_its_index_and_costs_the_others_nothing(
    name: str, value: Any, kind: str, place: int, client: TestClient
) -> None:
    columns = columns_of(drawn_orders(["SKU001", "SKU002"], 2 * SLICE_ORDERS + 1))
    good = client.post(BATCH, json=columns).json()
    columns[name][place] = value

    response = client.post(BATCH, json=columns)

    answer = response.json()
    (error,) = answer.pop("errors")
    assert response.status_code == 200
    assert (error["index"], error["type"], error["pointer"]) == (place, kind, f"#/{name}/{place}")
    assert error["detail"].startswith(f"{name}[{place}]: ")
    for column in good["predictions"].values():
        column[place] = None
    assert answer == {name: value for name, value in good.items() if name != "errors"}


def test_an_order_may_have_several_errors_and_all_orders_may_have_some(client: TestClient) -> None:
    columns = {"product_code": [None, "SKU999"], "orders_placed": [-1, 5]}

    answer = client.post(BATCH, json=columns).json()

    assert [(error["index"], error["pointer"]) for error in answer["errors"]] == [
        (0, "#/product_code/0"),
        (0, "#/orders_placed/0"),
        (1, "#/product_code/1"),
    ]
    assert answer["predictions"] == dict.fromkeys(EstimateColumns.model_fields, [None, None])


BAD_COLUMNS: dict[str, tuple[Any, str, str | None]] = {
    "unequal": (
        {"product_code": ["SKU001"] * 1_200, "orders_placed": [1]},
        "The columns should have equal lengths, but product_code has 1,200, orders_placed has 1 "
        "values",
        None,
    ),
    "empty": ({"product_code": [], "orders_placed": []}, "at least 1 item", "#/product_code"),
    "one too many": (
        {"product_code": [""] * (MOST + 1), "orders_placed": [1] * (MOST + 1)},
        f"at most {MOST} items",
        "#/product_code",
    ),
    "one column": (
        {"product_code": ["SKU001"]},
        "orders_placed: Field required",
        "#/orders_placed",
    ),
    "no list": (
        {"product_code": "SKU001", "orders_placed": [1]},
        "product_code: Input should be a valid list",
        "#/product_code",
    ),
}


@pytest.mark.parametrize(
    ("body", "detail", "pointer"), BAD_COLUMNS.values(), ids=BAD_COLUMNS.keys()
)
def test_columns_that_do_not_fit_together_are_refused_as_a_whole(
    body: Any, detail: str, pointer: str | None, client: TestClient
) -> None:
    response = client.post(BATCH, json=body)
    problem = response.json()
    assert (response.status_code, response.headers["content-type"]) == (422, PROBLEM)
    assert detail in problem["detail"]
    assert problem["errors"][0].get("pointer") == pointer


def test_as_many_orders_as_allowed_are_answered(client: TestClient) -> None:
    columns = {"product_code": ["SKU001"] * MOST, "orders_placed": [1] * MOST}
    answer = client.post(
        BATCH, content=json.dumps(columns), headers={"content-type": "application/json"}
    )
    assert len(answer.json()["predictions"]["trusted"]) == MOST


def test_orders_in_columns_are_counted_one_by_one() -> None:
    service = hand_made_service()
    columns = {"product_code": ["SKU001", "SKU002", "SKU001", "x"], "orders_placed": [1, 50, 60, 1]}
    assert TestClient(create_app(service)).post(BATCH, json=columns).status_code == 200
    assert {
        'ttd_predictions_total{product_code="SKU001"} 2.0',
        'ttd_predictions_total{product_code="SKU002"} 1.0',
        'ttd_predictions_total{product_code="other"} 0.0',
        "ttd_extrapolations_total 1.0",
        'ttd_refused_inputs_total{reason="unknown_product"} 1.0',
    } <= set(service.metrics.exposition().decode().splitlines())


@pytest.mark.parametrize(("n_refused", "status"), [(10_000, 200), (10_001, 422)])
def test_too_many_orders_that_are_not_valid_refuse_their_batch(
    n_refused: int, status: int, client: TestClient
) -> None:
    n_good = 2 * SLICE_ORDERS
    codes = ["SKU001"] * n_good + ["no"] * n_refused
    answer = client.post(BATCH, json={"product_code": codes, "orders_placed": [1] * len(codes)})
    assert answer.status_code == status
    if status == 422:
        words = "More than 10,000 orders are not valid, such as that at index 12000 (product_code:"
        assert answer.json()["detail"].startswith(words)
        assert [fault["type"] for fault in answer.json()["errors"]] == ["too_many_refused"]
