"""The check of API keys."""

import re
from collections.abc import Collection, Mapping
from hashlib import blake2b
from hmac import compare_digest

KEY_HEADER = "X-API-Key"
BEARER = b"Bearer "
"""Prometheus and other programs can send a secret only as `Authorization: Bearer …`."""

HEALTH_PATHS = frozenset({"/healthz", "/readyz"})
OPEN_PATHS = HEALTH_PATHS | {"/", "/history"}
"""Paths that need no key: the probes, and the web pages, which have no data and ask for the key."""
DESCRIPTION = re.compile(r"/openapi\.json|/docs(?:/[^/]+)?")
"""Paths of the description of the API, which is the same whatever the model is."""


class KeyRing:
    """The keys that are accepted; several, so that they can be changed one client at a time."""

    def __init__(self, keys: Collection[str]) -> None:
        """Take the keys; without any, no key is asked for."""
        self._digests = [_digest(key.encode()) for key in keys]

    def accepts(self, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether the headers of a request, with names in lower case, carry a key.

        A wrong key takes the same time whichever it is: digests are compared, which all have the
        same length, in constant time, and with every key that there is.
        """
        if not self._digests:
            return True
        key = headers.get(b"x-api-key")
        given = _digest(_bearer_in(headers) if key is None else key)
        accepted = False
        for digest in self._digests:
            accepted |= compare_digest(given, digest)
        return accepted


def _digest(key: bytes) -> bytes:
    return blake2b(key, digest_size=32).digest()


def _bearer_in(headers: Mapping[bytes, bytes]) -> bytes:
    authorization = headers.get(b"authorization", b"")
    return authorization.removeprefix(BEARER) if authorization.startswith(BEARER) else b""
