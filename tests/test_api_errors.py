"""Every error says what is wrong in the form of its API version, and names its request."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipeline.api_errors import FAULT_OF_OURS, faults_of
from pipeline.request_guard import RequestGuard
from pipeline.serve_model import create_app
from pipeline.stage_logging import HANDLER_NAME, LogFormat, configure_logging
from tests.helpers import EXAMPLE
from tests.service_fixtures import (
    BATCH,
    PROBLEM,
    PRODUCTS,
    V0_1,
    V0_2,
    Answer,
    BrokenModel,
    ask,
    hand_made_service,
    service_without_model,
)

JSON = (b"content-type", b"application/json")
ORDER = json.dumps(EXAMPLE).encode()
TOO_LONG = b" " * 1_048_577
UNREADABLE = b"[" * 100_000
BOTH = pytest.mark.parametrize("path", [V0_1, V0_2])


@pytest.fixture
def app() -> RequestGuard:
    """Return an application that serves the model made by hand."""
    return create_app(hand_made_service())


@pytest.fixture
def broken_app() -> RequestGuard:
    """Return an application whose model has a fault that nobody foresaw."""
    return create_app(hand_made_service(model=BrokenModel()))


@pytest.fixture
def no_log_handler() -> Iterator[None]:
    """Take the handler of the log away again, and what else configuring it has set."""
    yield
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if handler.name == HANDLER_NAME]:
        root.removeHandler(handler)
    logging.captureWarnings(False)


def send(
    app: RequestGuard,
    path: str,
    body: bytes = ORDER,
    *headers: tuple[bytes, bytes],
    method: str = "POST",
) -> Answer:
    """Send a request of JSON, and return the answer."""
    return asyncio.run(ask(app, path, [body], [JSON, *headers], method))


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
    "no path": ("GET", "/api/v0.2/", b"", 404, "Not Found"),
    "another method": ("GET", V0_2, b"", 405, "Method Not Allowed"),
    "another method of a batch": ("PUT", BATCH, b"", 405, "Method Not Allowed"),
    "another method of products": ("POST", PRODUCTS, ORDER, 405, "Method Not Allowed"),
    "unreadable": ("POST", V0_2, UNREADABLE, 400, "Bad Request"),
    "too long": ("POST", V0_2, TOO_LONG, 413, "Request Entity Too Large"),
    "too long for a list": ("GET", PRODUCTS, TOO_LONG, 413, "Request Entity Too Large"),
    "not JSON": ("POST", V0_2, b"x", 422, "Unprocessable Entity"),
    "no fields": ("POST", V0_2, b"{}", 422, "Unprocessable Entity"),
    "no batch": ("POST", BATCH, b"{}", 422, "Unprocessable Entity"),
}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "title"), PROBLEMS.values(), ids=PROBLEMS.keys()
)
def test_every_error_of_v0_2_is_a_problem_document(
    method: str, path: str, body: bytes, status: int, title: str, app: RequestGuard
) -> None:
    answer = send(app, path, body, method=method)
    document = problem(answer)
    # Titles are Python's words for the statuses, and Python 3.13 took newer ones for some.
    newer = {"Request Entity Too Large": "Content Too Large"} | {
        "Unprocessable Entity": "Unprocessable Content"
    }
    assert (answer.status, document["title"] in (title, newer.get(title))) == (status, True)
    assert ("errors" in document) == (status == 422)


@pytest.mark.parametrize("path", [V0_2, BATCH])
def test_another_method_is_told_the_right_one(path: str, app: RequestGuard) -> None:
    assert send(app, path, method="DELETE").headers["allow"] == "POST"
    assert send(app, PRODUCTS, method="DELETE").headers["allow"] == "GET"


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
    method: str, path: str, body: bytes, status: int, detail: str, app: RequestGuard
) -> None:
    answer = send(app, path, body, method=method)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body) == {"detail": detail}


def test_v0_1_keeps_the_form_of_fastapi_for_what_is_invalid(app: RequestGuard) -> None:
    answer = send(app, V0_1, b'{"product_code": "SKU001", "orders_placed": -1}')
    assert answer.status == 422
    assert json.loads(answer.body) == {
        "detail": [
            {
                "type": "greater_than_equal",
                "loc": ["body", "orders_placed"],
                "msg": "Input should be greater than or equal to 0",
                "input": -1,
                "ctx": {"ge": 0.0},
            }
        ]
    }


def test_a_problem_lists_each_fault_with_a_pointer_to_it(app: RequestGuard) -> None:
    document = problem(send(app, V0_2, b'{"product_code": 1, "orders_placed": -1}'))
    assert document["errors"] == [
        {
            "type": "string_type",
            "detail": "Input should be a valid string",
            "pointer": "#/product_code",
        },
        {
            "type": "greater_than_equal",
            "detail": "Input should be greater than or equal to 0",
            "pointer": "#/orders_placed",
        },
    ]
    assert document["detail"] == (
        "Input should be a valid string; Input should be greater than or equal to 0."
    )


def test_the_same_words_are_said_once(app: RequestGuard) -> None:
    document = problem(send(app, V0_2, b"{}"))
    assert document["detail"] == "Field required."
    assert [fault["pointer"] for fault in document["errors"]] == [
        "#/product_code",
        "#/orders_placed",
    ]


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (b"", "missing", "Field required"),
        (b"[]", "model_attributes_type", "valid dictionary"),
        (b'{"a": 1,}', "json_invalid", "at character 8"),
    ],
)
def test_what_is_wrong_with_a_whole_body_has_no_pointer(
    body: bytes, reason: str, words: str, app: RequestGuard
) -> None:
    (fault,) = problem(send(app, V0_2, body))["errors"]
    assert fault.keys() == {"type", "detail"}
    assert fault["type"] == reason
    assert words in fault["detail"]


def test_a_body_of_another_type_is_told_the_right_one() -> None:
    client = TestClient(create_app(hand_made_service()))
    response = client.post(V0_2, content=ORDER, headers={"content-type": "text/plain"})
    (fault,) = response.json()["errors"]
    assert (response.status_code, fault["type"]) == (422, "json_expected")
    assert "Content-Type: application/json" in fault["detail"]


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


def test_parameters_of_the_url_are_named(app: RequestGuard) -> None:
    client = TestClient(app)
    response = client.get(PRODUCTS, params={"limit": "x", "product_code": "no"})
    (fault,) = response.json()["errors"]
    assert (response.status_code, response.headers["content-type"]) == (422, PROBLEM)
    assert fault.keys() == {"type", "detail", "parameter"}
    assert (fault["type"], fault["parameter"]) == ("int_parsing", "limit")


@BOTH
def test_long_inputs_are_not_repeated_in_full(path: str, app: RequestGuard) -> None:
    for body in (
        b'{"product_code": "%b", "orders_placed": 1}' % (b"9" * 100_000),
        b'{"product_code": "SKU001", "orders_placed": [%b9]}' % (b"9, " * 10_000),
        b'{"product_code": "SKU001", "orders_placed": %b}' % (b"9" * 4_000),
    ):
        answer = send(app, path, body)
        assert answer.status == 422
        assert len(answer.body) < 1_000


@BOTH
def test_without_a_model_the_answer_is_503_with_the_reason(path: str, tmp_path: Path) -> None:
    answer = send(create_app(service_without_model(tmp_path)), path)
    assert answer.status == 503
    detail = (problem(answer) if path == V0_2 else json.loads(answer.body))["detail"]
    assert "There is no model under" in detail


@BOTH
def test_too_many_requests_at_once_get_503_and_the_probes_an_answer(path: str) -> None:
    waiting, refused, probe, later = asyncio.run(_ask_beside_one_that_waits(path))
    assert (waiting.status, probe.status, later.status) == (200, 200, 422)
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    detail = (problem(refused) if path == V0_2 else json.loads(refused.body))["detail"]
    assert "1 requests are being worked on already" in detail


async def _ask_beside_one_that_waits(path: str) -> tuple[Answer, Answer, Answer, Answer]:
    """Fill a service with one large batch; return its answer and those beside it and after it."""
    app = create_app(hand_made_service("--max-concurrency", "1"))
    batch = json.dumps({"orders": [EXAMPLE] * 1_000}).encode()
    waiting = asyncio.create_task(ask(app, BATCH, [batch]))
    await asyncio.sleep(0)
    refused = await ask(app, path, [b"not JSON"])
    probe = await ask(app, "/readyz", method="GET")
    assert not waiting.done()
    return await waiting, refused, probe, await ask(app, path, [b"not JSON"])


STATUSES: dict[str, tuple[str, bytes, int]] = {
    "200": (V0_1, ORDER, 200),
    "400": (V0_2, UNREADABLE, 400),
    "404": ("/no/such/path", ORDER, 404),
    "404 of v0.2": ("/api/v0.2/no_such_path", ORDER, 404),
    "405": ("/healthz", ORDER, 405),
    "413": (V0_2, TOO_LONG, 413),
    "422": (V0_1, b"{}", 422),
    "422 of v0.2": (V0_2, b"x", 422),
}


@pytest.mark.parametrize(("path", "body", "status"), STATUSES.values(), ids=STATUSES.keys())
def test_every_answer_names_its_request(
    path: str, body: bytes, status: int, app: RequestGuard
) -> None:
    _check_identifiers(app, path, body, status)


@BOTH
def test_answers_401_500_and_503_name_their_requests(
    path: str, broken_app: RequestGuard, tmp_path: Path
) -> None:
    locked = create_app(hand_made_service("--api-key", "right"))
    _check_identifiers(locked, path, ORDER, 401)
    _check_identifiers(broken_app, path, ORDER, 500)
    _check_identifiers(create_app(service_without_model(tmp_path)), path, ORDER, 503)


def _check_identifiers(app: RequestGuard, path: str, body: bytes, status: int) -> None:
    """Check that an answer has the client's identifier, or a new one of ours."""
    given = send(app, path, body, (b"x-request-id", b"theirs-1"))
    ours = [send(app, path, body) for _ in range(2)]
    assert [answer.status for answer in (given, *ours)] == [status] * 3
    assert given.headers["x-request-id"] == "theirs-1"
    first, second = (answer.headers["x-request-id"] for answer in ours)
    assert first != second
    assert re.fullmatch("[0-9a-f]{16}-[0-9a-f]+", first)


@pytest.mark.parametrize(
    "given", ["1", "a-B_c.9", "7f3e8a1c-0d5b-4a8e-9c57-2f6f1b0f9d11", "Root=1-67/8:9+x=", "x" * 128]
)
def test_harmless_identifiers_are_taken_over(given: str, app: RequestGuard) -> None:
    answer = send(app, V0_1, ORDER, (b"x-request-id", given.encode()))
    assert answer.headers["x-request-id"] == given


HARMFUL = {
    "empty": b"",
    "white space": b"a b",
    "line break": b"a\n2021-07-05 18:52:24,264 - INFO - forged",
    "line break at the end": b"a\n",
    "carriage return": b"a\r",
    "null character": b"a\0",
    "escape sequence": b"\x1b[31mred",
    "brackets": b"a] [request b",
    "quotes": b'a"b',
    "percent": b"%s",
    "not ASCII": "é".encode(),
    "129 characters": b"x" * 129,
    "200 characters": b"x" * 200,
}


@pytest.mark.parametrize("given", HARMFUL.values(), ids=HARMFUL.keys())
def test_harmful_identifiers_are_replaced(given: bytes, app: RequestGuard) -> None:
    answer = send(app, V0_1, ORDER, (b"x-request-id", given))
    assert re.fullmatch("[0-9a-f]{16}-[0-9a-f]+", answer.headers["x-request-id"])


def test_identifiers_of_two_processes_differ() -> None:
    prefixes = {
        send(create_app(hand_made_service()), V0_1).headers["x-request-id"].split("-")[0]
        for _ in range(5)
    }
    assert len(prefixes) == 5


def test_all_identifiers_differ(app: RequestGuard) -> None:
    client = TestClient(app)
    with client:
        identifiers = {client.get("/healthz").headers["x-request-id"] for _ in range(100)}
    assert len(identifiers) == 100


@BOTH
def test_a_fault_of_ours_is_500_in_the_form_of_the_version(
    path: str, broken_app: RequestGuard
) -> None:
    answer = send(broken_app, path)
    assert answer.status == 500
    if path == V0_2:
        document = problem(answer)
        assert (document["title"], document["detail"]) == ("Internal Server Error", FAULT_OF_OURS)
    else:
        assert answer.headers["content-type"] == "application/json"
        assert json.loads(answer.body) == {"detail": FAULT_OF_OURS}
    assert b"broken" not in answer.body


@pytest.mark.usefixtures("no_log_handler")
@pytest.mark.parametrize("path", [V0_1, V0_2, BATCH, PRODUCTS])
def test_a_fault_of_ours_is_one_error_with_one_traceback_and_the_identifier(
    path: str, capsys: pytest.CaptureFixture[str], broken_app: RequestGuard
) -> None:
    configure_logging("INFO", "text")
    body = json.dumps({"orders": [EXAMPLE]}).encode() if path == BATCH else ORDER
    method = "GET" if path == PRODUCTS else "POST"
    answer = send(broken_app, path, body, (b"x-request-id", b"theirs-1"), method=method)
    log = capsys.readouterr().err
    (error,) = [line for line in log.splitlines() if " - ERROR - " in line]
    assert answer.status == 500
    assert error.endswith(
        "A request failed in a way that nobody foresaw. Please report this. [request theirs-1]"
    )
    assert log.count("Traceback (most recent call last)") == 1
    assert log.count("ZeroDivisionError: the model is broken") == 1


def test_a_fault_after_the_answer_has_begun_ends_it_and_is_logged(
    caplog: pytest.LogCaptureFixture, app: RequestGuard
) -> None:
    async def fail_to_send() -> None:
        await ask(_OnlyHeaders(app), "/healthz", method="GET")

    asyncio.run(fail_to_send())
    assert caplog.text.count("A request failed in a way that nobody foresaw") == 1


class _OnlyHeaders:
    """An application whose connection breaks after the headers of the answer."""

    def __init__(self, app: RequestGuard) -> None:
        """Remember the application."""
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, and fail at the body."""

        async def send_headers(message: Any) -> None:
            if message["type"] == "http.response.body":
                raise ConnectionResetError("the connection is broken")
            await send(message)

        await self._app(scope, receive, send_headers)


def test_a_fault_of_ours_is_counted_and_the_next_request_is_answered() -> None:
    service = hand_made_service(model=BrokenModel())
    app = create_app(service)
    assert send(app, V0_1).status == 500
    service.serve(hand_made_service().answers().model)
    assert send(app, V0_1).status == 200
    counts = service.metrics.exposition().decode()
    for status in (200, 500):
        assert f'ttd_requests_total{{route="{V0_1}",status="{status}"}} 1.0' in counts
    assert "ttd_requests_in_progress 0.0" in counts


@pytest.mark.usefixtures("no_log_handler")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_lines_about_a_request_carry_its_identifier(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("INFO", log_format)
    app = create_app(hand_made_service("--access-log", "--api-key", "right"))
    capsys.readouterr()
    for n, (path, body, status) in enumerate(STATUSES.values()):
        headers = ((b"x-api-key", b"right"), (b"x-request-id", b"theirs-%d" % n))
        assert send(app, path, body, *headers).status == status
        _check_line(capsys.readouterr().err, log_format, f"POST {path} {status} in", f"theirs-{n}")
    ours = send(app, V0_1)
    line = f"POST {V0_1} 401 in"
    _check_line(capsys.readouterr().err, log_format, line, ours.headers["x-request-id"])


def _check_line(log: str, log_format: LogFormat, message: str, request_id: str) -> None:
    """Check that there is one line, which says this about this request."""
    (line,) = log.splitlines()
    if log_format == "json":
        record = json.loads(line)
        assert record["message"].startswith(message)
        assert record["request_id"] == request_id
    else:
        assert f" - INFO - request_guard.__call__ - {message} " in line
        assert line.endswith(f" ms [request {request_id}]")


@pytest.mark.usefixtures("no_log_handler")
def test_no_path_breaks_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    app = create_app(hand_made_service("--access-log"))
    configure_logging("INFO", "text")
    for path in ("/a\n2026-11-25 00:00:00,000 - INFO - forged", "/\r", "/\x1b[31m", "/\u2028", "/é"):
        send(app, path)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.isascii() and line.isprintable()


@pytest.mark.usefixtures("no_log_handler")
def test_requests_are_not_logged_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    app = create_app(hand_made_service())
    configure_logging("INFO", "text")
    for path, body, _ in STATUSES.values():
        send(app, path, body)
    assert capsys.readouterr().err == ""
