"""Before the service stops, each answer is the last on its connection, and nobody gets none."""

import asyncio
import json

import pytest
from starlette.types import Message

from pipeline.serve_model import create_app
from tests.support.service_fixtures import (
    JSON,
    ORDER,
    TOO_LONG,
    V0_1,
    V0_2,
    hand_made_service,
    request_scope,
    send,
)


@pytest.mark.parametrize("body", [ORDER, b"not JSON", TOO_LONG])
@pytest.mark.parametrize("path", [V0_1, V0_2])
def test_each_answer_of_a_draining_service_closes_its_connection(path: str, body: bytes) -> None:
    service = hand_made_service()
    app = create_app(service)
    assert "connection" not in send(app, path, body).headers
    service.is_draining = True
    headers = send(app, path, body).headers
    assert list(headers.items())[-1] == ("connection", "close")


def test_a_request_that_is_not_complete_when_the_server_stops_gets_503() -> None:
    service = hand_made_service()
    app = create_app(service)
    sent: list[Message] = []

    async def wait_for_ever() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send_message(message: Message) -> None:
        sent.append(message)

    async def stop_in_the_middle() -> None:
        scope = request_scope("POST", V0_1, [JSON])
        task = asyncio.create_task(app(scope, wait_for_ever, send_message))
        await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(stop_in_the_middle())
    start, body = sent
    assert start["status"] == 503
    assert {b"retry-after", b"x-request-id"} <= dict(start["headers"]).keys()
    detail = "The service is stopping. Try again in a second."
    assert json.loads(body["body"]) == {"detail": detail}
    assert 'reason="stopping"} 1.0' in service.metrics.exposition().decode()
