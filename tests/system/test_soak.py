"""A service under a mixture of all that clients do, with reloads and restarts.

A few seconds in every test run, and ten minutes with

    make soak
"""

import asyncio
import json
import os
import random
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import psutil
import pytest

from deploy.campaign.steady_load import PATIENCE_SECONDS, request_bytes
from pipeline.manage_models import main as manage_models
from pipeline.model.artifact import MODELS
from pipeline.model.reader import load_model
from pipeline.orders.simulator import simulate_orders
from pipeline.stores.directory import DirectoryStore
from pipeline.train_model import main as train_model
from tests.support.helpers import deliver
from tests.support.service_clients import WatchedService, watched_service
from tests.support.service_fixtures import BATCH, PRODUCTS, V0_1, V0_2

SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "4"))
CLIENTS = 12
RESTARTS = 2
"""All in the first half, so that growth is looked for in one process."""
MAX_GROWTH_MIB = 8
MIB = 2**20
ORDER = b'{"product_code": "SKU001", "orders_placed": %d}'


class Said(NamedTuple):
    """An answer."""

    status: int
    body: bytes


class Client:
    """Sends requests to a service that may be restarted at any time.

    Attributes:
        answers: how many there were of each kind of request and status.
        wrong: what should not have been answered so.
    """

    def __init__(self, service: WatchedService, seed: int) -> None:
        """Prepare to send."""
        self.answers: Counter[tuple[str, int]] = Counter()
        self.wrong: list[str] = []
        self._port = service.port
        self._random = random.Random(seed)
        self._kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "prediction": self._predict,
            "pipelined": self._pipeline,
            "batch": self._batch,
            "curve": self._curve,
            "refused": self._refused,
            "slow": self._slow,
            "cut": self._cut,
            "upgrade": self._upgrade,
        }

    async def run(self, until: Callable[[], bool]) -> None:
        """Send requests of all kinds, one after the other."""
        while not until():
            kind = self._random.choice(list(self._kinds))
            deadline = monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await self._kinds[kind]()
                    break
                except (OSError, asyncio.IncompleteReadError):  # it is being restarted: once more
                    if monotonic() > deadline:
                        self.wrong.append(f"{kind}: never answered")
                        break
                    await asyncio.sleep(0.05)

    async def _talk(
        self, kind: str, *pieces: bytes, answers: int, pause: float = 0.0
    ) -> list[Said]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            said = [await _read(reader) for _ in range(answers)]
        finally:
            await _close(writer)
        self.answers.update((kind, one.status) for one in said)
        self.wrong += [f"{kind}: {one}" for one in said if one.status >= 500]
        return said

    def _order(self) -> bytes:
        return ORDER % self._random.randrange(320)

    async def _expect(
        self, kind: str, *pieces: bytes, answers: int = 1, pause: float = 0.0
    ) -> None:
        said = await self._talk(kind, *pieces, answers=answers, pause=pause)
        self.wrong += [f"{kind}: {one}" for one in said if one.status != 200]

    async def _predict(self) -> None:
        """Ask both versions, which must agree if one model has answered."""
        body = self._order()
        requests = [request_bytes("POST", path, body) for path in (V0_1, V0_2)]
        said = [(await self._talk("prediction", one, answers=1))[0] for one in requests]
        estimates = [json.loads(one.body) for one in said]
        if any(one.status != 200 for one in said) or (
            estimates[0]["model_version"] == estimates[1]["model_version"]
            and estimates[0]["est_hours_to_dispatch"] != estimates[1]["est_hours_to_dispatch"]
        ):
            self.wrong.append(f"prediction: {said}")

    async def _pipeline(self) -> None:
        requests = [request_bytes("POST", V0_2, self._order()) for _ in range(3)]
        await self._expect("pipelined", b"".join(requests), answers=3)

    async def _batch(self) -> None:
        rows = b'{"orders": [%b]}' % b",".join([self._order()] * 200)
        columns = json.dumps({"product_code": ["SKU002"] * 2_000, "orders_placed": [7] * 2_000})
        body = self._random.choice([rows, columns.encode()])
        await self._expect("batch", request_bytes("POST", BATCH, body))

    async def _curve(self) -> None:
        await self._expect("curve", request_bytes("GET", f"{PRODUCTS}/SKU003"))

    async def _refused(self) -> None:
        bad = [
            request_bytes("POST", V0_1, b'{"product_code": "no", "orders_placed": 1}'),
            request_bytes("POST", V0_2, b"[" * 2_000),
            request_bytes("POST", BATCH, b'{"orders": []}'),
            request_bytes("GET", "/nowhere"),
            request_bytes("DELETE", V0_1),
            b"nonsense\r\n\r\n",
        ]
        (said,) = await self._talk("refused", self._random.choice(bad), answers=1)
        if not 400 <= said.status < 500:
            self.wrong.append(f"refused: {said}")

    async def _slow(self) -> None:
        request = request_bytes("POST", V0_1, self._order())
        cuts = sorted(self._random.sample(range(1, len(request)), 3))
        pieces = [request[a:b] for a, b in zip([0, *cuts], [*cuts, len(request)])]
        await self._expect("slow", *pieces, pause=0.02)

    async def _cut(self) -> None:
        request = request_bytes("POST", V0_2, self._order())
        await self._talk("cut", request[: self._random.randrange(len(request))], answers=0)

    async def _upgrade(self) -> None:
        offer = ["Connection: Upgrade", "Upgrade: h2c"]
        await self._expect("upgrade", request_bytes("POST", V0_2, self._order(), headers=offer))


async def _read(reader: StreamReader) -> Said:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    return Said(int(head.split(b" ", 2)[1]), await reader.readexactly(length))


async def _close(writer: StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


class Figures(NamedTuple):
    """What a process holds."""

    mib: float
    files: int
    threads: int


def figures(process: psutil.Process) -> Figures:
    """Look at a process."""
    return Figures(process.memory_info().rss / MIB, process.num_fds(), process.num_threads())


async def toggle(store: Path, until: Callable[[], bool]) -> None:
    """Withdraw the newest model and restore it, again and again."""
    newest = load_model(DirectoryStore(str(store))).version
    while not until():
        for action in ("withdraw", "restore"):
            command = [action, newest, str(store)]
            assert await asyncio.to_thread(manage_models, command) == 0
            await asyncio.sleep(0.7)


@pytest.fixture
def two_models(production: Path) -> Path:
    """Return a store with two models."""
    deliver(production, simulate_orders(1_000, 7))
    assert train_model([str(production)]) == 0
    assert len(list((production / MODELS).iterdir())) == 2
    return production


def test_a_mixture_of_all_requests_leaves_nothing_behind(two_models: Path, tmp_path: Path) -> None:
    command = (str(two_models), "--reload-seconds", "0.5", "--drain-seconds", "0.2")
    seen: list[Figures] = []
    clients: list[Client] = []

    async def load(service: WatchedService, seconds: float) -> None:
        end = monotonic() + seconds
        more = [Client(service, seed) for seed in range(CLIENTS)]
        clients.extend(more)
        process = psutil.Process(service.process.pid)
        async with asyncio.TaskGroup() as group:
            group.create_task(toggle(two_models, lambda: monotonic() > end))
            running = [group.create_task(one.run(lambda: monotonic() > end)) for one in more]
            await asyncio.sleep(seconds / 3)
            seen.append(figures(process))
            await asyncio.gather(*running)
        await asyncio.sleep(1)
        seen.append(figures(process))

    for part in range(RESTARTS + 1):
        with watched_service(tmp_path, *command) as service:
            asyncio.run(load(service, SOAK_SECONDS / (4 if part < RESTARTS else 2)))
            service.process.terminate()
            assert service.process.wait(PATIENCE_SECONDS) == 0
            assert service.errors == []
    answers = sum((one.answers for one in clients), Counter[Any]())
    before, after = seen[-2:]
    print(f"\n{answers.total():,} answers: {dict(sorted(answers.items()))}\n{before} -> {after}")
    assert [wrong for one in clients for wrong in one.wrong] == []
    assert len({kind for kind, _ in answers}) == 7, "each kind, but for those that were cut"
    assert after.mib <= before.mib + MAX_GROWTH_MIB
    assert after.files <= before.files
    assert after.threads <= before.threads
