"""Names that others choose, of products and files: no page runs them, and none forges a log."""

from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from pipeline.orders.simulator import simulate_orders
from pipeline.train_model import main as train_model
from tests.support.helpers import running_service

FORGED = "2026-11-27 23:00:00.000+00:00 - INFO - train_model.main - All is well."
DATASET = f"time_to_dispatch_2026-11-27T23-00-00<img src=x onerror=run()>\n{FORGED}.csv"
HOSTILE = [
    "<script>run()</script>",
    "<img src=x onerror=run()>",
    "\"'><svg onload=run()>",
    "</title></style></script><script>run()</script>",
    "${run()}{{ 7 * 7 }}{% raw %}",
    "javascript:run()",
    "--><style>body{display:none}</style>",
    "W" * 200,
]
KEY = "a-secret-key"
WINDOWS: list[ViewportSize] = [{"width": 1280, "height": 720}, {"width": 390, "height": 844}]


class Hostile(NamedTuple):
    """What a training on hostile names has left.

    Attributes:
        url: of a service with its model, and a key.
        report: its page, as a file.
        log: what it logged.
    """

    url: str
    report: Path
    log: str


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """Train on such products in such a file, and serve the model."""
    store = tmp_path_factory.mktemp("hostile")
    (store / "datasets").mkdir()
    slopes = {code: 0.02 + position / 100 for position, code in enumerate(HOSTILE)}
    simulate_orders(1_200, 7, slopes).to_csv(store / "datasets" / DATASET, index=False)
    log = StringIO()
    with redirect_stderr(log), pytest.MonkeyPatch.context() as patch:
        assert train_model([str(store), "--log-level", "DEBUG"]) == 0
        patch.setenv("TTD_API_KEY", KEY)
        with running_service(str(store)) as url:
            (report,) = (store / "reports").iterdir()
            yield Hostile(url, report, log.getvalue())


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a tab in which a script of a name, or a complaint of the browser, is a failure."""
    complaints: list[str] = []
    context = browser.new_context()
    context.on("console", lambda message: complaints.append(message.text))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.expose_function("run", lambda: complaints.append("a name was run"))
    yield context.new_page()
    context.close()
    assert [text for text in complaints if "status of 401" not in text] == []


def expect_no_harm(page: Page) -> None:
    """Look for elements that names have made, and for text that runs out of the window."""
    injected = "document.querySelectorAll('img, iframe, [onload], [onerror], a[href^=java]').length"
    assert page.evaluate(injected) == 0
    assert page.evaluate("document.scripts.length") == 2  # its own, and its data
    for window in WINDOWS:
        page.set_viewport_size(window)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.evaluate("getComputedStyle(document.body).display") == "block"


def test_no_name_is_run_or_breaks_the_web_page(hostile: Hostile, page: Page) -> None:
    page.goto(hostile.url)
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("hours")
    for code in HOSTILE:
        page.get_by_role("combobox", name="Product").select_option(code)
        expect(page.get_by_role("status")).to_contain_text("hours")
        expect(page.locator("#table-caption")).to_contain_text(code[:20])
    expect_no_harm(page)
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Training report").click()
    expect(popup.value.get_by_role("heading", level=1)).to_have_text("Training report")
    expect_no_harm(popup.value)


def test_no_name_is_run_or_breaks_the_report_as_a_file(hostile: Hostile, page: Page) -> None:
    page.goto(hostile.report.as_uri())
    for code in HOSTILE[:4]:
        expect(page.get_by_text(code[:20]).first).to_be_attached()
    expect_no_harm(page)
    # What the page's own styles say, which its policy could forbid.
    assert page.evaluate("getComputedStyle(document.querySelector('main')).rowGap") == "16px"


def test_no_name_forges_a_line_of_the_log(hostile: Hostile) -> None:
    assert r"\n2026-11-27" in hostile.log or "\n  2026-11-27" in hostile.log
    assert not [line for line in hostile.log.splitlines() if line.startswith(FORGED[:20])]
