"""An unexpected error ends one request, is logged once, and the service goes on."""

import asyncio
import json
from typing import Any

import pytest

from pipeline.serve_model import create_app
from tests.support.helpers import EXAMPLE, logged
from tests.support.service_fixtures import (
    BATCH,
    ORDER,
    PRODUCTS,
    V0_1,
    V0_2,
    HandMadeModel,
    ask,
    broken_model,
    hand_made_service,
    send,
)

MESSAGE = "Unexpected error while answering a request. Please report this."
BATCH_OF_ONE = json.dumps({"orders": [EXAMPLE]}).encode()


@pytest.mark.usefixtures("log_to_stderr")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", V0_1, ORDER),
        ("POST", V0_2, ORDER),
        ("POST", BATCH, BATCH_OF_ONE),
        ("GET", PRODUCTS, b""),
    ],
)
def test_it_is_one_line_with_one_traceback_and_the_identifier(
    method: str, path: str, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(hand_made_service(model=broken_model()))
    answer = send(app, path, body, (b"x-request-id", b"theirs-1"), method=method)
    log = capsys.readouterr().err
    (error,) = [line for line in log.splitlines() if " - ERROR - " in line]
    assert answer.status == 500
    assert error.endswith(f"{MESSAGE} [request theirs-1]")
    assert log.count("Traceback (most recent call last)") == 1
    assert log.count("ZeroDivisionError: the model is broken") == 1


def test_it_is_logged_even_after_the_answer_has_begun(caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(hand_made_service())

    async def on_a_broken_connection(scope: Any, receive: Any, send: Any) -> None:
        async def send_headers(message: Any) -> None:
            if message["type"] == "http.response.body":
                raise ConnectionResetError("the connection is broken")
            await send(message)

        await app(scope, receive, send_headers)

    assert asyncio.run(ask(on_a_broken_connection, "/healthz", method="GET")).body == b""
    assert logged(caplog, "ERROR") == [MESSAGE]


def test_it_is_counted_and_the_next_request_is_answered() -> None:
    service = hand_made_service(model=broken_model())
    app = create_app(service)
    assert send(app, V0_1).status == 500
    service.serve(HandMadeModel())
    assert send(app, V0_1).status == 200
    counts = service.metrics.exposition().decode()
    for status in (200, 500):
        assert f'ttd_requests_total{{route="{V0_1}",status="{status}"}} 1.0' in counts
    assert "ttd_requests_in_progress 0.0" in counts
