"""Web pages of other origins: which of them may send requests, and read the answers (CORS).

The browser asks before it sends an order (a preflight, which has no key), and shows an answer to
the page only if its headers allow that: https://fetch.spec.whatwg.org/#http-cors-protocol. This
protects the pages' users, not the service: other programs ask as they like.
"""

from collections.abc import Collection

from pipeline.server.exchange import Exchange, OpenExchange
from pipeline.server.refusals import RequestRefused

ANY_ORIGIN = b"*"
ALLOWED_ORIGIN = b"access-control-allow-origin"
DEPENDS_ON_ORIGIN = (b"vary", b"Origin")
READABLE = (b"access-control-expose-headers", b"X-Request-ID, Retry-After, ETag")
PREFLIGHT_HEADERS = (
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-allow-headers", b"Authorization, *"),  # the star does not mean the former
    (b"access-control-max-age", b"7200"),  # no browser keeps it for longer
)
MAX_ORIGIN_IN_ERROR = 100


class OtherOrigins:
    """Tells browsers what the pages of some other origins may do."""

    def __init__(self, origins: Collection[str]) -> None:
        """Take the origins as browsers send them, or a star for all; without any, say nothing."""
        self._origins = frozenset(origin.encode() for origin in origins)
        self._are_all = ANY_ORIGIN in self._origins

    def allow(self, exchange: Exchange) -> None:
        """Add to the answer, whatever it will be, whether the page may read it."""
        if not self._origins:
            return
        origin = ANY_ORIGIN if self._are_all else exchange.headers.get(b"origin")
        if not self._are_all:
            exchange.answer_headers += (DEPENDS_ON_ORIGIN,)
        if origin in self._origins:
            exchange.answer_headers += ((ALLOWED_ORIGIN, origin), READABLE)

    def is_preflight(self, exchange: Exchange) -> bool:
        """Tell whether a browser asks what a page may send, and gets an answer."""
        return (
            exchange.scope["method"] == "OPTIONS"
            and bool(self._origins)
            and b"origin" in exchange.headers
            and b"access-control-request-method" in exchange.headers
        )

    async def answer_preflight(self, exchange: OpenExchange) -> None:
        """Answer what a page may send.

        Raises:
            RequestRefused: nothing.
        """
        origin = exchange.headers[b"origin"]
        if not self._are_all and origin not in self._origins:
            shown = origin[:MAX_ORIGIN_IN_ERROR].decode("latin-1")
            detail = f"Pages of {shown} may not ask: --cors-origins does not name this origin."
            raise RequestRefused(403, "origin", detail)
        headers = list(PREFLIGHT_HEADERS)
        await exchange.send({"type": "http.response.start", "status": 204, "headers": headers})
        await exchange.send({"type": "http.response.body"})
