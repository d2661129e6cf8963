"""One instance of the service takes over from another under load, as in a rolling update."""

import asyncio
import json
import time
from collections.abc import Sequence

from deploy.campaign.steady_load import PATIENCE_SECONDS, Answer, Asked, SteadyLoad
from pipeline.model.reader import DispatchModel
from tests.support.service_balancer import Balancer, is_ready
from tests.support.service_clients import EXAMPLE_REQUEST, WatchedService


def check_takeover(old: WatchedService, new: WatchedService, model: DispatchModel) -> None:
    """Stop the old service under load, and fail if a request is lost.

    Args:
        old: gets SIGTERM, and should then end by itself with exit code 0.
        new: takes over.
        model: which both serve.
    """
    asked, told_at = asyncio.run(_take_over(old, new, sorted(model.products)))
    instance = _instance_of(new.ask(EXAMPLE_REQUEST))
    assert old.process.returncode == 0
    assert old.errors == new.errors == []

    assert [one for one in asked if not _is_right(one, model)] == []
    by_new = [one for one in asked if _instance_of(one.answer) == instance]
    by_old = [one for one in asked if _instance_of(one.answer) != instance]
    assert all(one.answer.is_last for one in by_old if one.sent_at > told_at)
    # Both instances had their share of both kinds of connections.
    for share in (by_old, by_new):
        assert len([one for one in share if one.kept_alive]) > 50
        assert len([one for one in share if not one.kept_alive]) > 50


async def _take_over(
    old: WatchedService, new: WatchedService, product_codes: Sequence[str]
) -> tuple[list[Asked], float]:
    """Stop the old service under load; return what was asked, and when it knew that it stops."""
    balancer = Balancer([old.port, new.port])
    async with balancer.running():
        load = SteadyLoad(balancer.port, product_codes, per_second=200)
        ending = asyncio.Event()
        running = asyncio.create_task(load.run(ending.is_set))
        await asyncio.sleep(1.5)
        old.process.terminate()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await is_ready(old.port):
                await asyncio.sleep(0.01)
        told_at = time.monotonic()
        await asyncio.to_thread(old.process.wait, PATIENCE_SECONDS)
        await asyncio.sleep(1)
        ending.set()
        return await running, told_at


def _is_right(asked: Asked, model: DispatchModel) -> bool:
    """Tell whether a prediction was answered as the model would."""
    (hours,) = model.estimate(
        {"product_code": [asked.product_code], "orders_placed": [asked.orders_placed]}
    )
    expected = {"est_hours_to_dispatch": round(float(hours), 2), "model_version": model.version}
    return asked.answer.status == 200 and json.loads(asked.answer.body) == expected


def _instance_of(answer: Answer) -> str:
    """Return what all identifiers of requests have in common that a service has made up."""
    return answer.headers["x-request-id"].split("-")[0]
