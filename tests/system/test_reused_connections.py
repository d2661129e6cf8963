"""A proxy that reuses its connections to the service at random ages, and never asks twice.

A few thousand requests in every test run, on connections that rest for up to two seconds; a hundred
thousand, on such that rest for up to a minute, as nginx lets them, with

    make reuse
"""

import asyncio
import os
import random
from pathlib import Path

import pytest

from deploy.campaign.steady_load import ESTIMATE, close, exchange, request_bytes
from tests.support.service_clients import watched_service

REQUESTS = int(os.environ.get("REUSE_REQUESTS", "2000"))
CONNECTIONS, MAX_REST_SECONDS = (800, 60.0) if "REUSE_REQUESTS" in os.environ else (100, 2.0)
BODY = b'{"product_code": "SKU001", "orders_placed": 112}'


class Proxy:
    """What a proxy does with its connections to a service.

    Attributes:
        left: how many requests are still to be sent.
        lost: what became of those that were not answered with 200.
        longest_rest: of a connection that was used again, in seconds.
    """

    def __init__(self, port: int, requests: int) -> None:
        """Prepare to send."""
        self._port = port
        self._random = random.Random(1)
        self.left = requests
        self.lost: list[str] = []
        self.longest_rest = 0.0

    async def run(self) -> None:
        """Send all requests, on many connections at once."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONNECTIONS):
                tasks.create_task(self._use_one())

    async def _use_one(self) -> None:
        """Use a connection at once, then again and again, after rests most of which are short."""
        connection = await asyncio.open_connection("127.0.0.1", self._port)
        request = request_bytes("POST", ESTIMATE, BODY)
        rest = 0.0
        while self.left > 0:
            self.left -= 1
            await asyncio.sleep(rest)
            try:
                answer = await exchange(connection, request)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.lost.append(f"after a rest of {rest:.1f} s: {error!r}")
                connection, rest = await asyncio.open_connection("127.0.0.1", self._port), 0.0
                continue
            if answer.status != 200 or answer.is_last:
                self.lost.append(f"after a rest of {rest:.1f} s: {answer}")
            self.longest_rest = max(self.longest_rest, rest)
            rest = MAX_REST_SECONDS * self._random.random() ** 20
        await close(connection)


@pytest.mark.system
def test_no_request_is_lost_on_a_connection_that_is_used_again_at_any_age(
    trained_store: Path, tmp_path: Path
) -> None:
    with watched_service(tmp_path, str(trained_store)) as service:
        proxy = Proxy(service.port, REQUESTS)
        asyncio.run(proxy.run())

    print(
        f"{len(proxy.lost)} of {REQUESTS:,} lost; the longest rest was {proxy.longest_rest:.1f} s"
    )
    assert proxy.lost == []
    assert proxy.longest_rest > MAX_REST_SECONDS / 2
