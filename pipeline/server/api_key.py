"""The check of the API key of a request."""

from collections.abc import Collection

from pipeline.api.keys import DESCRIPTION, KEY_HEADER, OPEN_PATHS, KeyRing
from pipeline.server.exchange import Exchange
from pipeline.server.refusals import RequestRefused


class ApiKeyCheck:
    """Lets through what needs no key, or has one."""

    def __init__(self, keys: Collection[str], has_open_docs: bool) -> None:
        """Take the keys; without any, no request needs one.

        Args:
            keys: that are accepted.
            has_open_docs: whether the description of the API needs none.
        """
        self._has_keys = bool(keys)
        self._keys = KeyRing(keys)
        self._has_open_docs = has_open_docs

    def check(self, exchange: Exchange) -> None:
        """Check a request before any of its body is read.

        Raises:
            RequestRefused: it needs a key, and has none or a wrong one.
        """
        if not self._has_keys or exchange.path in OPEN_PATHS:
            return
        if self._has_open_docs and DESCRIPTION.fullmatch(exchange.path):
            return
        if not self._keys.accepts(exchange.headers):
            detail = f"Send a valid API key in the header {KEY_HEADER}."
            raise RequestRefused(401, "no_valid_key", detail)
