"""Request identifiers: every answer has one, and so has every line of the log about its request."""

import re
from itertools import count
from os import getpid, register_at_fork
from secrets import token_hex

from pipeline.server.exchange import Exchange
from pipeline.stages.logs import REQUEST_ID

SAFE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
"""Identifiers of clients that are taken over; others could break log lines."""
SERVICE = token_hex(8).encode()
"""Makes our identifiers differ from those of other services; workers have the same."""


class OwnIds:
    """Makes identifiers that no other worker makes."""

    def __init__(self) -> None:
        """Begin in this process, and again in each that is forked from it."""
        self._begin()
        register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._prefix = b"%b-%x" % (SERVICE, getpid())  # asked once: it is a system call
        self._numbers = count(1)

    def next(self) -> bytes:
        """Return an identifier."""
        return b"%b-%x" % (self._prefix, next(self._numbers))


OWN_IDS = OwnIds()


def identify(exchange: Exchange) -> None:
    """Give a request the identifier that its client has sent if that is harmless, else ours."""
    given = exchange.headers.get(b"x-request-id")
    if given is not None and SAFE_ID.fullmatch(given):
        exchange.request_id = given
    else:
        exchange.request_id = OWN_IDS.next()
    exchange.answer_headers += ((b"x-request-id", exchange.request_id),)


def name_in_log(exchange: Exchange) -> None:
    """Have the identifier of a request in the lines that are logged from now on."""
    REQUEST_ID.set(exchange.request_id.decode())
