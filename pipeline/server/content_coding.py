"""The codings of bodies: none is read but JSON as it is."""

from pipeline.server.exchange import Exchange
from pipeline.server.refusals import RequestRefused

NO_CODINGS = {b"", b"identity"}
GZIP = b"\x1f\x8b"
"""How gzip begins, and JSON never does."""
LOOKS_COMPRESSED = "Send the body as it is: it looks compressed by gzip, and only JSON is read."
MAX_CODING_IN_ERROR = 40


def check_coding(exchange: Exchange, body: bytes) -> None:
    """Check that a body is not compressed; without a body, it does not matter what is said of it.

    Raises:
        RequestRefused: it is.
    """
    coding = exchange.headers.get(b"content-encoding")
    if coding is None or not body:
        if body.startswith(GZIP):
            raise RequestRefused(415, "content_encoding", LOOKS_COMPRESSED)
        return
    if {name.strip().lower() for name in coding.split(b",")} <= NO_CODINGS:
        return
    shown = coding[:MAX_CODING_IN_ERROR].decode("latin-1")
    detail = f"Send the body as it is: Content-Encoding is {shown}, and only identity is read."
    raise RequestRefused(415, "content_encoding", detail)
