"""The drain: while the service is about to stop, each answer is the last on its connection."""

from pipeline.api.service import DispatchService
from pipeline.server.exchange import Header
from pipeline.server.refusals import RequestRefused

CLOSE = (b"connection", b"close")


class Drain:
    """Sends clients to other instances while a service drains."""

    def __init__(self, service: DispatchService) -> None:
        """Remember the service, which knows whether it drains."""
        self._service = service

    def add_close(self, headers: list[Header]) -> None:
        """Close the connection after an answer; the drain may have begun since its request."""
        if self._service.is_draining:
            headers.append(CLOSE)


def service_stopping() -> RequestRefused:
    """Return what is answered to a request that has no answer when the drain is over."""
    return RequestRefused(503, "stopping", "The service is stopping. Try again in a second.")
