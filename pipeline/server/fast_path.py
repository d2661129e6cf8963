"""The fast path: valid requests for one prediction are answered without FastAPI.

FastAPI takes several times longer than the prediction itself. So a request that is certainly valid
is answered here, by the same schema and with the same bytes, and every other one by FastAPI, which
still declares and documents these routes, and answers all errors. Without this module, only the
speed would change.
"""

import re
from collections.abc import Callable

from pipeline.api.predictions import ESTIMATE, ESTIMATE_WITH_INTERVAL
from pipeline.api.service import DispatchService

WITH_INTERVAL = {ESTIMATE: False, ESTIMATE_WITH_INTERVAL: True}
"""The paths that have a fast path, and whether their answers have an interval."""
JSON = b"application/json"
LIKE_JSON = re.compile(rb"\s*application/(?:[^/;]*\+)?json\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)
"""JSON in other words: FastAPI compares media types without case and parameters. A charset among
them means nothing, since JSON is UTF-8 (RFC 8259, sections 8.1 and 11)."""

FastAnswer = Callable[[DispatchService, str, bytes | None, bytes], bytes | None]


def answer_fast(
    service: DispatchService, path: str, content_type: bytes | None, body: bytes
) -> bytes | None:
    """Return the body of the answer 200 to a valid request for a prediction, else None.

    Args:
        service: has the model.
        path: of a POST request, without the prefix that a proxy may have put before it.
        content_type: header of the request.
        body: of the request.
    """
    with_interval = WITH_INTERVAL.get(path)
    if with_interval is None or content_type is None:
        return None
    if content_type != JSON and not LIKE_JSON.fullmatch(content_type):
        return None
    try:
        answer = service.answers().answer_body(body, with_interval)
    except Exception:  # an invalid request, no model or a bug: FastAPI tells them apart
        return None
    service.metrics.count_prediction(answer.product_code, answer.extrapolated)
    return answer.content
