"""The documents as a site, in a real Chromium: everybody can read it, on any screen."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.local_servers import serving
from tests.support.site import built, copy_of_documents

pytestmark = [pytest.mark.system, pytest.mark.documents]

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
FAULTS = """async () => (await axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21aa"]}))
    .violations.map(({id, nodes}) => `${id}: ${nodes.map(({target}) => target)}`)"""
PAGES = ["", "how-to/refused_weeks/", "reference/settings/"]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of requests."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    project = copy_of_documents(tmp_path_factory.mktemp("site"))
    code, told = built(project)
    assert code == 0, told
    handler = partial(Quiet, directory=str(Path(project) / "site"))
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}/"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_pages_fit_the_screen_and_have_no_fault_of_accessibility(
    scheme: str, width: int, site: str, browser: Browser
) -> None:
    window = browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 800},
    )
    page = window.new_page()
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url))
    for path in PAGES:
        page.goto(site + path)
        page.evaluate(AXE)
        assert page.evaluate(FAULTS) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert [url for url in elsewhere if not url.startswith((site, "data:"))] == []
    window.close()


def test_code_can_be_copied_and_pages_be_found(site: str, browser: Browser) -> None:
    window = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = window.new_page()
    page.goto(site)
    page.get_by_role("button", name="Copy to clipboard").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == "make demo"
    page.keyboard.press("Control+k")
    page.keyboard.type("mis-keyed")
    page.get_by_role("link", name="How the model works").first.wait_for()
    window.close()
