"""Every answer names its request, and so does every line of the log about it."""

import asyncio
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipeline.serve_model import create_app
from pipeline.server.middleware import RequestMiddleware
from pipeline.stages.logs import HANDLER_NAME, LogFormat, configure_logging
from tests.support.helpers import EXAMPLE, ROOT
from tests.support.service_fixtures import (
    BATCH,
    ORDER,
    PRODUCTS,
    TOO_LONG,
    UNREADABLE,
    V0_1,
    V0_2,
    BrokenModel,
    ask,
    hand_made_service,
    send,
    service_without_model,
)

BOTH = pytest.mark.parametrize("path", [V0_1, V0_2])


@pytest.fixture
def app() -> RequestMiddleware:
    """Return an application that serves the model made by hand."""
    return create_app(hand_made_service())


@pytest.fixture
def broken_app() -> RequestMiddleware:
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
    path: str, body: bytes, status: int, app: RequestMiddleware
) -> None:
    _check_identifiers(app, path, body, status)


@BOTH
def test_answers_401_500_and_503_name_their_requests(
    path: str, broken_app: RequestMiddleware, tmp_path: Path
) -> None:
    locked = create_app(hand_made_service("--api-key", "right"))
    _check_identifiers(locked, path, ORDER, 401)
    _check_identifiers(broken_app, path, ORDER, 500)
    _check_identifiers(create_app(service_without_model(tmp_path)), path, ORDER, 503)


def _check_identifiers(app: RequestMiddleware, path: str, body: bytes, status: int) -> None:
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
def test_harmless_identifiers_are_taken_over(given: str, app: RequestMiddleware) -> None:
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
def test_harmful_identifiers_are_replaced(given: bytes, app: RequestMiddleware) -> None:
    answer = send(app, V0_1, ORDER, (b"x-request-id", given))
    assert re.fullmatch("[0-9a-f]{16}-[0-9a-f]+", answer.headers["x-request-id"])


@pytest.mark.system
def test_identifiers_of_two_processes_differ() -> None:
    tell = (
        sys.executable,
        "-c",
        "from pipeline.server.request_ids import ID_PREFIX as p; print(p)",
    )
    prefixes = {subprocess.check_output(tell, cwd=ROOT) for _ in range(2)}
    assert len(prefixes) == 2


def test_all_identifiers_differ(app: RequestMiddleware) -> None:
    client = TestClient(app)
    with client:
        identifiers = {client.get("/healthz").headers["x-request-id"] for _ in range(100)}
    assert len(identifiers) == 100


@pytest.mark.usefixtures("no_log_handler")
@pytest.mark.parametrize("path", [V0_1, V0_2, BATCH, PRODUCTS])
def test_a_fault_of_ours_is_one_error_with_one_traceback_and_the_identifier(
    path: str, capsys: pytest.CaptureFixture[str], broken_app: RequestMiddleware
) -> None:
    configure_logging("INFO", "text")
    body = json.dumps({"orders": [EXAMPLE]}).encode() if path == BATCH else ORDER
    method = "GET" if path == PRODUCTS else "POST"
    answer = send(broken_app, path, body, (b"x-request-id", b"theirs-1"), method=method)
    log = capsys.readouterr().err
    (error,) = [line for line in log.splitlines() if " - ERROR - " in line]
    assert answer.status == 500
    assert error.endswith(
        "Unexpected error while answering a request. Please report this. [request theirs-1]"
    )
    assert log.count("Traceback (most recent call last)") == 1
    assert log.count("ZeroDivisionError: the model is broken") == 1


def test_a_fault_after_the_answer_has_begun_ends_it_and_is_logged(
    caplog: pytest.LogCaptureFixture, app: RequestMiddleware
) -> None:
    async def fail_to_send() -> None:
        await ask(_OnlyHeaders(app), "/healthz", method="GET")

    asyncio.run(fail_to_send())
    assert caplog.text.count("Unexpected error while answering a request") == 1


class _OnlyHeaders:
    """An application whose connection breaks after the headers of the answer."""

    def __init__(self, app: RequestMiddleware) -> None:
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
        assert f" - INFO - request_metrics._log - {message} " in line
        assert line.endswith(f" ms [request {request_id}]")


@pytest.mark.usefixtures("no_log_handler")
def test_no_path_breaks_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    app = create_app(hand_made_service("--access-log"))
    configure_logging("INFO", "text")
    forged = "/a\n2026-11-25 00:00:00,000 - INFO - forged"
    for path in (forged, "/\r", "/\x1b[31m", "/\u2028", "/é"):
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
