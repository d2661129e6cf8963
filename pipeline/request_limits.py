"""Limits on what a client may send."""

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Middleware that answers 413 to a request whose body is too long.

    FastAPI has a limit too (`max_body_size`), but its answer is not JSON when the client declares
    the length.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        """Wrap an application.

        Args:
            app: what answers the requests.
            max_bytes: longest body that it gets to see.
        """
        self._app = app
        self._max_bytes = max_bytes
        self._detail = f"The body is longer than {max_bytes:,} bytes."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a declared length at once, and an undeclared one when it passes the limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        # int() would fail on more than 4,300 digits.
        if declared.isdecimal() and float(declared) > self._max_bytes:
            await JSONResponse({"detail": self._detail}, 413)(scope, receive, send)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, self._detail)
            return message

        await self._app(scope, receive_within_limit, send)
