"""A web page of another origin asks the service, in a real Chromium."""

import os
from collections.abc import Iterator, Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.support.helpers import QuietHandler, running_service
from tests.support.local_servers import serving
from tests.support.service_fixtures import BATCH, PRODUCTS, V0_1, V0_2

KEY = "a-secret-key"
# What a page gets: the status, the body, and a header; or, if the browser keeps it away, that.
FETCH = """([url, options]) => fetch(url, options).then(
    async (answer) => [answer.status, await answer.text(), answer.headers.get("X-Request-ID")],
    (error) => [0, String(error), null])"""


class ShopHandler(QuietHandler):
    """Serves an empty page."""

    def do_GET(self) -> None:
        """Answer with the page."""
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Shop</title>")


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """Serve the page of a shop, and return its origin."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), ShopHandler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(scope="module")
def service(shop: str, trained_store: Path) -> Iterator[str]:
    """Run a service with a key, which the shop's pages may ask, and return its URL."""
    environment = {**os.environ, "TTD_API_KEY": KEY, "TTD_CORS_ORIGINS": f"https://other,{shop}"}
    with running_service(str(trained_store), environment=environment) as url:
        yield url


@pytest.fixture(scope="module")
def page(browser: Browser, shop: str) -> Page:
    """Open the shop's page."""
    page = browser.new_page()
    page.goto(shop)
    return page


def fetch(
    page: Page, url: str, order: str | None = None, headers: Mapping[str, str] | None = None
) -> Any:
    """Let a page ask, and return what it gets."""
    options: dict[str, Any] = {"headers": dict(headers or {})}
    if order is not None:
        options |= {"method": "POST", "body": order}
        options["headers"] |= {"Content-Type": "application/json"}
    return page.evaluate(FETCH, [url, options])


ORDER = '{"product_code": "SKU001", "orders_placed": 112}'
WITH_KEY = {"X-API-Key": KEY, "X-Request-ID": "shop-1", "traceparent": "00-0af7-b7ad-01"}


@pytest.mark.parametrize(
    ("path", "order", "headers", "status"),
    [
        (V0_1, ORDER, WITH_KEY, 200),
        (V0_2, ORDER, {"Authorization": f"Bearer {KEY}"}, 200),
        (BATCH, f'{{"orders": [{ORDER}]}}', WITH_KEY, 200),
        (PRODUCTS, None, WITH_KEY, 200),
        (V0_2, ORDER, {}, 401),
        (V0_2, "{}", WITH_KEY, 422),
        ("/no/such/path", None, WITH_KEY, 404),
    ],
)
def test_a_page_of_an_allowed_origin_gets_answers_and_errors(
    path: str, order: str | None, headers: dict[str, str], status: int, page: Page, service: str
) -> None:
    got, body, request_id = fetch(page, service + path, order, headers)
    assert got == status, body
    assert ("est_hours_to_dispatch" in body) == (status == 200)
    assert request_id == headers.get("X-Request-ID", request_id)
    assert request_id is not None


def test_a_page_of_another_origin_gets_nothing(browser: Browser, page: Page, service: str) -> None:
    stranger = browser.new_page()
    stranger.goto(page.url.replace("127.0.0.1", "localhost"))
    assert fetch(stranger, service + V0_1, ORDER, WITH_KEY)[0] == 0
    assert fetch(stranger, f"{service}/healthz")[0] == 0
    stranger.close()


def test_without_the_setting_no_page_of_another_origin_gets_anything(
    page: Page, trained_store: Path
) -> None:
    with running_service(str(trained_store)) as url:
        assert fetch(page, url + V0_1, ORDER)[0] == 0
        assert fetch(page, f"{url}/healthz")[0] == 0
