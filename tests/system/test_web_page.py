"""The web page of the service, in a real Chromium and against a real service."""

import json
import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from pipeline.orders.simulator import HOURS_PER_ORDER, simulate_orders
from pipeline.train_model import main as train_model
from tests.support.helpers import HTTP, deliver, running_service
from tests.support.service_clients import wait_until

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
"""Deque's accessibility audit, as a script for the page."""
PATIENCE_MILLISECONDS = 5_000
MANY = {**HOURS_PER_ORDER, **{f"P{number:03}": number / 4_000 for number in range(1, 146)}}
"""Hours per order of more products than a list is good for."""
KEY = "a-secret-key"
PREFIX = "/behind/a/proxy"
STEPS_OF_TAB = 15


@pytest.fixture(scope="module")
def service(trained_store: Path) -> Iterator[str]:
    """Run the service with five products, and return its URL."""
    with running_service(str(trained_store)) as url:
        yield url


@pytest.fixture(scope="module")
def guarded_service(trained_store: Path) -> Iterator[str]:
    """Run the service with an API key and behind a prefix, and return its URL with the prefix."""
    environment = {**os.environ, "TTD_API_KEY": KEY}
    with running_service(str(trained_store), "--root-path", PREFIX, environment=environment) as url:
        yield url + PREFIX


@pytest.fixture(scope="module")
def window(browser: Browser) -> Page:
    """Open one window for all tests: a new one takes longer than most of them."""
    page = browser.new_context().new_page()
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    page.set_default_timeout(PATIENCE_MILLISECONDS)
    return page


@pytest.fixture
def fresh(window: Page) -> Iterator[Page]:
    """Return the window as if nobody had used it, before it shows the page."""
    yield window
    window.unroute_all(behavior="ignoreErrors")
    window.context.unroute_all(behavior="ignoreErrors")
    window.context.set_offline(False)
    window.evaluate("sessionStorage.clear()")
    window.emulate_media(color_scheme="light")
    window.set_viewport_size({"width": 1280, "height": 720})


@pytest.fixture
def page(fresh: Page, service: str) -> Page:
    """Open the page, and wait for its first estimate."""
    fresh.goto(f"{service}/")
    expect(estimate(fresh)).to_contain_text("hours")
    return fresh


def estimate(page: Page) -> Locator:
    """Return where the page says how long the order takes."""
    return page.get_by_role("status").first


def product(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Product")


def slider(page: Page) -> Locator:
    return page.get_by_role("slider", name="Orders placed")


def number(page: Page) -> Locator:
    return page.get_by_role("spinbutton", name="Orders placed")


def chart(page: Page) -> Locator:
    return page.get_by_role("img", name=re.compile("Hours until dispatch"))


def ask(url: str, order: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what the API answers to a GET, or to an order."""
    body = None if order is None else json.dumps(order).encode()
    request = Request(url, body, {"content-type": "application/json", "x-api-key": KEY})
    with HTTP.open(request, timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def answer_of(url: str, product_code: str, orders_placed: float) -> dict[str, Any]:
    """Return what the API answers to an order, with its interval."""
    order = {"product_code": product_code, "orders_placed": orders_placed}
    return ask(f"{url}/api/v0.2/time_to_dispatch", order)


def expect_answer(page: Page, answer: dict[str, Any]) -> None:
    """Wait until the page shows an answer of the API, in all places where it shows one."""
    interval = answer["interval"]
    hours = f"{answer['est_hours_to_dispatch']:,.2f} hours"
    told = answer["dispatched_within"]
    promise = told and (
        f"{100 * told['share']:g} % of such orders are dispatched within "
        f"{told['hours']:,.2f} hours."
    )
    level = interval["level"]
    words = (promise or "") + (
        ("Perhaps " if level is None else f"{100 * level:g} % of such orders take ")
        + f"{interval['lower_hours']:,.2f} to {interval['upper_hours']:,.2f} hours."
    )
    kind = "extrapolated" if answer["extrapolated"] else "typically"
    expected = re.escape(f"{hours}, {kind}{words}") + (
        "Extrapolated: .* but with .*" if answer["extrapolated"] else ""
    )
    expect(page.locator("#chart .beyond")).to_have_count(int(answer["extrapolated"]))
    expect(estimate(page)).to_have_text(re.compile(f"^{expected}$".replace(r"\ ", r"\s")))
    told_of_chart = f"{re.escape(hours)}, and " + ("perhaps" if level is None else ".*90 %")
    expect(chart(page)).to_have_accessible_description(
        re.compile(told_of_chart.replace(r"\ ", r"\s").replace(" %", r"\s%"))
    )
    expect(page.locator("#chart .value")).to_have_text(hours.replace("hours", "h"))


def test_the_page_shows_the_api_s_numbers(page: Page, service: str) -> None:
    orders = [("SKU001", 112), ("SKU002", 37.5), ("SKU003", 0), ("SKU004", 400), ("SKU005", 10**6)]
    answers = [answer_of(service, *order) for order in orders]
    assert {answer["extrapolated"] for answer in answers} == {False, True}

    for (product_code, orders_placed), answer in zip(orders, answers, strict=True):
        product(page).select_option(product_code)
        number(page).fill(str(orders_placed))
        expect_answer(page, answer)


def test_slider_and_number_carry_each_other_along(page: Page, service: str) -> None:
    before = number(page).input_value()
    slider(page).focus()
    for pressed in ["PageUp", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowUp"]:
        page.keyboard.press(pressed)
    after = number(page).input_value()
    assert after == slider(page).input_value()
    assert int(after) > int(before) + 2
    expect_answer(page, answer_of(service, "SKU001", int(after)))

    number(page).fill("12")
    assert slider(page).input_value() == "12"
    number(page).fill("999999")
    assert slider(page).input_value() == slider(page).get_attribute("max")


def test_the_chart_answers_the_mouse_and_the_request_can_be_copied(
    page: Page, service: str
) -> None:
    box = page.locator("#chart .curve").bounding_box()
    assert box is not None
    middle, upper = box["x"] + box["width"] / 2, box["y"] + 5
    page.mouse.move(middle, upper)
    label = page.locator("#hover text")
    expect(label).to_have_text(re.compile(r"^\d+: [\d.]+ h \([\d.]+ to [\d.]+\)$"))
    told = label.text_content() or ""
    orders, hours = int(told.partition(":")[0]), float(told.split()[1])
    page.mouse.click(middle, upper)
    answer = answer_of(service, "SKU001", orders)
    expect_answer(page, answer)
    assert hours == pytest.approx(answer["est_hours_to_dispatch"], abs=0.02)

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_text("The same request for programs").click()
    page.get_by_role("button", name="Copy the request").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith(f"curl {service}/api/v0.2/")


def test_all_can_be_reached_and_operated_with_the_keyboard_alone(page: Page, service: str) -> None:
    order, unmarked = [], []
    for _ in range(STEPS_OF_TAB):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.id || document.activeElement.localName")
        order.append(focused)
        if page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "none":
            unmarked.append(focused)
        if focused == "report":
            break
    assert order == ["product", "slider", "number", "summary", "summary", "a", "report"]
    assert unmarked == []

    with page.expect_popup() as popup:
        page.keyboard.press("Enter")
    popup.value.wait_for_url(f"{service}/report", wait_until="commit")
    popup.value.close()

    product(page).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    expect_answer(page, answer_of(service, "SKU002", 0))


def unfold(page: Page) -> None:
    """Open what the page shows on demand only."""
    for summary in page.locator("summary").all():
        summary.click()


def violations_of(page: Page, *rules: str) -> list[str]:
    """Return what the accessibility audit complains about, by default by all its rules."""
    page.evaluate(AXE)
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    found = page.evaluate("options => axe.run(options).then((all) => all.violations)", options)
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def brightness(page: Page) -> int:
    """Return the sum of the page's red, green and blue."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)))


def test_an_accessibility_audit_finds_nothing_in_light_and_dark(page: Page) -> None:
    assert brightness(page) > 3 * 200
    number(page).fill("370")
    expect(estimate(page)).to_contain_text("Extrapolated")
    unfold(page)
    assert violations_of(page) == []
    page.emulate_media(color_scheme="dark")
    assert brightness(page) < 3 * 50
    assert violations_of(page, "color-contrast") == []

    refusal = {"detail": "Send a valid API key."}
    page.route("**/api/**", lambda route: route.fulfill(status=401, json=refusal))
    number(page).fill("371")
    expect(page.get_by_label("API key")).to_be_visible()
    number(page).fill("-1")
    expect(page.get_by_role("alert")).to_contain_text("from 0 to 1,000,000")
    assert violations_of(page) == []
    page.emulate_media(color_scheme="light")
    assert violations_of(page, "color-contrast") == []


def expect_no_sideways_scrolling(page: Page) -> None:
    """See that a page is as wide as its window, however narrow."""
    for width in [320, 640, 1280]:
        page.set_viewport_size({"width": width, "height": 600})
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_no_window_is_too_narrow(page: Page) -> None:
    expect(page.locator("#chart .curve")).to_have_count(1)
    unfold(page)
    expect_no_sideways_scrolling(page)


def test_the_page_talks_to_its_own_service_only_and_breaks_none_of_its_rules(
    fresh: Page, service: str
) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    page = fresh
    page.context.on("request", lambda request: asked.append(request.url))
    page.context.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))

    page.goto(f"{service}/")
    product(page).select_option("SKU003")
    number(page).fill("500")
    expect_answer(page, answer_of(service, "SKU003", 500))
    open_report(page)
    look_at_report(page, f"{service}/report")

    assert f"{service}/report" in asked
    assert [url for url in asked if not url.startswith((f"{service}/", "data:"))] == []
    assert complaints == []


def look_at_report(page: Page, url: str) -> None:
    """Read a report as people do: sort it, follow a link to what is folded, on any screen."""
    page.goto(url)
    page.get_by_role("button", name="Rows").click()
    rows = [int(text) for text in page.locator("#products-rows td:nth-child(2)").all_inner_texts()]
    assert rows == sorted(rows, reverse=True) and len(rows) == 5
    page.get_by_role("link", name="Metadata").click()
    expect(page.get_by_role("cell", name="datasets/time_to_dispatch").first).to_be_visible()
    page.get_by_role("link", name="R²").click()
    expect(page.locator("#word-r2")).to_be_in_viewport()
    unfold(page)
    assert violations_of(page) == []
    expect_no_sideways_scrolling(page)
    page.emulate_media(color_scheme="dark")
    assert violations_of(page, "color-contrast") == []
    page.goto(url.removesuffix("report"))


def test_the_description_of_the_api_needs_nothing_from_elsewhere(fresh: Page, service: str) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    fresh.on("request", lambda request: asked.append(request.url))
    fresh.on("console", lambda message: complaints.append(message.text))
    fresh.on("pageerror", lambda error: complaints.append(str(error)))
    fresh.goto(f"{service}/docs")
    fresh.get_by_text("/healthz").first.click()
    fresh.get_by_role("button", name="Try it out").click()
    fresh.get_by_role("button", name="Execute").click()
    expect(fresh.get_by_text('"status": "ok"').first).to_be_visible()
    assert [url for url in asked if not url.startswith((f"{service}/", "data:"))] == []
    assert complaints == []


def test_the_curve_is_the_api_s_in_the_chart_and_as_a_table(page: Page, service: str) -> None:
    product(page).select_option("SKU004")
    (wanted,) = ask(f"{service}/api/v0.2/products?product_code=SKU004")["products"]
    curve = wanted["curve"]
    expect(page.locator("#table-caption")).to_contain_text("SKU004")

    page.get_by_text("The curve as a table").click()
    rows = [row.split("\t") for row in page.locator("#table").inner_text().splitlines()]

    columns = ["est_hours_to_dispatch", "lower_hours", "upper_hours"]
    assert [[float(cell.replace(",", "")) for cell in row[1:]] for row in rows] == [
        list(row) for row in zip(*(curve[column] for column in columns), strict=True)
    ]
    assert [float(row[0]) for row in rows] == pytest.approx(curve["orders_placed"])
    path = page.locator("#chart .curve").get_attribute("d") or ""
    heights = [float(point.split()[1]) for point in path.removeprefix("M").split("L")]
    assert len(heights) == len(rows)
    assert heights == sorted(heights, reverse=True)  # hours rise, and heights count from the top
    expect(chart(page)).to_have_accessible_description(
        re.compile(rf"to {rows[-1][1]} hours at {rows[-1][0]}\.")
    )


def test_the_page_says_which_model_it_is_how_old_and_how_good(page: Page, service: str) -> None:
    model = ask(f"{service}/api/v0.1/model")
    metadata = model["lineage"]
    metrics = metadata["metrics"]
    words = page.get_by_role("region", name="The model behind it").inner_text()
    for said in [
        model["model_version"],
        "Friday, 20 November 2026 at 23:00 UTC",
        "On orders that it had not seen, the estimate was off by "
        f"{metrics['mean_absolute_error_hours']:.2f} h on average.",
        f"off by about {metrics['noise_floor_hours']:.2f} h",
        f"R² {metrics['r_squared']:.4f}",
        f"Kind of model: {metadata['regressor']}.",
        "5 products",
        f"{metadata['dataset']['rows']:,} orders",
    ]:
        assert said in words
    expect(page.locator("time")).to_have_attribute("datetime", metadata["trained_at"])
    expect(page.locator("time")).to_contain_text("UTC")


def test_a_model_that_was_refused_says_why(fresh: Page, service: str) -> None:
    def refuse(route: Route) -> None:
        model = route.fetch().json()
        model["lineage"]["refused_because"] = [{"rule": "r_squared", "summary": "R² is too low"}]
        route.fulfill(json=model)

    fresh.route("**/api/v0.1/model", refuse)
    fresh.goto(f"{service}/")

    expect(fresh.get_by_text("R² is too low")).to_be_visible()


def test_a_product_without_orders_is_shown_with_the_week_of_its_curve(
    fresh: Page, service: str
) -> None:
    def keep_a_product(route: Route) -> None:
        response = route.fetch()
        answer = response.json()
        answer["products"][0]["curve_from"] = "2026-11-13T23:00:00Z"
        route.fulfill(response=response, json=answer)

    fresh.route("**/api/v0.2/products?product_code=SKU002", keep_a_product)
    fresh.goto(f"{service}/")
    said = "There have been none since the week delivered on Friday, 13 November 2026 at 23:00 UTC"
    for code in ("SKU002", "SKU001"):
        product(fresh).select_option(code)
        expect(fresh.get_by_role("heading", name=f"Curve of {code}")).to_be_visible()
        assert (said in fresh.locator("#orders-hint").inner_text()) == (code == "SKU002")


def test_the_age_of_the_model_is_told_in_words(browser: Browser, service: str) -> None:
    trained_at = datetime.fromisoformat(ask(f"{service}/api/v0.1/model")["lineage"]["trained_at"])
    page = browser.new_page()
    for age, words in {
        timedelta(hours=-1): "just now",
        timedelta(minutes=1): "1 minute ago",
        timedelta(hours=47): "47 hours ago",
        timedelta(days=3): "3 days ago",
        timedelta(days=9): "9 days ago",
    }.items():
        page.clock.set_fixed_time(trained_at + age)
        page.goto(f"{service}/")

        expect(page.locator("#age")).to_have_text(words)
        mark = page.locator("#stale")
        expect(mark).to_contain_text("the model and its week" if age.days == 9 else "", timeout=500)
    page.close()


def test_a_number_that_cannot_be_meant_is_not_asked_for(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    for typed in ["", "-1", "1000001"]:
        number(page).fill(typed)

        expect(page.get_by_role("alert")).to_have_text(
            "The orders placed are a number from 0 to 1,000,000."
        )
        expect(estimate(page)).to_have_text("No estimate")
        number(page).fill("60")
        expect(page.get_by_role("alert")).to_be_empty()
    assert len(asked) == 3


PROBLEM = {"type": "about:blank", "title": "A problem", "detail": "Too much at once."}
ERRORS = [
    (422, PROBLEM, "did not accept the request: Too much at once."),
    (422, {"detail": [{"msg": "P9 is unknown", "loc": []}]}, "the request: P9 is unknown"),
    (429, PROBLEM, "gets too many requests; try again in a moment: Too much at once."),
    (503, {"detail": "There is no model."}, "at the moment; try again later: There is no model."),
    (502, None, "The service answered with an error (502)."),
]
"""Statuses of the service and of what may stand before it, bodies, and what people read."""


def test_an_error_is_told_in_words_and_the_page_goes_on(page: Page, service: str) -> None:
    for place, (status, body, words) in enumerate(ERRORS):
        text = "<html>Bad gateway" if body is None else json.dumps(body)
        refuse = partial(Route.fulfill, status=status, body=text)
        page.route("**/time_to_dispatch", lambda route: refuse(route))
        number(page).fill(str(50 + place))
        expect(page.get_by_role("alert")).to_contain_text(words)
        expect(estimate(page)).to_have_text("No estimate")

        page.unroute_all()
        number(page).fill(str(60 + place))
        expect_answer(page, answer_of(service, "SKU001", 60 + place))
        expect(page.get_by_role("alert")).to_be_empty()


def test_a_service_that_is_back_is_asked_again(page: Page, service: str) -> None:
    page.context.set_offline(True)
    number(page).fill("60")
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached.")
    expect(estimate(page)).to_have_text("No estimate")
    page.context.set_offline(False)

    page.get_by_role("button", name="Try again").press("Enter")

    expect_answer(page, answer_of(service, "SKU001", 60))
    expect(page.get_by_role("alert")).to_be_empty()
    expect(product(page)).to_be_focused()


def open_report(page: Page, name: str = "Training report") -> str:
    """Open the first report in a tab, as people do; return its URL."""
    with page.expect_popup() as popup:
        page.get_by_role("link", name=name).first.click()
    with popup.value as report:
        expect(report.get_by_role("heading", level=1)).to_have_text("Training report")
        # What the report's own styles and its script do, which a policy may forbid.
        assert report.evaluate("getComputedStyle(document.querySelector('main')).rowGap") == "16px"
        report.get_by_role("searchbox", name="Search a code").fill("sku003")
        expect(report.locator("#products-rows tr")).to_have_count(1)
        expect(report.get_by_role("rowheader", name="SKU003")).to_be_visible()
        return report.url


def test_a_service_with_a_key_and_behind_a_prefix_is_asked_with_both(
    fresh: Page, guarded_service: str
) -> None:
    asked: list[str] = []
    page = fresh
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{guarded_service}/")
    expect(page.get_by_role("alert")).to_contain_text("Send a valid API key")
    expect(page.get_by_label("API key")).to_be_focused()

    page.keyboard.type("a-wrong-key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("did not accept the API key")
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")

    expect(estimate(page)).to_contain_text("hours")
    expect_answer(page, answer_of(guarded_service, "SKU001", float(number(page).input_value())))
    expect(page.get_by_label("API key")).to_be_hidden()
    expect(product(page)).to_be_focused()
    expect(page.get_by_role("alert")).to_be_empty()
    assert KEY not in page.content()
    assert page.context.storage_state()["cookies"] == []
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 1]

    page.reload()
    expect(estimate(page)).to_contain_text("hours")
    own = (f"{guarded_service}/", "data:", f"blob:{guarded_service.removesuffix(PREFIX)}/")
    assert [url for url in asked if not url.startswith(own)] == []
    report = page.get_by_role("link", name="Training report")
    assert report.evaluate("link => link.href") == f"{guarded_service}/report"
    assert open_report(page).startswith("blob:")
    missing = {"detail": "There is no report."}
    page.route("**/report", lambda route: route.fulfill(status=404, json=missing))
    report.click()
    expect(page.get_by_role("alert")).to_contain_text("There is no report.")
    expect(estimate(page)).to_contain_text("hours")

    page.get_by_role("link", name="All models by week").click()
    assert open_report(page, "Report on the training").startswith("blob:")
    page.get_by_role("button", name="Forget the API key").click()
    expect(page.get_by_label("API key")).to_be_focused()
    expect(page.get_by_role("table")).to_be_hidden()
    assert page.evaluate("sessionStorage.length") == 0


def test_the_history_shows_what_became_of_each_training(fresh: Page, service: str) -> None:
    complaints: list[str] = []
    fresh.on("console", lambda message: complaints.append(message.text))
    fresh.on("pageerror", lambda error: complaints.append(str(error)))

    def add_trainings(route: Route) -> None:
        history = route.fetch().json()
        (served,) = history["trainings"]
        older = {**served, "version": "older", "next_week_coverage": 0.912, "has_report": False}
        refused = {**older, "outcome": "refused", "error_hours": 9.0, "reason": "R² is too low"}
        unread = {**older, "delivered_at": None, "rows": None, "error_hours": None}
        route.fulfill(json={**history, "trainings": [refused, served, older, unread], "older": 3})

    fresh.route("**/api/v0.2/history", add_trainings)
    fresh.goto(f"{service}/history")
    expect(fresh.locator(".state b")).to_have_text(
        ["✘ Refused", "● Served", "Published", "Published"]
    )
    expect(fresh.locator(".refused .state")).to_contain_text("R² is too low")
    expect(fresh.get_by_role("cell", name="91.2 % of 90 %").first).to_be_visible()
    expect(fresh.locator("#errors .dot")).to_have_count(2)
    expect(fresh.locator("#errors .failed")).to_have_count(1)
    expect(fresh.get_by_text("3 older trainings not shown.")).to_be_visible()
    assert violations_of(fresh) == []
    expect_no_sideways_scrolling(fresh)
    fresh.emulate_media(color_scheme="dark")
    assert violations_of(fresh, "color-contrast") == []
    open_report(fresh, "Report on the training")
    assert complaints == []


def test_only_the_newest_question_s_answer_is_shown(page: Page, service: str) -> None:
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/time_to_dispatch", hold_the_first)
    with page.expect_request("**/time_to_dispatch"):
        number(page).fill("200")
    number(page).fill("20")
    expect_answer(page, answer_of(service, "SKU001", 20))

    late = answer_of(service, "SKU001", 200)
    held[0].fulfill(json=late)
    page.wait_for_timeout(200)

    expect_answer(page, answer_of(service, "SKU001", 20))


def test_dragging_asks_once_and_shows_no_old_estimate_as_new(page: Page, service: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    slider(page).focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    expect(estimate(page)).to_have_attribute("aria-busy", "true")

    expect(estimate(page)).to_have_attribute("aria-busy", "false")
    orders_placed = int(number(page).input_value())
    expect_answer(page, answer_of(service, "SKU001", orders_placed))
    assert len(asked) < 5


def version_at(url: str) -> str:
    """Return the version of the model that a service serves."""
    return str(ask(f"{url}/api/v0.1/model")["model_version"])


def test_a_newer_model_is_shown_and_one_of_its_many_products_is_typed(
    fresh: Page, production: Path
) -> None:
    page = fresh
    with running_service(str(production), "--reload-seconds", "0.1") as url:
        page.goto(f"{url}/")
        older = version_at(url)
        expect(page.locator("#version")).to_have_text(older)
        deliver(production, simulate_orders(3_000, seed=7, hours_per_order=MANY))
        assert train_model([str(production), "--accept-shift"]) == 0
        wait_until(lambda: version_at(url) != older, "the newer model is served")

        number(page).fill("60")

        expect(page.locator("#version")).to_have_text(version_at(url))
        expect(page.locator("#week")).to_contain_text("27 November 2026")
        expect_answer(page, answer_of(url, "SKU001", 60))
        expect(page.get_by_text("one of 150 products, such as P001")).to_be_visible()

        product(page).fill("P0999")
        page.keyboard.press("Tab")
        expect(page.get_by_role("alert")).to_contain_text("does not know the product “P0999”")
        expect(product(page)).to_have_attribute("aria-invalid", "true")
        expect(estimate(page)).to_have_text("No estimate")

        product(page).fill("p14")
        expect(page.locator("#products option")).to_have_count(6)
        product(page).fill("P077")
        expect(page.get_by_role("alert")).to_be_empty()
        expect(page.get_by_role("heading", name="Curve of P077")).to_be_visible()
        expect_answer(page, answer_of(url, "P077", 60))


def test_a_further_field_of_an_order_gets_a_control_that_may_stay_empty(
    fresh: Page, service: str
) -> None:
    rules = [{"type": "integer", "minimum": 0, "maximum": 6}, {"type": "null"}]
    weekday = json.dumps({"weekday": {"title": "Weekday", "anyOf": rules}})[1:-1]

    def declare_weekday(route: Route) -> None:
        response = route.fetch()
        start = '"properties": {'
        text = response.text().replace(start, f"{start}{weekday}, ", 1)
        route.fulfill(response=response, body=text)

    fresh.route(f"{service}/", declare_weekday)
    fresh.goto(f"{service}/")
    control = fresh.get_by_role("spinbutton", name="Weekday (optional)")
    expect(estimate(fresh)).to_contain_text("hours")
    for typed, sent in {"5": {"weekday": 5}, "": {}}.items():
        with fresh.expect_request("**/time_to_dispatch") as asked:
            control.fill(typed)
        body = json.loads(asked.value.post_data or "")
        assert {name: body[name] for name in body if name == "weekday"} == sent
        control.fill("7")
        expect(fresh.get_by_role("alert")).to_have_text(
            "Weekday is a whole number from 0 to 6, or empty."
        )
    assert violations_of(fresh) == []
