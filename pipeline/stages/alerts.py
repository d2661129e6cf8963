"""Posts alerts to an incoming webhook, in the form that Slack and others expect.

An alert never ends a stage: whatever goes wrong with it becomes a warning. The webhook's URL is a
secret, because whoever knows it can post, so only its scheme and host are logged.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPMessage
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pipeline.stages.logs import LOG

MAX_ALERT_SECONDS = 10.0
MAX_ALERT_CHARACTERS = 3_000
"""Before escaping; Slack takes 40,000."""


def post_alert(webhook: str, text: str, seconds: float = MAX_ALERT_SECONDS) -> bool:
    """Post a text to a webhook; log a warning if that does not succeed. Never raises.

    Args:
        webhook: its URL, http or https; a proxy is taken from the environment.
        text: plain text; what is too long for a message is cut off.
        seconds: how long name resolution, connection and answer may take together.

    Returns:
        Whether the webhook has taken it.
    """
    outcome: SimpleQueue[str | None] = SimpleQueue()
    post = Thread(target=lambda: outcome.put(_try_to_post(webhook, text, seconds)), daemon=True)
    try:
        # A socket's timeout limits each step, and name resolution not at all; this limits the sum.
        post.start()
        failure = outcome.get(timeout=seconds)
    except (Empty, RuntimeError) as error:  # the latter if no thread can be started
        failure = str(error) or "timed out"
    if failure:
        LOG.warning(
            f"An alert could not be posted to {_printable_address(webhook)}: {failure}. "
            "Check the webhook's URL (TTD_ALERT_WEBHOOK) and the network."
        )
    return not failure


@contextmanager
def alert_on_failure(webhook: str | None) -> Iterator[None]:
    """Post an exception that leaves the block to a webhook, if there is one; raise it again."""
    try:
        yield
    except Exception as error:
        if webhook:
            post_alert(webhook, f"time-to-dispatch: {str(error) or type(error).__name__}")
        raise


def _try_to_post(webhook: str, text: str, seconds: float) -> str | None:
    """Return why a text could not be posted, in words that do not repeat the URL, or None."""
    try:
        if not re.match("https?://", webhook):  # the opener knows file: and others as well
            return "this is not an http:// or https:// URL"
        headers = {"Content-Type": "application/json", "User-Agent": "time-to-dispatch"}
        request = Request(webhook, _slack_message(text), headers)
        with build_opener(_NoRedirects).open(request, timeout=seconds):
            return None
    except HTTPError as error:
        error.close()
        return f"it answered with status {error.code}"
    except OSError as error:
        reason = error.reason if isinstance(error, URLError) else error
        return str(reason) or type(error).__name__
    except Exception as error:  # such as InvalidURL, whose message repeats the URL
        return type(error).__name__


class _NoRedirects(HTTPRedirectHandler):
    """Makes a redirect an error: urllib would go on without the text, and call that a success."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Follow no redirect."""


def _slack_message(text: str) -> bytes:
    """Return the body of the request: the text, cut and escaped by Slack's rules, as JSON."""
    if len(text) > MAX_ALERT_CHARACTERS:
        text = text[: MAX_ALERT_CHARACTERS - 1] + "…"
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return json.dumps({"text": escaped}).encode()


def _printable_address(webhook: str) -> str:
    """Return scheme and host of a URL, or words if it is not certain that these are what they are.

    In a mistyped URL the token may stand where the host is expected.
    """
    try:
        url = urlsplit(webhook)
        host = url.hostname or ""
    except ValueError:
        host = ""
    if not re.fullmatch(r"[\w.:-]+", host):
        return "the webhook"
    return f"{url.scheme}://{host}"
