"""A body may be as long as its limit and no longer, whatever its headers say."""

import asyncio
from collections.abc import Sequence

import pytest
from starlette.types import Message

from pipeline.server.request_body import (
    BodyReader,
    ClientGone,
    RequestRefused,
    body_in,
    refuse_declared_length,
)

LIMIT = 10


def pieces(*sizes: int) -> list[Message]:
    """Return the messages of a body that comes in pieces."""
    last = len(sizes) - 1
    return [
        {"type": "http.request", "body": b"x" * size, "more_body": position < last}
        for position, size in enumerate(sizes)
    ]


def read(
    messages: Sequence[Message], declared: bytes | None = None, reader: BodyReader | None = None
) -> int:
    """Read a body and return its length; fail if more messages are asked for than there are."""
    to_receive = iter(messages)

    async def receive() -> Message:
        return next(to_receive)

    async def read_as_the_guard_does() -> bytes:
        refuse_declared_length({} if declared is None else {b"content-length": declared}, LIMIT)
        message = await receive()
        if not message.get("more_body"):
            return body_in(message, LIMIT)
        return await (reader or BodyReader()).read_rest(message, receive, LIMIT)

    body = asyncio.run(read_as_the_guard_does())
    assert set(body) <= set(b"x")
    return len(body)


def refusal(
    messages: Sequence[Message], declared: bytes | None = None, reader: BodyReader | None = None
) -> tuple[int, str, str]:
    """Read a body that is refused, and return status, reason and detail."""
    with pytest.raises(RequestRefused) as refused:
        read(messages, declared, reader)
    return refused.value.status, refused.value.reason, refused.value.detail


TOO_LONG = (413, "body_too_long", "The body is longer than 10 bytes.")


@pytest.mark.parametrize("sizes", [(0,), (1,), (LIMIT,), (4, 4, 2), (0, LIMIT, 0), (1,) * 10])
def test_a_body_up_to_the_limit_is_read(sizes: tuple[int, ...]) -> None:
    assert read(pieces(*sizes)) == sum(sizes)


def test_a_message_need_not_have_a_body() -> None:
    assert read([{"type": "http.request"}]) == 0


@pytest.mark.parametrize("sizes", [(LIMIT + 1,), (4, 4, 3), (LIMIT, 1), (1,) * 11])
def test_one_byte_more_is_refused(sizes: tuple[int, ...]) -> None:
    assert refusal(pieces(*sizes)) == TOO_LONG


def test_a_body_without_end_is_refused_as_soon_as_it_is_too_long() -> None:
    endless = [{"type": "http.request", "body": b"xxxx", "more_body": True}] * 3
    assert refusal(endless) == TOO_LONG


@pytest.mark.parametrize("declared", [b"11", b"1" + b"0" * 20, b"9" * 5_000])
def test_a_declared_length_is_refused_before_anything_is_read(declared: bytes) -> None:
    assert refusal([], declared) == TOO_LONG


@pytest.mark.parametrize(
    "declared", [b"0", b"1", b"-11", b"-1", b"ten", b"", b"1e1", b"+11", "٣".encode()]
)
def test_a_false_length_neither_helps_nor_harms(declared: bytes) -> None:
    assert refusal(pieces(LIMIT + 1), declared) == TOO_LONG
    assert read(pieces(LIMIT), declared) == LIMIT


@pytest.mark.parametrize("before", [[], pieces(4, 4)[:1]])
def test_a_client_that_leaves_gets_nothing(before: list[Message]) -> None:
    with pytest.raises(ClientGone):
        read([*before, {"type": "http.disconnect"}])


def test_unfinished_bodies_may_not_fill_the_memory() -> None:
    reader = BodyReader(max_waiting_bytes=7)
    assert read(pieces(LIMIT), reader=reader) == LIMIT  # has come as a whole, so it never waits
    assert refusal(pieces(4, 4, 1), reader=reader)[:2] == (503, "overloaded")


def test_bodies_that_have_been_read_make_room_for_others() -> None:
    reader = BodyReader(max_waiting_bytes=7)
    for _ in range(3):
        assert refusal(pieces(8, 1), reader=reader)[:2] == (503, "overloaded")
        assert refusal(pieces(4, LIMIT, 0), reader=reader) == TOO_LONG
        assert read(pieces(6, 1), reader=reader) == 7
        with pytest.raises(ClientGone):
            read([*pieces(5, 1)[:1], {"type": "http.disconnect"}], reader=reader)
        assert read(pieces(7, 0), reader=reader) == 7
