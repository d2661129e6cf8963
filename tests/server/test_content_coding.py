"""A compressed body is refused, with what can be sent instead, on both ways to an answer."""

import asyncio
import gzip
import json
import zlib

import pytest

from pipeline.serve_model import create_app
from pipeline.server.fast_path import AnswerFast, answer_fast
from pipeline.server.middleware import RequestMiddleware
from tests.support.service_fixtures import (
    BATCH,
    JSON,
    ORDER,
    PROBLEM,
    V0_1,
    V0_2,
    Answer,
    ask,
    hand_made_service,
)

BODIES = {V0_1: ORDER, V0_2: ORDER, BATCH: b'{"orders": [%b]}' % ORDER}


@pytest.fixture(params=[answer_fast, lambda *request: None], ids=["fast", "slow"])
def app(request: pytest.FixtureRequest) -> RequestMiddleware:
    """Return an application with the fast path, and one without."""
    fast: AnswerFast = request.param
    return create_app(hand_made_service(), fast)


def send(
    app: RequestMiddleware, path: str, body: bytes, *codings: bytes, method: str = "POST"
) -> Answer:
    headers = [JSON, *((b"content-encoding", coding) for coding in codings)]
    return asyncio.run(ask(app, path, [body], headers, method))


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzip.compress(BODIES[BATCH])),
        (b"GZIP", gzip.compress(ORDER)),
        (b"deflate", zlib.compress(ORDER)),
        (b"br", ORDER),
        (b"identity, zstd", ORDER),
        (b"\xff" * 60_000, ORDER),
    ],
    ids=["gzip", "GZIP", "deflate", "br", "identity, zstd", "long"],
)
def test_a_coded_body_is_415_with_what_is_read(
    coding: bytes, body: bytes, path: str, app: RequestMiddleware
) -> None:
    refused = send(app, path, body, coding)
    assert (refused.status, refused.headers["accept-encoding"]) == (415, "identity")
    assert refused.headers["content-type"] == ("application/json" if path == V0_1 else PROBLEM)
    detail = json.loads(refused.body)["detail"]
    shown = coding[:40].decode("latin-1")
    assert detail == (
        f"Send the body as it is: Content-Encoding is {shown}, and only identity is read."
    )


@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_is_compressed_and_does_not_say_so_is_415_too(
    path: str, app: RequestMiddleware
) -> None:
    refused = send(app, path, gzip.compress(BODIES[path]))
    assert (refused.status, refused.headers["accept-encoding"]) == (415, "identity")
    assert "it looks compressed by gzip" in json.loads(refused.body)["detail"]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("coding", [b"identity", b"Identity", b"", b" identity , identity"])
def test_a_body_that_is_not_coded_may_say_so(
    coding: bytes, path: str, app: RequestMiddleware
) -> None:
    assert send(app, path, BODIES[path], coding).status == 200


def test_without_a_body_nothing_is_coded(app: RequestMiddleware) -> None:
    assert send(app, "/healthz", b"", b"gzip", method="GET").status == 200
