"""Who may ask: with one of the keys, and nobody else."""

import asyncio
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipeline.api.keys import KeyRing
from pipeline.serve_model import create_app
from tests.support.helpers import EXAMPLE
from tests.support.service_fixtures import (
    BATCH,
    PROBLEM,
    PRODUCTS,
    V0_1,
    V0_2,
    ask,
    hand_made_service,
)

KEYS = ("first-key-of-the-shop", "second+key/of=the_shop")
DETAIL = "Send a valid API key in the header X-API-Key."


@pytest.fixture(scope="module")
def client() -> TestClient:
    """Return a client of a service that asks for one of two keys."""
    return TestClient(create_app(hand_made_service("--api-key", " , ".join(KEYS))))


ACCEPTED = {
    "first": {"x-api-key": KEYS[0]},
    "second": {"X-API-Key": KEYS[1]},
    "bearer": {"authorization": f"Bearer {KEYS[0]}"},
    "second as bearer": {"authorization": f"Bearer {KEYS[1]}"},
    "beside another authorization": {"x-api-key": KEYS[0], "authorization": "Basic eDp5"},
}
REFUSED = {
    "none": {},
    "empty": {"x-api-key": ""},
    "half": {"x-api-key": KEYS[0][:10]},
    "longer": {"x-api-key": f"{KEYS[0]}x"},
    "another case": {"x-api-key": KEYS[0].upper()},
    "all at once": {"x-api-key": ",".join(KEYS)},
    "basic": {"authorization": f"Basic {KEYS[0]}"},
    "no scheme": {"authorization": KEYS[0]},
    "empty bearer": {"authorization": "Bearer "},
    "wrong beside a right bearer": {"x-api-key": "wrong", "authorization": f"Bearer {KEYS[0]}"},
}


@pytest.mark.parametrize("headers", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_each_key_opens_the_service(headers: dict[str, str], client: TestClient) -> None:
    for path in (V0_1, V0_2):
        assert client.post(path, json=EXAMPLE, headers=headers).status_code == 200
    assert client.get(PRODUCTS, headers=headers).status_code == 200


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED.keys())
def test_without_a_valid_key_the_answer_is_401_in_the_form_of_the_version(
    headers: dict[str, str], client: TestClient
) -> None:
    old, new = (client.post(path, json=EXAMPLE, headers=headers) for path in (V0_1, V0_2))
    assert old.status_code == new.status_code == 401
    assert old.headers["www-authenticate"] == new.headers["www-authenticate"] == "Bearer"
    assert (old.headers["content-type"], old.json()) == ("application/json", {"detail": DETAIL})
    assert new.headers["content-type"] == PROBLEM
    assert new.json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": DETAIL,
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[("POST", path) for path in (V0_1, V0_2, BATCH)],
        *[("GET", path) for path in ("/api/v0.1/model", PRODUCTS, "/report", "/metrics")],
        *[("GET", path) for path in ("/api/v0.2/history", "/reports/x", "/history/")],
        *[("GET", path) for path in ("/docs/a/b", "/openapi.json/", "/no/such/path")],
        *[("GET", path) for path in ("/healthz/", "//healthz", "/readyz/../metrics", "//")],
        *[("OPTIONS", path) for path in (V0_1, "*")],
    ],
)
def test_nothing_but_probes_page_and_description_is_open(method: str, path: str) -> None:
    app = create_app(hand_made_service("--api-key", KEYS[0]))
    assert asyncio.run(ask(app, path, method=method)).status == 401


@pytest.mark.parametrize("path", ["/docs", "/docs/favicon.png", "/openapi.json"])
def test_the_description_of_the_api_is_open_unless_it_should_not_be(path: str) -> None:
    for options, status in ((), 200), (("--no-open-docs",), 401):
        app = create_app(hand_made_service("--api-key", KEYS[0], *options))
        assert asyncio.run(ask(app, path, method="GET")).status == status


@pytest.mark.parametrize("key", ["clé".encode(), b"\xff\xfe", b"\0", b"x" * 60_000])
def test_no_key_is_too_odd_to_be_refused(key: bytes) -> None:
    app = create_app(hand_made_service("--api-key", KEYS[0]))
    for name, value in ((b"x-api-key", key), (b"authorization", b"Bearer " + key)):
        assert asyncio.run(ask(app, V0_2, headers=[(name, value)])).status == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/"])
def test_probes_and_page_need_no_key(path: str, client: TestClient) -> None:
    for headers in ({}, {"x-api-key": "wrong"}):
        assert client.get(path, headers=headers).status_code == 200


def test_a_refused_request_is_not_even_read(client: TestClient) -> None:
    response = client.post(V0_1, content=b" " * 2_000_000)
    assert response.status_code == 401


def test_every_key_is_compared_with_all_and_every_wrong_one_takes_the_same_steps() -> None:
    ring = KeyRing(KEYS)
    wrong = [b"", b"x", KEYS[0][:-1].encode(), f"{KEYS[0]}x".encode(), KEYS[1].lower().encode()]
    steps = [_steps(ring.accepts, {b"x-api-key": key}) for key in wrong]
    assert all(others == steps[0] for others in steps)
    for key in (b"x", *map(str.encode, KEYS)):
        compared = _steps(ring.accepts, {b"x-api-key": key}).count("compare_digest")
        assert compared == len(KEYS)


def _steps(function: Callable[[Any], bool], argument: Any) -> list[str]:
    """Return which functions are called, ours and Python's, while a function works."""
    steps: list[str] = []

    def note(frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            steps.append(frame.f_code.co_name)
        elif event == "c_call":
            steps.append(called.__name__.lstrip("_"))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function(argument)
    finally:
        sys.setprofile(before)
    return steps
