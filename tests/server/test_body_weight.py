"""A long body that cannot be valid is refused before it is parsed, and one that can be is not."""

import json

import pytest

from pipeline.api.batch_schemas import MAX_ORDERS_IN_BATCH, MAX_ORDERS_IN_COLUMNS
from pipeline.serve_model import create_app
from pipeline.server.body_weight import LIGHT_BYTES
from tests.support.service_fixtures import BATCH, PROBLEM, V0_1, hand_made_service, send

APP = create_app(hand_made_service())
CODES = ", ".join(["SKU001"] * 10)
"""A code that is not known, and has as many commas as there is room for with each."""
HEAVY = {
    "lists": b'{"orders": [%b]}' % b",".join([b"[]"] * 1_300_000),
    "nested lists": b'{"orders": [%b]}' % b"[]".join([b"[" * 100_000]),
    "objects": b'{"orders": [%b]}' % b",".join([b'{"a":{}}'] * 100_000),
    "texts": b'{"orders": [%b]}' % b",".join([b'""'] * 1_300_000),
    "fields": b"{%b}" % b",".join(b'"%d":0' % number for number in range(600_000)),
}
NO_OBJECTS = {
    "a list": b"[%b]" % b",".join([b"0"] * LIGHT_BYTES),
    "a text": b'"%b"' % (b"x" * LIGHT_BYTES),
    "blanks": b" " * (LIGHT_BYTES + 1),
    "UTF-16": json.dumps({"orders": ["x" * LIGHT_BYTES]}).encode("utf-16"),
}


@pytest.mark.parametrize("path", [V0_1, BATCH])
@pytest.mark.parametrize("name", HEAVY)
def test_more_values_than_any_valid_body_has_are_refused(name: str, path: str) -> None:
    answer = send(APP, path, HEAVY[name][: 1024 * 1024] if path == V0_1 else HEAVY[name])
    assert answer.status == 422
    assert "lists and objects: more than any that is valid." in json.loads(answer.body)["detail"]


@pytest.mark.parametrize("name", NO_OBJECTS)
def test_what_is_no_object_is_refused(name: str) -> None:
    answer = send(APP, BATCH, NO_OBJECTS[name])
    assert (answer.status, answer.headers["content-type"]) == (422, PROBLEM)
    assert json.loads(answer.body)["detail"] == "The body should be a JSON object in UTF-8."


@pytest.mark.parametrize(
    "content",
    [
        {"orders": [{"product_code": CODES, "orders_placed": 1, "more": []}] * 10_000},
        {"product_code": ["SKU,01"] * 100_000, "orders_placed": [1.5] * 100_000},
        {"orders": [{"product_code": "SKU001", "orders_placed": 1}], "blanks": " " * LIGHT_BYTES},
    ],
    ids=["rows", "columns", "blanks"],
)
@pytest.mark.parametrize("begin", [b"", b" \r\n\t", b"\xef\xbb\xbf"], ids=["", "blank", "mark"])
def test_a_large_batch_is_parsed(content: dict[str, list[object]], begin: bytes) -> None:
    assert len(content.get("orders", [])) <= MAX_ORDERS_IN_BATCH
    assert len(content.get("product_code", [])) <= MAX_ORDERS_IN_COLUMNS
    answer = send(APP, BATCH, begin + json.dumps(content).encode())
    assert answer.status == 200 or b"too_many_refused" in answer.body
