"""The short way to a prediction: valid requests for one order are answered without FastAPI.

FastAPI costs several times more than the prediction itself. So what is certainly a valid request
for a prediction is answered here, by the same schema and with the same bytes; everything else
goes FastAPI's way. FastAPI still declares, documents and serves these routes, and answers every
error: if this module were removed, only the speed would change.
"""

from collections.abc import Callable

from pipeline.api.answers import answer_body
from pipeline.api.predictions import ESTIMATE, ESTIMATE_WITH_INTERVAL
from pipeline.api.service import DispatchService

WITH_INTERVAL = {ESTIMATE: False, ESTIMATE_WITH_INTERVAL: True}
"""The paths of the routes that have a short way, and whether they answer with an interval."""
JSON = b"application/json"
MAX_CACHED_BODY_BYTES = 256
"""In bytes. Answers are remembered by the bodies of their requests, which take some 50."""

FastAnswer = Callable[[DispatchService, str, bytes | None, bytes], bytes | None]


def answer_fast(
    service: DispatchService, path: str, content_type: bytes | None, body: bytes
) -> bytes | None:
    """Return the body of the answer 200 to a valid request for a prediction, else None.

    Args:
        service: answers.
        path: of a POST request, without the prefix that a proxy may have put before it.
        content_type: header of the request.
        body: of the request.
    """
    with_interval = WITH_INTERVAL.get(path)
    if with_interval is None or content_type != JSON:
        return None
    try:
        answers = service.answers()
        if len(body) > MAX_CACHED_BODY_BYTES:
            answer = answer_body(answers.model, body, with_interval)
        else:
            answer = answers.remembered_answer(body, with_interval)
    except Exception:  # a bad request, no model, or a fault of ours: FastAPI's way tells them apart
        return None
    service.metrics.count_prediction(answer.product_code, answer.extrapolated)
    return answer.content
