"""Looking over long bodies before they are parsed, which could take seconds and all memory.

Each value of JSON may take fifty times more memory than it has bytes, and a list or an object of
Python's most. So commas and brackets are counted, as bytes, in about a millisecond: there are at
least as many as values. Those within texts count too, so the limits leave room.
"""

import re

from pipeline.api.batch_schemas import MAX_ORDERS_IN_BATCH, MAX_ORDERS_IN_COLUMNS
from pipeline.api.predictions import ESTIMATE_BATCH
from pipeline.server.exchange import Exchange
from pipeline.server.refusals import RequestRefused

LIGHT_BYTES = 64 * 1024
"""Are parsed whatever they hold."""
MAX_VALUES, MAX_CONTAINERS = 5 * MAX_ORDERS_IN_COLUMNS, 3 * MAX_ORDERS_IN_BATCH
"""In a batch: values, and lists and objects among them. There is room for fields of an order, and
for columns, that nobody asks for."""
MAX_VALUES_OF_ONE = 10_000
"""In the body of any other request."""
OBJECT_BEGINS = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\{")


def check_weight(exchange: Exchange, body: bytes) -> None:
    """Check that a body may be parsed.

    Raises:
        RequestRefused: it holds no object, or more than any that is valid.
    """
    if len(body) <= LIGHT_BYTES:
        return
    if OBJECT_BEGINS.match(body) is None:
        raise RequestRefused(422, "no_object", "The body should be a JSON object in UTF-8.")
    is_batch = exchange.path == ESTIMATE_BATCH
    most = (MAX_VALUES, MAX_CONTAINERS) if is_batch else (MAX_VALUES_OF_ONE, MAX_VALUES_OF_ONE)
    if body.count(b",") > most[0] or body.count(b"[") + body.count(b"{") > most[1]:
        detail = f"The body has more than {most[0]:,} values, or {most[1]:,} lists and objects"
        raise RequestRefused(422, "too_many_values", f"{detail}: more than any that is valid.")
