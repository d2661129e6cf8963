"""Unexpected errors: each is logged once, with its traceback."""

from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.stages.logs import LOG


class UnexpectedErrors:
    """Logs what an application raises.

    FastAPI has answered 500 by then (see `pipeline.api.errors`), unless its answer had begun.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Take the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer a request."""
        try:
            await self._app(scope, receive, send)
        except Exception:
            LOG.exception("Unexpected error while answering a request. Please report this.")
