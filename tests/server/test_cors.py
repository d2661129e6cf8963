"""Browsers are told which pages may ask, and read the answers; others get the same answers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.api.service import DispatchService
from pipeline.serve_model import create_app
from tests.support.service_fixtures import (
    ORDER,
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

SHOP = b"https://shop.example"
OTHERS = [
    b"https://shop.example.evil",
    b"http://shop.example",
    b"https://shop.example:444",
    b"null",
]
CORS = ("--cors-origins", "https://partner.example, https://Shop.example:443")
ASKS = (b"access-control-request-method", b"POST")
GZIP = (b"content-encoding", b"gzip")
READABLE = "X-Request-ID, Retry-After, ETag"

MakeService = Callable[..., DispatchService]


def told(answer: Answer) -> dict[str, str]:
    """Return the headers of an answer that are for browsers."""
    return {
        name: value
        for name, value in answer.headers.items()
        if name.startswith("access-control-") or name == "vary"
    }


FOR_SHOP = {
    "access-control-allow-origin": SHOP.decode(),
    "access-control-expose-headers": READABLE,
    "vary": "Origin",
}
SERVICES: dict[str, MakeService] = {
    "plain": hand_made_service,
    "locked": lambda *cors: hand_made_service("--api-key", "right", *cors),
    "broken": lambda *cors: hand_made_service(*cors, model=broken_model()),
    "empty": lambda *cors: service_without_model(Path("/no/such/folder"), *cors),
}
ANSWERS = [
    ("plain", V0_1, ORDER, (), 200),
    ("plain", V0_2, ORDER + b" " * 300, (), 200),
    ("plain", f"{V0_2}/batch", b'{"orders": [%b]}' % ORDER, (), 200),
    ("plain", V0_2, b"{}", (), 422),
    ("plain", V0_2, UNREADABLE, (), 400),
    ("plain", V0_2, TOO_LONG, (), 413),
    ("plain", V0_2, ORDER, (GZIP,), 415),
    ("plain", "/no/such/path", b"", (), 404),
    ("plain", "/metrics", b"", (), 405),
    ("locked", V0_2, ORDER, (), 401),
    ("broken", V0_2, ORDER, (), 500),
    ("empty", V0_2, ORDER, (), 503),
]


@pytest.mark.parametrize(
    ("service", "path", "body", "headers", "status"),
    ANSWERS,
    ids=[f"{service} {path} {status}" for service, path, _, _, status in ANSWERS],
)
def test_each_answer_tells_whether_the_page_may_read_it(
    service: str, path: str, body: bytes, headers: tuple[tuple[bytes, bytes], ...], status: int
) -> None:
    app = create_app(SERVICES[service](*CORS))
    for origin, expected in [(SHOP, FOR_SHOP), *((each, {"vary": "Origin"}) for each in OTHERS)]:
        answer = send(app, path, body, (b"origin", origin), *headers)
        assert (answer.status, told(answer)) == (status, expected)
    assert told(send(app, path, body, *headers)) == {"vary": "Origin"}


@pytest.mark.parametrize("path", [V0_1, "/metrics", "/no/such/path"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_preflight_needs_no_key_and_no_model(service: str, path: str) -> None:
    app = create_app(SERVICES[service](*CORS))
    answer = send(app, path, b"", (b"origin", SHOP), ASKS, method="OPTIONS")
    assert (answer.status, answer.body) == (204, b"")
    assert told(answer) == FOR_SHOP | {
        "access-control-allow-methods": "GET, HEAD, POST",
        "access-control-allow-headers": "Authorization, *",
        "access-control-max-age": "7200",
    }


def test_a_preflight_for_another_origin_is_refused_with_the_reason() -> None:
    app = create_app(hand_made_service(*CORS))
    for origin in OTHERS:
        answer = send(app, V0_1, b"", (b"origin", origin), ASKS, method="OPTIONS")
        assert (answer.status, told(answer)) == (403, {"vary": "Origin"})
        assert f"Pages of {origin.decode()} may not ask: --cors-origins" in answer.body.decode()


def test_a_star_lets_all_pages_ask_with_a_key_of_their_own() -> None:
    app = create_app(hand_made_service("--cors-origins", "*", "--api-key", "right"))
    for_all = {"access-control-allow-origin": "*", "access-control-expose-headers": READABLE}
    for origin in (SHOP, *OTHERS):
        page = (b"origin", origin)
        assert send(app, V0_1, b"", page, ASKS, method="OPTIONS").status == 204
        for key, status in ((b"right", 200), (b"wrong", 401)):
            answer = send(app, V0_1, ORDER, page, (b"x-api-key", key))
            assert (answer.status, told(answer)) == (status, for_all)


def test_by_default_browsers_are_told_nothing() -> None:
    app = create_app(hand_made_service())
    answers = [
        send(app, V0_1, ORDER, (b"origin", SHOP)),
        send(app, V0_1, b"", (b"origin", SHOP), ASKS, method="OPTIONS"),
    ]
    assert [(answer.status, told(answer)) for answer in answers] == [(200, {}), (405, {})]


@pytest.mark.parametrize("headers", [[], [(b"origin", SHOP)], [ASKS]])
def test_other_options_are_no_preflight(headers: list[tuple[bytes, bytes]]) -> None:
    app = create_app(hand_made_service(*CORS))
    assert send(app, V0_1, b"", *headers, method="OPTIONS").status == 405
