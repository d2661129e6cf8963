"""The ceiling: the least that an ASGI application can do with a request.

It reads the body and answers constant bytes, those of the environment variable `ANSWER`. Under the
same uvicorn with one worker, nothing that looks at its requests can be faster.
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]

ANSWER = os.environ["ANSWER"].encode()
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(ANSWER)).encode()),
    ],
}
BODY = {"type": "http.response.body", "body": ANSWER}


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer one request; uvicorn is told not to ask for anything else."""
    while (await receive()).get("more_body", False):
        pass
    await send(START)
    await send(BODY)
