"""Offers to change the protocol: they are ignored, and the request is answered in HTTP/1.1.

A client may offer to go on in another protocol, as Java's offers HTTP/2 by default: `Upgrade: h2c`.
A server may ignore that (RFC 9110, section 7.8). uvicorn's parser does not: it takes what follows
the headers for the other protocol, so that the body is lost, or read as another request.

This module, `header_limit`, `quick_answers` and `timeouts` look into uvicorn's protocol, which is
no public interface.
"""

from http import HTTPStatus
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.server.last_answers import last_answer


class HttpOnlyProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which goes on in HTTP/1.1 whatever a client offers."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*args, **options)
        self.parser = HttpOnlyParser(self)

    def _should_upgrade(self) -> bool:
        """Have uvicorn do nothing with a request that has an offer; the parser brings it again."""
        return True

    def send_400_response(self, msg: str) -> None:
        """Close the connection after a request that is not HTTP, with an answer that is JSON."""
        self.transport.write(
            last_answer(HTTPStatus.BAD_REQUEST, f"{msg} The connection is closed.")
        )
        self.transport.close()


class HttpOnlyParser(HttpRequestParser):
    """A parser that reads a request with an offer again, without the offer."""

    def __init__(self, protocol: HttpOnlyProtocol) -> None:
        """Parse for a protocol."""
        self._protocol = protocol
        self._begin()

    def feed_data(self, data: Any) -> None:
        """Parse what has arrived, which may have several requests in it.

        Raises:
            HttpParserError: it is not HTTP/1.1.
        """
        while True:
            try:
                super().feed_data(data)
                return
            except HttpParserUpgrade as offer:
                data = memoryview(data)[offer.args[0] :]
            headers = self._headers_without_offer()
            self._begin()  # after `Connection: close`, it would read nothing more
            super().feed_data(headers)

    def _begin(self) -> None:
        """Begin as on a new connection, with what uvicorn sets for its own parser."""
        super().__init__(self._protocol)
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def _headers_without_offer(self) -> bytes:
        """Return the request line and the headers that were parsed last, as they may be parsed.

        Raises:
            HttpParserError: they ask for a tunnel, which is not for an origin server to make.
        """
        method = self.get_method()
        if method == b"CONNECT":
            raise HttpParserError("CONNECT is for proxies")
        version = self.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (method, self._protocol.url, version)]
        for name, value in self._protocol.headers:
            if name != b"upgrade":
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])
