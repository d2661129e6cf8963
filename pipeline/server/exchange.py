"""A request and its answer, which the concerns of the middleware share."""

from collections.abc import Awaitable, Callable

from starlette.types import Message, Receive, Scope, Send

from pipeline.api.browser_rules import NO_SNIFFING
from pipeline.api.errors import route_path

CLIENT_CLOSED_REQUEST = 499
"""How nginx counts requests whose client has gone."""

Header = tuple[bytes, bytes]


class Exchange:
    """A request and its answer.

    Attributes:
        scope: see ASGI.
        path: without the prefix that a proxy may have put before it.
        headers: of the request, with names in lower case; of one that comes twice the first
            counts, as it does for FastAPI.
        answer_headers: to add to the answer, whoever gives it.
        request_id: see `request_ids`.
        status: of the answer, or 499 as long as there is none.
    """

    request_id: bytes
    answer_headers: tuple[Header, ...] = (NO_SNIFFING,)

    def __init__(self, scope: Scope) -> None:
        """Begin with a request whose headers have arrived."""
        self.scope = scope
        self.path: str = route_path(scope) if scope["root_path"] else scope["path"]
        self.headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        self.status = CLIENT_CLOSED_REQUEST


class OpenExchange(Exchange):
    """One whose body is still to be received, and whose answer is still to be sent.

    Attributes:
        receive: see ASGI.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        add_late_headers: Callable[[list[Header]], None],
    ) -> None:
        """Begin with a request whose headers have arrived.

        Args:
            scope: see ASGI.
            receive: see ASGI.
            send: see ASGI.
            add_late_headers: adds to the headers of the answer when it starts.
        """
        super().__init__(scope)
        self.receive = receive
        self._send = send
        self._add_late_headers = add_late_headers

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the answer; a plain function, since each coroutine has its price."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), *self.answer_headers]
            self._add_late_headers(headers)
            message["headers"] = headers
        return self._send(message)
