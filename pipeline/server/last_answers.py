"""Last answers: what a client without a whole request is told before its connection is closed."""

from http import HTTPStatus

from pipeline.api.browser_rules import NO_SNIFFING
from pipeline.api.errors import error_response


def last_answer(status: HTTPStatus, detail: str, path: str = "") -> bytes:
    """Return an answer as it is sent, in the form that the path's API version has.

    Args:
        status: of the answer.
        detail: what is wrong, and what to do.
        path: of the request, if it is known.
    """
    response = error_response(path, status, detail, {"connection": "close"})
    lines = [b"HTTP/1.1 %d %b" % (status, status.phrase.encode())]
    lines += [b"%b: %b" % header for header in (*response.raw_headers, NO_SNIFFING)]
    return b"\r\n".join([*lines, b"", response.body])
