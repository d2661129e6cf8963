"""Batches take turns, two at a time, in the order in which they came, and not too many wait."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from starlette.types import Message

from deploy.campaign.steady_load import close, exchange, request_bytes
from pipeline.api.service import DispatchService
from pipeline.serve_model import create_app
from pipeline.server.batch_queue import MAX_AT_WORK
from pipeline.server.held_bytes import MAX_HELD_BYTES
from pipeline.server.middleware import RequestMiddleware
from tests.support.service_clients import EXAMPLE_REQUEST, watched_service
from tests.support.service_fixtures import (
    BATCH,
    JSON,
    ORDER,
    PRODUCTS,
    V0_1,
    Answer,
    ask,
    hand_made_service,
    request_scope,
)

Batches = list[tuple[bytes, asyncio.Event]]
"""Bodies of those that are worked on, and what ends that."""


def watched_app(*arguments: str) -> tuple[RequestMiddleware, Batches]:
    """Return an application that works on batches for as long as a test likes, and those."""
    at_work: Batches = []

    async def answer(service: DispatchService, content_type: bytes | None, body: bytes) -> bytes:
        turn = body, asyncio.Event()
        at_work.append(turn)
        await turn[1].wait()
        at_work.remove(turn)
        return body

    return create_app(hand_made_service(*arguments), fast_batch=answer), at_work


async def settle() -> None:
    """Let everything happen that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def send_batches(
    app: RequestMiddleware, n_batches: int, length: int = 2
) -> list[asyncio.Task[Answer]]:
    """Send batches with their numbers as bodies, and let them get as far as they can."""
    sent = [
        asyncio.create_task(ask(app, BATCH, [b"{%d" % number + b" " * (length - 2)]))
        for number in range(n_batches)
    ]
    await settle()
    return sent


def test_two_are_worked_on_at_a_time_in_the_order_in_which_they_came() -> None:
    app, at_work = watched_app()

    async def work_on_all() -> list[bytes]:
        sent = await send_batches(app, 9)
        ended: list[bytes] = []
        while at_work:
            assert len(at_work) == min(MAX_AT_WORK, 9 - len(ended))
            assert (await ask(app, V0_1, [ORDER])).status == 200
            body, end = at_work[0]
            ended.append(body)
            end.set()
            await settle()
        assert [answer.body for answer in await asyncio.gather(*sent)] == ended
        return ended

    assert asyncio.run(work_on_all()) == [b"{%d" % number for number in range(9)]


@pytest.mark.parametrize(
    ("arguments", "length", "n_waiting"),
    [("--max-concurrency 3", 2, 3), ("", 8 * 1024 * 1024, MAX_HELD_BYTES // 1024**2 // 8)],
    ids=["number", "bytes"],
)
def test_no_more_wait_than_there_is_room_for(arguments: str, length: int, n_waiting: int) -> None:
    app, at_work = watched_app(*arguments.split())

    async def send_too_many() -> list[Answer]:
        sent = await send_batches(app, MAX_AT_WORK + n_waiting + 2, length)
        refused = [task.result() for task in sent if task.done()]
        assert [task.done() for task in sent[-2:]] == [True, True]
        assert (await ask(app, PRODUCTS, method="GET")).status == 200
        while at_work:
            at_work[0][1].set()
            await settle()
        assert {(await task).status for task in sent[:-2]} == {200}
        return refused

    for answer in asyncio.run(send_too_many()):
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert json.loads(answer.body)["detail"].endswith("Try again in a second.")


def test_a_batch_that_is_given_up_makes_room() -> None:
    app, at_work = watched_app("--max-concurrency", "1")

    async def give_up() -> None:
        sent = await send_batches(app, 3)
        sent[2].cancel()
        await settle()
        (another,) = await send_batches(app, 1)
        assert not another.done()
        while at_work:
            at_work[0][1].set()
            await settle()
        assert (await another).status == 200

    asyncio.run(give_up())


def test_a_batch_whose_client_has_gone_is_not_worked_on() -> None:
    app, at_work = watched_app()
    leaves = asyncio.Event()

    async def leave() -> list[bytes]:
        sent = await send_batches(app, MAX_AT_WORK)
        waiting = asyncio.create_task(ask(app, BATCH, [b"{gone}"], leaves=leaves))
        (after,) = await send_batches(app, 1)
        leaves.set()
        await settle()
        for _, end in list(at_work):
            end.set()
        await settle()
        bodies = [body for body, _ in at_work]
        at_work[0][1].set()
        assert [answer.status for answer in await asyncio.gather(*sent, after)] == [200] * 3
        with pytest.raises(ValueError):  # there is no answer
            await waiting
        return bodies

    assert asyncio.run(leave()) == [b"{0"]


def test_an_answer_that_nobody_reads_takes_no_turn_but_room() -> None:
    large = b"x" * (MAX_HELD_BYTES // 2)

    async def answer(service: DispatchService, content_type: bytes | None, body: bytes) -> bytes:
        return large

    app = create_app(hand_made_service(), fast_batch=answer)

    async def send_to_deaf_clients() -> list[int]:
        reads = asyncio.Event()
        deaf = [asyncio.create_task(_ask_without_reading(app, reads)) for _ in range(3)]
        await settle()
        # A small one finds room all the same.
        statuses = [(await ask(app, BATCH, [b"{" + b" " * size])).status for size in (99, 99_999)]
        reads.set()
        await asyncio.gather(*deaf)
        return [*statuses, (await ask(app, BATCH, [b"{" + b" " * 99_999])).status]

    assert asyncio.run(send_to_deaf_clients()) == [200, 503, 200]


async def _ask_without_reading(app: RequestMiddleware, reads: asyncio.Event) -> None:
    """Send a batch, and read no more than the first part of its answer before an event."""
    parts = 0

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        nonlocal parts
        parts += message["type"] == "http.response.body"
        if parts > 1:
            await reads.wait()

    await app(request_scope("POST", BATCH, [JSON]), receive, send)


@pytest.mark.system
def test_many_large_batches_take_bounded_memory(trained_store: Path, tmp_path: Path) -> None:
    columns = {"product_code": [f"{'SKU001':50}"] * 100_000, "orders_placed": [1.5] * 100_000}
    bodies = [
        json.dumps(columns).encode(),
        b'{"orders": [%b]}' % b",".join([b"[]"] * 1_300_000),
    ]
    with watched_service(tmp_path, str(trained_store)) as service:
        process = psutil.Process(service.process.pid)
        memory = process.memory_info().rss
        statuses = asyncio.run(_send_at_once(service.port, bodies * 6))
        assert 200 in statuses and set(statuses) <= {200, 422, 503}
        assert process.memory_info().rss < memory + 130 * 1024**2
        assert service.ask(EXAMPLE_REQUEST).status == 200


async def _send_at_once(port: int, bodies: Sequence[bytes]) -> list[int]:
    """Send batches on a connection each, and return the statuses of their answers."""

    async def one(body: bytes) -> int:
        connection = await asyncio.open_connection("127.0.0.1", port)
        try:
            return (await exchange(connection, request_bytes("POST", BATCH, body))).status
        finally:
            await close(connection)

    return await asyncio.gather(*map(one, bodies))
