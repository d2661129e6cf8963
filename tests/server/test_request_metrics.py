"""The access log: if asked for, a line for each request, with its identifier."""

import json

import pytest

from pipeline.serve_model import create_app
from pipeline.stages.log_lines import LogFormat
from pipeline.stages.logs import configure_logging
from tests.support.service_fixtures import ORDER, TOO_LONG, V0_1, V0_2, hand_made_service, send

REQUESTS = [
    (V0_1, ORDER, 200),
    ("/no/such/path", ORDER, 404),
    (V0_2, TOO_LONG, 413),
    (V0_2, b"x", 422),
]
pytestmark = pytest.mark.usefixtures("log_to_stderr")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_lines_about_a_request_carry_its_identifier(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(hand_made_service("--access-log", "--api-key", "right"))
    configure_logging("INFO", log_format)
    capsys.readouterr()
    for path, body, status in [*REQUESTS, (V0_1, ORDER, 401)]:
        key = b"wrong" if status == 401 else b"right"
        answer = send(app, path, body, (b"x-api-key", key))
        (line,) = capsys.readouterr().err.splitlines()
        message, identifier = f"POST {path} {status} in ", answer.headers["x-request-id"]
        if log_format == "json":
            record = json.loads(line)
            assert record["message"].startswith(message)
            assert record["request_id"] == identifier
            assert (record["method"], record["status"]) == ("POST", status)
            assert record["route"] == (path if path in (V0_1, V0_2) else "other")
            assert record["milliseconds"] > 0
        else:
            assert f" - INFO - request_metrics._log - {message}" in line
            assert line.endswith(f" ms [request {identifier}]")


FORGED_LINE = "/a\n2026-11-25 00:00:00,000 - INFO - forged"


@pytest.mark.parametrize("path", [FORGED_LINE, "/\r", "/\x1b[31m", "/\u2028", "/é"])
def test_no_path_breaks_a_line(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    app = create_app(hand_made_service("--access-log"))
    capsys.readouterr()
    send(app, path)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isascii() and line.isprintable()


def test_requests_are_not_logged_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    app = create_app(hand_made_service())
    capsys.readouterr()
    for path, body, _ in REQUESTS:
        send(app, path, body)
    assert capsys.readouterr().err == ""
