"""Too many requests at once get 503, but predictions, batches and probes their answers."""

import asyncio

from pipeline.serve_model import create_app
from tests.support.service_fixtures import (
    BATCH,
    ORDER,
    PROBLEM,
    PRODUCTS,
    V0_1,
    Answer,
    ask,
    hand_made_service,
)


def test_only_what_takes_longer_is_refused_and_only_beside_too_many_of_its_kind() -> None:
    service = hand_made_service("--max-concurrency", "1")
    app = create_app(service)

    async def ask_beside_another() -> list[Answer]:
        slow = asyncio.create_task(ask(app, "/openapi.json", method="GET"))  # made in a thread
        await asyncio.sleep(0)
        answers = [await ask(app, V0_1, [ORDER])]
        answers += [await ask(app, V0_1, [b"not JSON"])]
        answers += [await ask(app, path, method="GET") for path in (PRODUCTS, "/readyz")]
        answers += [await ask(app, BATCH, [b'{"orders": [%b]}' % ORDER])]
        assert not slow.done()
        return [*answers, await slow, await ask(app, PRODUCTS, method="GET")]

    answers = asyncio.run(ask_beside_another())
    assert [answer.status for answer in answers] == [200, 503, 503, 200, 200, 200, 200]
    for refused, media_type in zip(answers[1:3], ("application/json", PROBLEM)):
        assert refused.headers["content-type"] == media_type
        assert refused.headers["retry-after"] == "1"
        assert b"1 requests are being worked on already" in refused.body
    assert b'ttd_refused_inputs_total{reason="overloaded"} 2.0' in service.metrics.exposition()
