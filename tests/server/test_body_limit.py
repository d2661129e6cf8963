"""A body may be as long as its limit and no longer, whatever its headers say."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.types import Message

from pipeline.server.body_limit import (
    MAX_BATCH_BODY_BYTES,
    MAX_BODY_BYTES,
    BodyLimit,
    ClientGone,
)
from pipeline.server.exchange import OpenExchange
from pipeline.server.held_bytes import SMALL_BYTES, HeldBytes
from pipeline.server.refusals import RequestRefused
from tests.support.service_fixtures import BATCH, V0_1, request_scope

LIMIT = MAX_BODY_BYTES
HALF = LIMIT // 2
GONE: list[Message] = [{"type": "http.disconnect"}]


def pieces(*sizes: int, is_all: bool = True) -> list[Message]:
    """Return the messages of a body that comes in pieces, or of the beginning of one."""
    last = len(sizes) - 1 if is_all else None
    return [
        {"type": "http.request", "body": b"x" * size, "more_body": position != last}
        for position, size in enumerate(sizes)
    ]


def read(
    messages: Sequence[Message],
    declared: bytes | None = None,
    held: HeldBytes | None = None,
    path: str = V0_1,
) -> int:
    """Read a body and return its length; fail if more messages are asked for than there are."""
    to_receive = iter(messages)

    async def receive() -> Message:
        return next(to_receive)

    headers = [] if declared is None else [(b"content-length", declared)]
    scope = request_scope("POST", path, headers)
    exchange = OpenExchange(scope, receive, _send_nothing, lambda headers: None)
    body = asyncio.run(BodyLimit(held or HeldBytes()).read(exchange))
    assert body.count(b"x") == len(body)
    return len(body)


async def _send_nothing(message: Message) -> None:
    pytest.fail(f"Something was sent: {message}")


def refused_status(messages: Sequence[Message], *args: Any, **options: Any) -> int:
    """Read a body that is refused, and return the status."""
    with pytest.raises(RequestRefused) as refused:
        read(messages, *args, **options)
    return refused.value.status


@pytest.mark.parametrize("sizes", [(0,), (1,), (LIMIT,), (HALF, HALF - 2, 2), (0, LIMIT, 0)])
def test_a_body_up_to_the_limit_is_read(sizes: tuple[int, ...]) -> None:
    assert read(pieces(*sizes)) == sum(sizes)


def test_a_message_need_not_have_a_body() -> None:
    assert read([{"type": "http.request"}]) == 0


@pytest.mark.parametrize("sizes", [(LIMIT + 1,), (HALF, HALF, 1), (LIMIT, 1)])
def test_one_byte_more_is_refused_as_soon_as_it_has_come(sizes: tuple[int, ...]) -> None:
    for messages in (pieces(*sizes), pieces(*sizes, is_all=False)):
        with pytest.raises(RequestRefused) as refused:
            read(messages)
        assert (refused.value.status, refused.value.reason) == (413, "body_too_long")
        assert str(refused.value) == "The body is longer than 1,048,576 bytes."


def test_a_batch_may_be_longer() -> None:
    assert read(pieces(MAX_BATCH_BODY_BYTES), path=BATCH) == MAX_BATCH_BODY_BYTES
    assert refused_status(pieces(MAX_BATCH_BODY_BYTES + 1), path=BATCH) == 413


@pytest.mark.parametrize("declared", [b"%d" % (LIMIT + 1), b"1" + b"0" * 20, b"9" * 5_000])
def test_a_declared_length_is_refused_before_anything_is_read(declared: bytes) -> None:
    assert refused_status([], declared) == 413


@pytest.mark.parametrize(
    "declared", [b"0", b"0000000001", b"-9999999", b"ten", b"", b"1e10", b"+9999999", "٣".encode()]
)
def test_a_false_length_neither_helps_nor_harms(declared: bytes) -> None:
    assert refused_status(pieces(LIMIT + 1), declared) == 413
    assert read(pieces(LIMIT), declared) == LIMIT


@pytest.mark.parametrize("before", [[], pieces(4, is_all=False)])
def test_a_client_that_leaves_gets_nothing(before: list[Message]) -> None:
    with pytest.raises(ClientGone):
        read(before + GONE)


def test_unfinished_bodies_may_not_fill_the_memory_but_make_room_when_they_end() -> None:
    held = HeldBytes(most=7 * SMALL_BYTES)
    assert read(pieces(LIMIT), held=held) == LIMIT  # has come as a whole, so it is never held
    for _ in range(3):
        with pytest.raises(RequestRefused) as refused:
            read(pieces(8 * SMALL_BYTES, 1), held=held)
        assert (refused.value.status, refused.value.reason) == (503, "overloaded")
        assert refused_status(pieces(4 * SMALL_BYTES, LIMIT, 0), held=held) == 413
        with pytest.raises(ClientGone):
            read(pieces(5 * SMALL_BYTES, is_all=False) + GONE, held=held)
        assert read(pieces(6 * SMALL_BYTES, 1), held=held) == 6 * SMALL_BYTES + 1


def test_a_small_body_finds_room_beside_large_ones() -> None:
    held = HeldBytes(most=7)
    with held.holding(8):
        assert read(pieces(SMALL_BYTES - 1, 1), held=held) == SMALL_BYTES
        assert refused_status(pieces(SMALL_BYTES, 1, 0), held=held) == 503
