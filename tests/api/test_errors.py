"""Every error says what is wrong, in the form of its API version."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipeline.api.errors import UNEXPECTED_ERROR
from pipeline.api.faults import faults_of
from pipeline.serve_model import create_app
from pipeline.server.middleware import RequestMiddleware
from tests.support.service_fixtures import (
    BATCH,
    ORDER,
    PROBLEM,
    PRODUCTS,
    TOO_LONG,
    UNREADABLE,
    V0_1,
    V0_2,
    Answer,
    broken_model,
    hand_made_service,
    send,
    service_without_model,
)

BOTH = pytest.mark.parametrize("path", [V0_1, V0_2])


@pytest.fixture
def app() -> RequestMiddleware:
    """Return an application that serves the model made by hand."""
    return create_app(hand_made_service())


def problem(answer: Answer) -> dict[str, Any]:
    """Check that an answer is a problem document, and return it."""
    assert answer.headers["content-type"] == PROBLEM
    # Python's json accepts NaN and infinities, other languages do not.
    document: dict[str, Any] = json.loads(answer.body, parse_constant=pytest.fail)
    assert list(document)[:4] == ["type", "title", "status", "detail"]
    assert document.keys() - {"errors"} == {"type", "title", "status", "detail"}
    assert document["type"] == "about:blank"
    assert document["status"] == answer.status
    assert document["title"] and document["detail"]
    return document


PROBLEMS: dict[str, tuple[str, str, bytes, int, str]] = {
    "unknown path": ("POST", "/api/v0.2/no_such_path", ORDER, 404, "Not Found"),
    "unknown path, odd": ("GET", "/api/v0.2/\n", b"", 404, "Not Found"),
    "another method": ("GET", V0_2, b"", 405, "Method Not Allowed"),
    "another method of products": ("POST", PRODUCTS, ORDER, 405, "Method Not Allowed"),
    "unreadable": ("POST", BATCH, UNREADABLE, 400, "Bad Request"),
    "too long": ("POST", V0_2, TOO_LONG, 413, "Request Entity Too Large"),
    "too long for a list": ("GET", PRODUCTS, TOO_LONG, 413, "Request Entity Too Large"),
    "no fields": ("POST", V0_2, b"{}", 422, "Unprocessable Entity"),
}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "title"), PROBLEMS.values(), ids=PROBLEMS.keys()
)
def test_every_error_of_v0_2_is_a_problem_document(
    method: str, path: str, body: bytes, status: int, title: str, app: RequestMiddleware
) -> None:
    answer = send(app, path, body, method=method)
    document = problem(answer)
    # Titles are Python's words for the statuses, and Python 3.13 took newer ones for some.
    newer = {"Request Entity Too Large": "Content Too Large"} | {
        "Unprocessable Entity": "Unprocessable Content"
    }
    assert (answer.status, document["title"] in (title, newer.get(title))) == (status, True)
    assert ("errors" in document) == (status == 422)


OLD_ERRORS: dict[str, tuple[str, str, bytes, int, str]] = {
    "unknown path": ("POST", "/api/v0.1/no_such_path", ORDER, 404, "Not Found"),
    "path without version": ("GET", "/no_such_path", b"", 404, "Not Found"),
    "another version": ("POST", "/api/v0.20/time_to_dispatch", ORDER, 404, "Not Found"),
    "another method": ("GET", V0_1, b"", 405, "Method Not Allowed"),
    "unreadable": ("POST", V0_1, UNREADABLE, 400, "There was an error parsing the body"),
    "too long": ("POST", V0_1, TOO_LONG, 413, "The body is longer than 1,048,576 bytes."),
}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"), OLD_ERRORS.values(), ids=OLD_ERRORS.keys()
)
def test_all_others_keep_the_form_of_fastapi(
    method: str, path: str, body: bytes, status: int, detail: str, app: RequestMiddleware
) -> None:
    answer = send(app, path, body, method=method)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body) == {"detail": detail}


def test_v0_1_keeps_the_form_of_fastapi_for_what_is_invalid(app: RequestMiddleware) -> None:
    answer = send(app, V0_1, b'{"product_code": "SKU001", "orders_placed": -1}')
    message = "Input should be greater than or equal to 0"
    place = {"type": "greater_than_equal", "loc": ["body", "orders_placed"], "msg": message}
    assert answer.status == 422
    assert json.loads(answer.body) == {"detail": [{**place, "input": -1, "ctx": {"ge": 0.0}}]}


def test_a_problem_lists_each_fault_with_a_pointer_to_it(app: RequestMiddleware) -> None:
    document = problem(send(app, V0_2, b'{"product_code": 1, "orders_placed": -1}'))
    text = "product_code: Input should be a valid string"
    number = "orders_placed: Input should be greater than or equal to 0"
    assert document["detail"] == f"{text}; {number}."
    assert document["errors"] == [
        {"type": "string_type", "detail": text, "pointer": "#/product_code"},
        {"type": "greater_than_equal", "detail": number, "pointer": "#/orders_placed"},
    ]


WORDS = {
    "nothing": (V0_2, b"{}", "product_code: Field required; orders_placed: Field required."),
    "a misspelt field": (
        V0_2,
        b'{"product_code": "SKU001", "order_placed": 1}',
        "orders_placed: Field required.",
    ),
    "another type": (
        V0_2,
        b'{"product_code": "SKU001", "orders_placed": "1"}',
        "orders_placed: Input should be a valid number.",
    ),
    "half a list": (
        V0_2,
        b'{"product_code": ["SKU001"], "orders_placed": -1}',
        "product_code: Input should be a valid string; "
        "orders_placed: Input should be greater than or equal to 0.",
    ),
    "no body": (V0_2, b"", "The body is empty; it should be a JSON object."),
    "a list": (V0_2, b"[]", "The body should be a JSON object."),
    "a batch in a list": (BATCH, b"[%b]" % ORDER, "The body should be a JSON object."),
    "a text": (V0_2, b'"SKU001"', "The body should be a JSON object."),
    "no batch": (BATCH, ORDER, "orders: Field required."),
    "no list": (BATCH, b'{"orders": %b}' % ORDER, "orders: Input should be a valid list."),
    "no colon": (V0_2, b'{"a" 1}', "JSON decode error: Expecting ':' delimiter at character 5."),
    "Latin-1": (
        V0_2,
        b'{"product_code": "\xe9"}',
        "There was an error parsing the body: it is not UTF-8 at byte 18",
    ),
    "too deep": (V0_2, UNREADABLE, "There was an error parsing the body: it nests too deeply"),
    "many digits": (
        BATCH,
        b'{"orders": [%b]}' % (b"9" * 5_000),
        "There was an error parsing the body: it has a number of too many digits",
    ),
}


@pytest.mark.parametrize(("path", "body", "detail"), WORDS.values(), ids=WORDS.keys())
def test_v0_2_names_the_field_and_says_what_is_wrong_with_it(
    path: str, body: bytes, detail: str, app: RequestMiddleware
) -> None:
    assert problem(send(app, path, body))["detail"] == detail


def test_in_a_batch_the_order_is_named_too(app: RequestMiddleware) -> None:
    body = b'{"orders": [%b, {"orders_placed": "x"}, 1]}' % ORDER
    _, fields, order = json.loads(send(app, BATCH, body).body)["predictions"]
    assert [fault["detail"] for fault in [*fields["errors"], *order["errors"]]] == [
        "orders[1].product_code: Field required",
        "orders[1].orders_placed: Input should be a valid number",
        "orders[2]: An order should be an object with product_code and orders_placed",
    ]


def test_json_that_cannot_be_read_is_told_with_its_place(app: RequestMiddleware) -> None:
    (fault,) = problem(send(app, V0_2, b'{"a" 1}'))["errors"]
    assert fault.keys() == {"type", "detail"}
    assert "at character 5" in fault["detail"]


def test_pointers_are_escaped() -> None:
    def pointer(*place: str | int) -> str | None:
        (fault,) = faults_of([{"type": "x", "msg": "x", "loc": ("body", *place)}])
        assert fault.parameter is None
        return fault.pointer

    assert pointer("orders", 3, "product_code") == "#/orders/3/product_code"
    assert pointer("a/b", "c~d", "~1") == "#/a~1b/c~0d/~01"
    assert pointer("e f", "g%h", "é", '"', "#?") == "#/e%20f/g%25h/%C3%A9/%22/%23%3F"
    assert pointer("") == "#/"
    assert pointer() is None


def test_parameters_of_the_url_are_named(app: RequestMiddleware) -> None:
    client = TestClient(app)
    response = client.get(PRODUCTS, params={"limit": "x", "product_code": "no"})
    (fault,) = response.json()["errors"]
    assert (response.status_code, response.headers["content-type"]) == (422, PROBLEM)
    assert fault.keys() == {"type", "detail", "parameter"}
    assert (fault["type"], fault["parameter"]) == ("int_parsing", "limit")
    assert fault["detail"].startswith("limit: Input should be a valid integer")


@BOTH
def test_without_a_model_the_answer_is_503_with_the_reason(path: str, tmp_path: Path) -> None:
    answer = send(create_app(service_without_model(tmp_path)), path)
    assert answer.status == 503
    detail = (problem(answer) if path == V0_2 else json.loads(answer.body))["detail"]
    assert "There is no model under" in detail


@BOTH
def test_a_fault_of_ours_is_500_in_the_form_of_the_version(path: str) -> None:
    answer = send(create_app(hand_made_service(model=broken_model())), path)
    assert answer.status == 500
    if path == V0_2:
        document = problem(answer)
        assert (document["title"], document["detail"]) == (
            "Internal Server Error",
            UNEXPECTED_ERROR,
        )
    else:
        assert answer.headers["content-type"] == "application/json"
        assert json.loads(answer.body) == {"detail": UNEXPECTED_ERROR}
    assert b"broken" not in answer.body
