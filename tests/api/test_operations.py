"""What the service tells about itself: model, products, report, health, and its own API."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipeline.api.browser_rules import hash_source
from pipeline.api.model_answer import MAX_LISTED
from pipeline.api.operations import MAX_PRODUCTS_ON_PAGE
from pipeline.api.product_curves import CURVE_POINTS
from pipeline.api.service import DispatchService
from pipeline.model.artifact import REPORTS
from pipeline.model.metadata import REMARKS
from pipeline.model.page_style import REPORT_SCRIPT
from pipeline.model.product_codes import CODES_AT_A_TIME
from pipeline.model.reader import DispatchModel
from pipeline.serve_model import create_app
from pipeline.stages.settings import ServeSettings
from tests.support.builders import KEPT
from tests.support.builders import PRODUCTS as CODES_OF_MODEL
from tests.support.helpers import EXAMPLE, ROOT
from tests.support.service_fixtures import (
    BATCH,
    PROBLEM,
    PRODUCTS,
    V0_1,
    V0_2,
    HandMadeModel,
    ask,
    hand_made_service,
    service_without_model,
)

ODD_CODES = [" ", "A/B", "a b", "a&b=c", "é", "𝄞", "SKU%20", "~", "Z", "z", "10", "9"]
CODES = sorted([*ODD_CODES, *(f"SKU{n:03}" for n in range(78))])


@pytest.fixture(scope="module")
def client() -> TestClient:
    """Return a client of a service with many products, some with odd codes."""
    return TestClient(create_app(hand_made_service(model=HandMadeModel(CODES))))


@pytest.fixture(scope="module")
def trained(trained_store: Path) -> TestClient:
    """Return a client of a service on the trained store."""
    settings = ServeSettings.from_arguments([str(trained_store)])
    return TestClient(create_app(DispatchService(settings)))


def test_the_model_tells_where_it_comes_from(
    trained: TestClient, served_model: DispatchModel
) -> None:
    assert trained.get("/api/v0.1/model").json() == {
        "model_version": served_model.version,
        "products": 5,
        "lineage": served_model.metadata.model_dump(mode="json"),
        "cut": {},
    }


def test_of_long_lists_the_model_answer_shows_the_start_and_says_how_long_they_are() -> None:
    codes = sorted(f"{number:0200}" for number in range(20_000))
    lists: dict[str, Any] = {
        "remarks": dict.fromkeys(REMARKS, codes),
        "earlier_weeks": [KEPT, KEPT | {"product_code": codes}],
        "dropped": [{"reason": "gone", "product_code": codes[:MAX_LISTED]}],
    }
    service = hand_made_service(model=HandMadeModel(codes, **lists))

    answer = TestClient(create_app(service)).get("/api/v0.1/model")

    model, lineage = answer.json(), answer.json()["lineage"]
    assert len(answer.content) < 1_000_000
    assert model["products"] == 20_000
    assert model["cut"] == {
        **{f"remarks.{remark}": 20_000 for remark in REMARKS},
        "earlier_weeks.1.product_code": 20_000,
    }
    assert lineage["remarks"]["flat"] == codes[:MAX_LISTED]
    assert lineage["dropped"][0]["product_code"] == codes[:MAX_LISTED]


@pytest.mark.parametrize("limit", [1, 7, len(CODES) - 1, len(CODES), len(CODES) + 1])
def test_pages_show_every_product_once_and_in_order(limit: int, client: TestClient) -> None:
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        query: dict[str, str | int] = {"limit": limit} | ({"after": after} if seen else {})
        page = client.get(PRODUCTS, params=query).json()
        codes = [product["product_code"] for product in page["products"]]
        after = page["next_after"]
        assert 1 <= len(codes) <= limit
        assert after in (None, codes[-1])
        assert not seen or seen[-1] < codes[0]
        seen += codes
    assert seen == CODES


def test_by_default_a_page_has_20_products(client: TestClient) -> None:
    page = client.get(PRODUCTS).json()
    assert [product["product_code"] for product in page["products"]] == CODES[:20]
    assert page["next_after"] == CODES[19]
    assert (page["model_version"], page["interval_level"]) == ("by_hand", 0.9)


@pytest.mark.parametrize(("after", "first"), [("SKU050x", ["SKU051"]), (CODES[-1], [])])
def test_a_page_may_start_after_any_code(after: str, first: list[str], client: TestClient) -> None:
    page = client.get(PRODUCTS, params={"after": after, "limit": 1}).json()
    assert [product["product_code"] for product in page["products"]] == first
    assert page["next_after"] == (first[0] if first else None)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", CODES),
        ("ku07", [f"SKU{n:03}" for n in range(70, 78)]),
        (" SKU00\u00a0", [f"SKU{n:03}" for n in range(10)]),
        ("z", ["Z", "z"]),
        ("é", ["é"]),
        ("É", []),
        ("10\n9", []),
        ("𝄞", ["𝄞"]),
        ("7S", []),
    ],
)
def test_products_are_found_by_a_part_of_their_codes(
    search: str, found: list[str], client: TestClient
) -> None:
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        query = {"search": search, "after": after, "limit": "3", "curves": "false"}
        page = client.get(PRODUCTS, params=query).json()
        seen += [product["product_code"] for product in page["products"]]
        assert [product["curve"] for product in page["products"]] == [None] * len(page["products"])
        after = page["next_after"]
    assert seen == found


@pytest.mark.parametrize(
    ("path", "query", "found"),
    [
        (PRODUCTS, b"search=29999&curves=false", '"product_code":"029999"'),
        ("/openapi.json", b"", '"openapi":"3'),
    ],
)
def test_what_takes_long_lets_others_have_their_turn(path: str, query: bytes, found: str) -> None:
    codes = [f"{number:06}" for number in range(3 * CODES_AT_A_TIME)]
    app = create_app(hand_made_service(model=HandMadeModel(codes)))

    async def ask_beside_a_question() -> list[str]:
        done: list[str] = []

        async def question(path: str, query: bytes) -> None:
            answer = await ask(app, path, method="GET", query=query)
            done.append(answer.body.decode())

        await asyncio.gather(question(path, query), question("/readyz", b""))
        return done

    first, last = asyncio.run(ask_beside_a_question())
    assert "ready" in first and found in last


@pytest.mark.parametrize("code", ODD_CODES)
def test_one_product_can_be_asked_for(code: str, client: TestClient) -> None:
    page = client.get(PRODUCTS, params={"product_code": code}).json()
    (product,) = page["products"]
    assert product["product_code"] == code
    assert product["rows"] == CODES.index(code) + 1
    assert page["next_after"] is None


@pytest.mark.parametrize("code", ["SKU999", "sku001", "SKU 001", "\0"])
def test_an_unknown_product_is_refused_and_the_parameter_named(
    code: str, client: TestClient
) -> None:
    response = client.get(PRODUCTS, params={"product_code": code})
    (fault,) = response.json()["errors"]
    assert response.status_code == 422
    assert response.headers["content-type"] == PROBLEM
    assert (fault["type"], fault["parameter"]) == ("unknown_product", "product_code")
    assert f"not among the {len(CODES)} that the model knows" in fault["detail"]
    assert ("the closest: 'SKU001'" in fault["detail"]) == (code not in ("SKU999", "\0"))


@pytest.mark.parametrize("limit", ["0", str(MAX_PRODUCTS_ON_PAGE + 1), "ten", "1.5", "9" * 5000])
def test_limits_outside_are_refused_and_the_parameter_named(limit: str, client: TestClient) -> None:
    assert client.get(PRODUCTS, params={"limit": MAX_PRODUCTS_ON_PAGE}).status_code == 200
    response = client.get(PRODUCTS, params={"limit": limit})
    assert response.status_code == 422
    assert [fault["parameter"] for fault in response.json()["errors"]] == ["limit"]


def test_a_curve_goes_through_the_answers_to_single_orders(
    trained: TestClient, served_model: DispatchModel
) -> None:
    products = trained.get(PRODUCTS).json()["products"]
    catalogue = served_model.metadata.catalogue
    for fact in ("product_code", "least_orders", "most_orders", "rows"):
        assert [product[fact] for product in products] == list(getattr(catalogue, fact))
    for product in products:
        curve = product["curve"]
        points = curve["orders_placed"]
        assert (points[0], points[-1]) == (product["least_orders"], product["most_orders"])
        assert [_point(curve, n) for n in range(CURVE_POINTS)] == [
            _asked(trained, product["product_code"], orders) for orders in points
        ]


def test_a_product_with_one_order_count_has_a_curve_too() -> None:
    model = HandMadeModel(
        ["ONE", "TWO"], catalogue={"least_orders": [7, 0], "most_orders": [7, 40]}
    )
    client = TestClient(create_app(hand_made_service(model=model)))
    one, two = client.get(PRODUCTS).json()["products"]
    assert one["curve"]["orders_placed"] == [7]
    assert one["curve"]["est_hours_to_dispatch"] == [2.5]
    assert two["curve"]["orders_placed"] == list(range(41))


def test_a_product_without_orders_shows_the_week_of_its_curve_and_its_own_interval() -> None:
    model = HandMadeModel(earlier_weeks=[KEPT])
    client = TestClient(create_app(hand_made_service(model=model)))
    orders = [{"product_code": code, "orders_placed": 100} for code in CODES_OF_MODEL]

    products = client.get(PRODUCTS).json()["products"]
    batch = client.post(BATCH, json={"orders": orders}).json()["predictions"]
    single = [client.post(V0_2, json=order).json() for order in orders]

    dates = ["2026-11-20T23:00:00Z", "2026-11-13T23:00:00Z", "2026-11-20T23:00:00Z"]
    for answers in (products, batch, single):
        assert [answer["curve_from"] for answer in answers] == dates
    for answer, multiple in zip(single, (2, 3, 2)):
        hours = answer["est_hours_to_dispatch"]
        half_width = multiple * (0.251 + 0.05 * hours)
        assert answer["interval"]["upper_hours"] == pytest.approx(hours + half_width, abs=0.01)


def test_products_that_cannot_be_trusted_are_flagged_in_every_answer_and_say_why() -> None:
    one, other, *_ = CODES_OF_MODEL
    remarks = {"unfit": [one], "swapped": [one], "noisy": [other]}
    client = TestClient(create_app(hand_made_service(model=HandMadeModel(remarks=remarks))))
    orders = [{"product_code": code, "orders_placed": 100} for code in CODES_OF_MODEL]

    products = client.get(PRODUCTS).json()["products"]
    batch = client.post(BATCH, json={"orders": orders}).json()["predictions"]
    single = [client.post(V0_2, json=order).json() for order in orders]

    for answers in (products, batch, single):
        assert [answer["trusted"] for answer in answers] == [False, True, True]
    assert [product["doubts"] for product in products] == [["unfit", "swapped"], [], []]
    noted = [["unfit", "swapped"], ["noisy"], []]
    assert [product["remarks"] for product in products] == noted


def _point(curve: dict[str, list[float]], n: int) -> tuple[float, float, float]:
    return curve["est_hours_to_dispatch"][n], curve["lower_hours"][n], curve["upper_hours"][n]


def _asked(client: TestClient, code: str, orders: float) -> tuple[float, float, float]:
    order = {"product_code": code, "orders_placed": orders}
    answer: dict[str, Any] = client.post(V0_2, json=order).json()
    interval = answer["interval"]
    assert not answer["extrapolated"]
    return answer["est_hours_to_dispatch"], interval["lower_hours"], interval["upper_hours"]


def test_the_report_is_that_of_the_store_and_runs_the_known_script_alone(
    trained: TestClient, trained_store: Path
) -> None:
    (report,) = (trained_store / REPORTS).iterdir()
    response = trained.get("/report")
    assert response.status_code == 200
    assert response.content == report.read_bytes()
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"].split("; ")
    known = f"script-src {hash_source(REPORT_SCRIPT.encode())}"
    assert {"default-src 'none'", "sandbox allow-scripts", known} <= set(policy)


def test_the_history_tells_what_is_served_and_where_the_reports_are(
    trained: TestClient, served_model: DispatchModel
) -> None:
    history = trained.get("/api/v0.2/history").json()
    (training,) = history["trainings"]
    assert history["model_version"] == history["usable_version"] == training["version"]
    assert (training["outcome"], training["has_report"]) == ("published", True)
    report = trained.get(f"/reports/{served_model.version}")
    assert report.content == trained.get("/report").content


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("time_to_dispatch_2026-11-23T18-49-11-198262_4c31a57b802f2bb0", 404),
        ("..%2Fmodels", 404),
        ("x", 422),
    ],
)
def test_no_report_but_those_on_models_can_be_asked_for(
    name: str, status: int, trained: TestClient
) -> None:
    assert trained.get(f"/reports/{name}").status_code == status


def test_a_missing_report_is_404_with_the_reason(tmp_path: Path) -> None:
    response = TestClient(create_app(hand_made_service(str(tmp_path)))).get("/report")
    assert response.status_code == 404
    detail = response.json()["detail"]
    assert detail.startswith("There is no report on by_hand: ")
    assert f"{REPORTS}/by_hand.html" in detail


def test_a_store_that_cannot_be_read_is_503_with_the_reason(tmp_path: Path) -> None:
    service = hand_made_service(str(tmp_path / "gone"))
    response = TestClient(create_app(service)).get("/report")
    assert response.status_code == 503
    assert "there is no such folder" in response.json()["detail"]


def test_a_service_without_a_model_is_alive_but_not_ready(tmp_path: Path) -> None:
    service = service_without_model(tmp_path)
    client = TestClient(create_app(service))
    assert _health(client, "/healthz") == (200, "ok")
    assert _health(client, "/readyz") == (503, "no model is loaded")
    for path in ("/api/v0.1/model", PRODUCTS, "/report"):
        assert client.get(path).status_code == 503
    service.serve(HandMadeModel())
    assert _health(client, "/readyz") == (200, "ready")


def test_a_service_that_is_about_to_stop_is_alive_but_not_ready() -> None:
    service = hand_made_service()
    service.is_draining = True
    client = TestClient(create_app(service))
    assert _health(client, "/healthz") == (200, "ok")
    assert _health(client, "/readyz") == (503, "about to stop")
    assert client.post(V0_1, json=EXAMPLE).status_code == 200


@pytest.mark.parametrize(("variable", "told"), [("5210017", "5210017"), ("", None), (None, None)])
def test_the_process_tells_which_commit_of_the_code_it_runs(
    variable: str | None, told: str | None, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable is not None:
        monkeypatch.setenv("GIT_COMMIT_HASH", variable)
    assert client.get("/healthz").json()["git_commit"] == told


def test_the_process_tells_its_version_and_that_of_its_model(client: TestClient) -> None:
    answer = client.get("/healthz").json()

    assert answer["version"] == (ROOT / "VERSION").read_text().strip()
    assert answer["model_version"] == client.get("/api/v0.1/model").json()["model_version"]


def _health(client: TestClient, path: str) -> tuple[int, str]:
    response = client.get(path)
    assert {"status"} <= response.json().keys()
    return response.status_code, response.json()["status"]


@pytest.fixture
def behind_a_proxy() -> TestClient:
    """Return a client of a service behind the prefix /dispatch."""
    return TestClient(create_app(hand_made_service("--root-path", "/dispatch")))


def test_the_prefix_may_be_there_once_and_only_as_a_whole(behind_a_proxy: TestClient) -> None:
    for path in ("/healthz", "/metrics", PRODUCTS):
        for prefix, status in (("", 200), ("/dispatch", 200), ("/dispatch/dispatch", 404)):
            assert behind_a_proxy.get(f"{prefix}{path}").status_code == status
    for path in ("/dispatchhealthz", "/other/healthz"):
        assert behind_a_proxy.get(path).status_code == 404


def test_the_docs_find_the_description_with_and_without_a_prefix(
    behind_a_proxy: TestClient, client: TestClient
) -> None:
    for prefix in ("", "/dispatch"):
        assert "url: 'openapi.json'" in behind_a_proxy.get(f"{prefix}/docs").text
        assert behind_a_proxy.get(f"{prefix}/docs/swagger-ui.css").status_code == 200
        description = behind_a_proxy.get(f"{prefix}/openapi.json").json()
        assert description["servers"] == [{"url": "/dispatch"}]
    assert "servers" not in client.get("/openapi.json").json()


def test_the_prefix_does_not_open_what_needs_a_key() -> None:
    service = hand_made_service("--root-path", "/dispatch", "--api-key", "right")
    app = create_app(service)
    for prefix in ("", "/dispatch"):
        assert asyncio.run(ask(app, f"{prefix}/healthz", method="GET")).status == 200
        assert asyncio.run(ask(app, f"{prefix}/metrics", method="GET")).status == 401
    refused = asyncio.run(ask(app, f"/dispatch{V0_2}"))
    assert (refused.status, refused.headers["content-type"]) == (401, PROBLEM)
