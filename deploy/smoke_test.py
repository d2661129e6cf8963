"""Ask a deployed service for a prediction, as a client of it does.

`python -m deploy.smoke_test URL [--commit COMMIT]` ends with exit code 0 if the service answers in
the form that it promises, from that commit, 1 if it does not do so in time, and 2 after wrong
arguments. It needs nothing but Python, so that it also runs as a file alone, inside a cluster.
"""

import argparse
import json
import math
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

PREDICTION = "/api/v0.1/time_to_dispatch"
PRODUCTS = "/api/v0.2/products?limit=1"
HEALTH = "/healthz"
KEYS = "TTD_API_KEY"
ANSWER_SECONDS = 10.0
PAUSE_SECONDS = 1.0


class SmokeFailure(Exception):
    """The service is not what it should be."""


def main(arguments: Sequence[str] = ()) -> int:
    """Ask until the service is as it should be, or time is up; return the exit code.

    Args:
        arguments: of the command line; wrong ones end the process with exit code 2.
    """
    options = _parser().parse_args(arguments)
    service = Service(options.url, os.environ)
    deadline = time.monotonic() + options.wait_seconds
    while True:
        try:
            print(f"{options.url} {check(service, options.commit)}")
            return 0
        except SmokeFailure as failure:
            if time.monotonic() >= deadline:
                print(
                    f"{options.url} did not pass within {options.wait_seconds:g} s: {failure}",
                    file=sys.stderr,
                )
                return 1
        time.sleep(PAUSE_SECONDS)


class Service:
    """What answers at a URL."""

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        """Remember where it is; the first key in TTD_API_KEY goes with each request."""
        self._url = url
        key = environment.get(KEYS, "").split(",")[0].strip()
        self._headers = {"X-API-Key": key} if key else {}
        self._opener = build_opener(_NoRedirects)

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the answer to a GET, or to a POST of a body.

        Raises:
            SmokeFailure: there is none, its status is not 2xx, or it is no JSON.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **self._headers}
        # The scheme was looked at when the URL was taken.
        request = Request(self._url + path, content, headers)  # noqa: S310
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS) as answer:
                return json.load(answer)
        except HTTPError as error:
            with error:
                raise SmokeFailure(f"{path} answered with {_described(error)}") from error
        except ValueError as error:
            raise SmokeFailure(f"{path} answered with something else than JSON") from error
        except (OSError, HTTPException) as error:
            raise SmokeFailure(f"{path} was not answered: {error}") from error


def check(service: Service, commit: str | None) -> str:
    """Return in words what a service answered.

    Args:
        service: that is asked.
        commit: that it should come from; long and short hashes of one commit are alike.

    Raises:
        SmokeFailure: it answers otherwise than it should.
    """
    running = check_commit(service.ask(HEALTH), commit)
    order = an_order(service.ask(PRODUCTS))
    hours, model = check_prediction(service.ask(PREDICTION, order))
    return f"estimates {hours:g} h for {order} with {model}, from commit {running}."


def an_order(products: Any) -> Mapping[str, Any]:
    """Return an order of the first product that a service knows, within the range seen of it.

    Raises:
        SmokeFailure: it lists no product.
    """
    try:
        product = products["products"][0]
        return {"product_code": product["product_code"], "orders_placed": product["most_orders"]}
    except (KeyError, IndexError, TypeError) as error:
        raise SmokeFailure(f"{PRODUCTS} names no product: {products!r}") from error


def check_commit(health: Any, expected: str | None) -> str:
    """Return the commit that a service says it comes from.

    Raises:
        SmokeFailure: it is not well, or comes from another commit than expected.
    """
    if not isinstance(health, dict) or health.get("status") != "ok":
        raise SmokeFailure(f"{HEALTH} answered {health!r}")
    running = health.get("git_commit")
    if expected is None:
        return str(running or "unknown")
    if not running or not (expected.startswith(running) or running.startswith(expected)):
        raise SmokeFailure(
            f"it comes from commit {running or 'unknown'}, not from {expected}; the roll-out is "
            "not over, or another deployment came after it"
        )
    return str(running)


def check_prediction(answer: Any) -> tuple[float, str]:
    """Return the hours and the model's version of an answer of v0.1.

    Raises:
        SmokeFailure: it has other keys, or values that cannot be.
    """
    try:
        hours, model = float(answer["est_hours_to_dispatch"]), answer["model_version"]
        is_right = len(answer) == 2 and 0 <= hours < math.inf and model and isinstance(model, str)
    except (KeyError, TypeError, ValueError):
        is_right = False
    if not is_right:
        raise SmokeFailure(f"{PREDICTION} answered in another form: {answer!r}")
    return hours, model


class _NoRedirects(HTTPRedirectHandler):
    """Makes a redirect an error: the order would not go along, and the key might go too far."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Follow no redirect."""


def _described(error: HTTPError) -> str:
    """Return an answer's status, with what helps to understand it."""
    if error.code in (401, 403):
        return f"status {error.code}: is {KEYS} set to a key of the service?"
    if 300 <= error.code < 400:
        return f"a redirect to {error.headers['location']}: give that address as URL"
    return f"status {error.code}: {error.read(500).decode(errors='replace')}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.smoke_test",
        description="Ask a deployed service for a prediction. "
        f"The environment variable {KEYS} holds its key, if it asks for one.",
    )
    parser.add_argument(
        "url", type=url_argument, help="where the service is, such as https://example.com"
    )
    parser.add_argument(
        "--commit", type=commit_argument, help="that it should come from, 7 to 40 digits"
    )
    parser.add_argument(
        "--wait-seconds", type=float, default=60.0, help="how long to go on asking (default 60)"
    )
    return parser


def url_argument(text: str) -> str:
    """Return a URL that a service may have, without a slash at its end."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} should be http:// or https:// and a host")
    return text.rstrip("/")


def commit_argument(text: str) -> str:
    """Return a commit's hash, long or short."""
    if not re.fullmatch("[0-9a-f]{7,40}", text):
        raise argparse.ArgumentTypeError(f"{text!r} should be a commit's hash, 7 to 40 digits")
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
