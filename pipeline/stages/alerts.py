"""Posts alerts to an incoming webhook, in the form that Slack and others expect.

An alert never ends a stage: whatever goes wrong with it becomes a warning, after three tries, and
`model.undelivered_alerts` keeps the alert. The webhook's URL is a secret, because whoever knows it
can post, so only its scheme and host are logged.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPMessage
from itertools import starmap
from queue import Empty, SimpleQueue
from threading import Thread
from time import sleep
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pipeline.stages.errors import PipelineError
from pipeline.stages.logs import LOG
from pipeline.stages.messages import Message, one_line

PRODUCT_NAME = "time-to-dispatch"
MAX_ALERT_SECONDS = 20.0
TRIES = 3
PAUSE_SECONDS = 1.0
"""Between two tries; a webhook that is being restarted may be back by then."""
MAX_ALERT_CHARACTERS = 3_000
"""Of the text and of each block, after escaping; Slack takes no more in a block."""
SAFE_IN_URLS = "%/:?#[]@!$'()*+,;=~"
"""All that may stand in a URL but `&`, which Slack would take for markup."""


def post_alert(
    webhook: str,
    message: Message,
    seconds: float = MAX_ALERT_SECONDS,
    pause: float = PAUSE_SECONDS,
) -> str | None:
    """Post a message to a webhook, in three tries; log a warning if none succeeds. Never raises.

    A try that ran out of time may have arrived: a message may come twice, rather than not at all.

    Args:
        webhook: its URL, http or https; a proxy is taken from the environment.
        message: what to tell; what is too long is cut off.
        seconds: how long all tries may take together, pauses included.
        pause: seconds between two tries.

    Returns:
        None if the webhook has taken it, else why it has not, without its URL.
    """
    seconds_of_try = (seconds - pause * (TRIES - 1)) / TRIES
    failure = _try_within(seconds_of_try, webhook, message)
    for _ in range(TRIES - 1):
        if failure is None:
            return None
        sleep(pause)
        failure = _try_within(seconds_of_try, webhook, message)
    if failure:
        LOG.warning(
            f"An alert could not be posted to {printable_address(webhook)}: {failure}. "
            "Check the webhook's URL (TTD_ALERT_WEBHOOK) and the network."
        )
    return failure


@contextmanager
def alert_on_failure(tell: Callable[[Message], object]) -> Iterator[None]:
    """Tell people of an exception that leaves the block, and raise it again."""
    try:
        yield
    except Exception as error:
        tell(_message_of(error))
        raise


def _message_of(error: Exception) -> Message:
    if isinstance(error, PipelineError):
        return error.message
    return Message(str(error) or type(error).__name__).with_short_headline()


def _try_within(seconds: float, webhook: str, message: Message) -> str | None:
    """Return why a message could not be posted in so many seconds, or None."""
    outcome: SimpleQueue[str | None] = SimpleQueue()
    post = Thread(target=lambda: outcome.put(_try_to_post(webhook, message, seconds)), daemon=True)
    try:
        # A socket's timeout limits each step, and name resolution not at all; this limits the sum.
        post.start()
        return outcome.get(timeout=seconds)
    except (Empty, RuntimeError) as error:  # the latter if no thread can be started
        return str(error) or "timed out"


def _try_to_post(webhook: str, message: Message, seconds: float) -> str | None:
    """Return why a message could not be posted, in words that do not repeat the URL, or None."""
    try:
        if not re.match("https?://", webhook):  # the opener knows file: and others as well
            return "this is not an http:// or https:// URL"
        headers = {"Content-Type": "application/json", "User-Agent": "time-to-dispatch"}
        request = Request(webhook, _slack_message(message), headers)  # noqa: S310 - see above
        with build_opener(_NoRedirects).open(request, timeout=seconds):
            return None
    except HTTPError as error:
        error.close()
        redirects = " and redirects, which is not followed" if 300 <= error.code < 400 else ""
        return f"it answered with status {error.code}{redirects}"
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


def _slack_message(message: Message) -> bytes:
    """Return the body of the request: Slack's blocks, and all of it as text for other readers."""
    text = _cut(_escaped(f"{PRODUCT_NAME}: {message}"))
    message = replace(message, headline=f"{PRODUCT_NAME}: {message.headline}").with_short_headline()
    title = {"type": "plain_text", "text": one_line(message.headline)}
    blocks: list[dict[str, Any]] = [{"type": "header", "text": title}]
    if message.details:
        blocks.append(
            _section("\n".join(f"• {_escaped(one_line(line))}" for line in message.details))
        )
    if message.links:
        blocks.append(_section("\n".join(starmap(_link, message.links.items()))))
    return json.dumps({"text": text, "blocks": blocks}).encode()


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut(text)}}


def _link(name: str, address: str) -> str:
    """Return a link that Slack shows by its name, or the address where a browser cannot open it."""
    if re.match("https?://", address):
        return f"<{quote(address, safe=SAFE_IN_URLS)}|{name}>"
    return f"{name}: {_escaped(one_line(address))}"


def _escaped(text: str) -> str:
    """Return a text in which nothing is a mention, a link or other markup of Slack's."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str) -> str:
    if len(text) <= MAX_ALERT_CHARACTERS:
        return text
    return re.sub("&[a-z]*$", "", text[: MAX_ALERT_CHARACTERS - 1]) + "…"


def printable_address(webhook: str) -> str:
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
