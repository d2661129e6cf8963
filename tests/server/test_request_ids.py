"""Every answer names its request: as the client does if that is harmless, or else as we do."""

import re
from pathlib import Path

import pytest

from pipeline.api.service import DispatchService
from pipeline.serve_model import create_app
from tests.support.service_fixtures import (
    ORDER,
    V0_1,
    V0_2,
    broken_model,
    hand_made_service,
    send,
    service_without_model,
)

OURS = "[0-9a-f]{16}-[0-9a-f]+-[0-9a-f]+"


@pytest.mark.parametrize("path", [V0_1, V0_2])
def test_answers_of_each_kind_of_service_name_their_requests(path: str, tmp_path: Path) -> None:
    check_identifiers(hand_made_service(), path, ORDER, 200)
    check_identifiers(hand_made_service("--api-key", "right"), path, ORDER, 401)
    check_identifiers(hand_made_service(model=broken_model()), path, ORDER, 500)
    check_identifiers(service_without_model(tmp_path), path, ORDER, 503)


def check_identifiers(service: DispatchService, path: str, body: bytes, status: int) -> None:
    """Check that an answer has the client's identifier, or a new one of ours."""
    app = create_app(service)
    given = send(app, path, body, (b"x-request-id", b"theirs-1"))
    ours = [send(app, path, body) for _ in range(2)]
    assert [answer.status for answer in (given, *ours)] == [status] * 3
    assert given.headers["x-request-id"] == "theirs-1"
    first, second = (answer.headers["x-request-id"] for answer in ours)
    assert first != second
    assert re.fullmatch(OURS, first)


UUID = b"7f3e8a1c-0d5b-4a8e-9c57-2f6f1b0f9d11"


@pytest.mark.parametrize("given", [b"1", b"a-B_c.9", UUID, b"Root=1-67/8:9+x=", b"x" * 128])
def test_harmless_identifiers_are_taken_over(given: bytes) -> None:
    answer = send(create_app(hand_made_service()), V0_1, ORDER, (b"x-request-id", given))
    assert answer.headers["x-request-id"] == given.decode()


FORGED_LINE = b"a\n2021-07-05 18:52:24,264 - INFO - forged"
CONTROLS = (b"a\n", b"a\r", b"a\0", b"\x1b[31mred")


@pytest.mark.parametrize(
    "given",
    [b"", b"a b", FORGED_LINE, *CONTROLS, b"a] [b", b'a"b', b"%s", "é".encode(), b"x" * 129],
)
def test_harmful_identifiers_are_replaced(given: bytes) -> None:
    answer = send(create_app(hand_made_service()), V0_1, ORDER, (b"x-request-id", given))
    assert re.fullmatch(OURS, answer.headers["x-request-id"])
