"""A body may be as long as the limit and no longer, whatever its headers say."""

import asyncio

import pytest
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message
from starlette.websockets import WebSocket

from pipeline.request_limits import BodyLimit

LIMIT = 10


async def tell_length(request: Request) -> PlainTextResponse:
    """Answer with the number of bytes in the body."""
    return PlainTextResponse(str(len(await request.body())))


async def refuse_to_read(request: Request) -> PlainTextResponse:
    """Answer without looking at the body."""
    return PlainTextResponse("not read")


async def tell_length_of_message(socket: WebSocket) -> None:
    """Answer one message with the number of bytes in it."""
    await socket.accept()
    await socket.send_text(str(len(await socket.receive_bytes())))
    await socket.close()


@pytest.fixture
def app() -> Starlette:
    """Return a tiny application behind the limit."""
    routes = [
        Route("/", tell_length, methods=["GET", "POST"]),
        Route("/unread", refuse_to_read, methods=["POST"]),
        WebSocketRoute("/socket", tell_length_of_message),
    ]
    return Starlette(routes=routes, middleware=[Middleware(BodyLimit, LIMIT)])


@pytest.fixture
def client(app: Starlette) -> TestClient:
    """Return a client of the application."""
    return TestClient(app)


def post_in_chunks(app: Starlette, sizes: tuple[int, ...]) -> tuple[int, str]:
    """Post a body in pieces without a content-length, and return status and text of the answer.

    TestClient would put the pieces together before it sends them.
    """
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    pieces: list[Message] = [
        {"type": "http.request", "body": b"x" * size, "more_body": True} for size in sizes
    ]
    to_receive = iter([*pieces, {"type": "http.request"}])
    sent: list[Message] = []

    async def receive() -> Message:
        return next(to_receive)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], sent[1]["body"].decode()


@pytest.mark.parametrize("n_bytes", [0, 1, LIMIT])
def test_a_body_up_to_the_limit_passes(n_bytes: int, client: TestClient) -> None:
    assert client.post("/", content=b"x" * n_bytes).text == str(n_bytes)


def test_a_request_without_a_body_passes(client: TestClient) -> None:
    assert client.get("/").text == "0"


def test_one_byte_more_is_refused_in_json(client: TestClient) -> None:
    response = client.post("/", content=b"x" * (LIMIT + 1))
    assert response.status_code == 413
    assert response.json() == {"detail": "The body is longer than 10 bytes."}


def test_a_declared_length_is_refused_before_the_application_sees_the_request(
    client: TestClient,
) -> None:
    assert client.post("/unread", content=b"x" * LIMIT).text == "not read"
    assert client.post("/unread", content=b"x" * (LIMIT + 1)).status_code == 413


def test_chunks_up_to_the_limit_pass(app: Starlette) -> None:
    assert post_in_chunks(app, (4, 4, 2)) == (200, "10")


@pytest.mark.parametrize("sizes", [(LIMIT + 1,), (4, 4, 3), (LIMIT, 1), (1,) * 11])
def test_chunks_beyond_the_limit_are_refused(sizes: tuple[int, ...], app: Starlette) -> None:
    assert post_in_chunks(app, sizes) == (413, "The body is longer than 10 bytes.")


@pytest.mark.parametrize("declared", ["0", "1", "-11", "-1", "ten", "", "1e1", "+11", "9" * 5_000])
def test_a_false_length_does_not_help_a_long_body(declared: str, client: TestClient) -> None:
    headers = {"content-length": declared}
    response = client.post("/", content=b"x" * (LIMIT + 1), headers=headers)
    assert response.status_code == 413


@pytest.mark.parametrize("declared", ["0", "-11", "ten", ""])
def test_a_false_length_does_not_harm_a_short_body(declared: str, client: TestClient) -> None:
    headers = {"content-length": declared}
    assert client.post("/", content=b"x" * LIMIT, headers=headers).text == str(LIMIT)


def test_a_long_length_of_a_short_body_is_believed(client: TestClient) -> None:
    headers = {"content-length": str(LIMIT + 1)}
    assert client.post("/", content=b"x", headers=headers).status_code == 413


def test_websockets_and_the_lifespan_pass_through(client: TestClient) -> None:
    headers = {"content-length": str(LIMIT + 1)}
    with client, client.websocket_connect("/socket", headers=headers) as socket:
        socket.send_bytes(b"x" * (LIMIT + 1))
        assert socket.receive_text() == str(LIMIT + 1)
