"""Too many requests at once get 503, but predictions and probes their answers."""

import asyncio

from pipeline.serve_model import create_app
from tests.support.service_fixtures import BATCH, ORDER, PRODUCTS, V0_1, ask, hand_made_service


def test_only_what_fastapi_answers_is_refused_and_only_while_it_is_busy() -> None:
    service = hand_made_service("--max-concurrency", "1")
    app = create_app(service)

    async def ask_beside_a_batch() -> list[int]:
        orders = b",".join([ORDER] * 1_000)
        batch = asyncio.create_task(ask(app, BATCH, [b'{"orders": [%b]}' % orders]))
        await asyncio.sleep(0)
        answers = [await ask(app, V0_1, [ORDER])]
        answers += [await ask(app, path, method="GET") for path in (PRODUCTS, "/readyz")]
        assert not batch.done()
        answers += [await batch, await ask(app, PRODUCTS, method="GET")]
        return [answer.status for answer in answers]

    assert asyncio.run(ask_beside_a_batch()) == [200, 503, 200, 200, 200]
    assert b'ttd_refused_inputs_total{reason="overloaded"} 1.0' in service.metrics.exposition()
