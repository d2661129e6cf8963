"""The fast path and FastAPI give the same answers, to the byte, and count them alike."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.api.product_curves import PRODUCT_CURVES
from pipeline.api.service import DispatchService
from pipeline.model.arrays import Floats
from pipeline.model.product_codes import Positions
from pipeline.model.regressor import OrderColumns
from pipeline.serve_model import create_app
from pipeline.server.body_limit import MAX_BODY_BYTES
from pipeline.server.fast_path import FastAnswer, answer_fast, answer_fast_batch
from pipeline.server.middleware import RequestMiddleware
from tests.support.service_fixtures import (
    BATCH,
    JSON,
    V0_1,
    V0_2,
    Answer,
    HandMadeModel,
    ask,
    broken_model,
    hand_made_service,
    service_without_model,
)

VERSIONS = pytest.mark.parametrize("path", [V0_1, V0_2])
MADE_UP = settings(
    max_examples=120,
    derandomize=True,
    deadline=None,
    database=None,
    # The settings and credentials of whoever runs the tests need not be removed for each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class SensitiveRegressor:
    """A regressor whose estimate changes with the last bit of the orders placed."""

    def hours(self, positions: Positions, orders: OrderColumns) -> Floats:
        """Return hours, shape (n_rows,), that have nothing to do with dispatching."""
        placed = np.asarray(orders.get("orders_placed"), dtype=np.float64)
        bits = placed.view(np.uint64) % 99_991
        return bits / 100 + 3 * positions

    def hours_of_one(self, position: int, order: Mapping[str, Any]) -> float:
        """Return the same for one order."""
        columns = {name: [value] for name, value in order.items()}
        return float(self.hours(np.array([position]), columns)[0])


class BothWays(NamedTuple):
    """Two services that differ in nothing but the fast path.

    Attributes:
        apps: with the fast path, and without.
        services: of the two.
        fast: whether a request could take the fast path, for each that was tried.
    """

    apps: tuple[RequestMiddleware, RequestMiddleware]
    services: tuple[DispatchService, DispatchService]
    fast: list[bool]

    def ask(
        self,
        path: str,
        *pieces: bytes,
        headers: Sequence[tuple[bytes, bytes]] = (JSON,),
        method: str = "POST",
        is_fast: bool | None = None,
    ) -> Answer:
        """Ask both, check that they agree, and return what they say without identifiers."""
        self.fast.clear()
        answers = [
            asyncio.run(ask(app, path, pieces or (b"",), headers, method)) for app in self.apps
        ]
        for answer in answers:
            assert answer.headers.pop("x-request-id")
        assert answers[0] == answers[1]
        assert is_fast is None or is_fast == any(self.fast)
        return answers[0]


def both_ways(make_service: Callable[[], DispatchService]) -> BothWays:
    """Return two applications on services that are made alike."""
    services = (make_service(), make_service())
    fast = []

    def noted(*request: Any) -> FastAnswer | None:
        answer = answer_fast(*request)
        fast.append(answer is not None)
        return answer

    async def noted_batch(*request: Any) -> bytes | None:
        content = await answer_fast_batch(*request)
        fast.append(content is not None)
        return content

    async def no_batch(*request: Any) -> None:
        return None

    apps = (
        create_app(services[0], noted, noted_batch),
        create_app(services[1], lambda *request: None, no_batch),
    )
    return BothWays(apps, services, fast)


@pytest.fixture(scope="module")
def ways() -> BothWays:
    """Return both ways to a model that misses no bit."""
    codes = ["SKU001", "SKU002", "é/~𝄞"]
    return both_ways(
        lambda: hand_made_service(model=HandMadeModel(codes, regressor=SensitiveRegressor()))
    )


def order(orders: bytes = b"112", product: bytes = b'"SKU001"', more: bytes = b"") -> bytes:
    """Return an order as JSON of these pieces."""
    return b'{"product_code": %b, "orders_placed": %b%b}' % (product, orders, more)


def ids(bodies: Sequence[bytes]) -> list[str]:
    """Return names of bodies, the longest of which are a megabyte."""
    return [f"{body[:60]!r} of {len(body)}" for body in bodies]


PLAIN = order()
NUMBERS = b"[NaN,Infinity,-Infinity,1e400,-1e400,1e-400,123456789012345678901234567890]"
# Legal JSON in UTF-8, as the fast path takes it.
VALID = [
    PLAIN,
    b' \t\r\n{ "orders_placed" :\n112 , "product_code"\t: "SKU001" }\r\n ',
    rb'{"product_code": "\u0053KU\u0030\u00301", "orders_pl\u0061ced": 112}',
    b'{"product_code":"no","orders_placed":-1,"product_code":"SKU002","orders_placed":3}',
    order(product='"é/~𝄞"'.encode()),
    order(product=rb'"\u00e9\/~\ud834\udd1e"'),
    *(order(product=code.encode()) for code in ('" SKU001 "', '"\u200bSKU001"', '"e\u0301/~𝄞"')),
    order(more=b', "a": [1, {"b": null}], "": ""'),
    order(more=b', "n": ' + NUMBERS),
    order(more=b', "deep": %b%b' % (b"[" * 50, b"]" * 50)),
    order(more=b', "x": "%b"' % (b"x" * 1_000_000)),
    *map(order, (b"0", b"-0", b"-0.0", b"-1e-400", b"1e2", b"1.125E+2", b"112.0", b"1000000")),
    *map(order, (b"1000000.0", b"9007199254740993e-11", b"0.1" + b"0123456789" * 30)),
]
# Only Python's parser takes these, if any does.
FOR_FASTAPI = [
    *map(PLAIN.decode().encode, ("utf-8-sig", "utf-16", "utf-16-le", "utf-32")),
    order(more=rb', "x": "\ud800"'),
    order(more=b', "deep": %b%b' % (b"[" * 500, b"]" * 500)),
]
INVALID = [
    *map(order, (b"-1", b"-1e-300", b"NaN", b"-NaN", b"nan", b"Infinity", b"-Infinity", b"inf")),
    *map(order, (b"1e400", b"1000001", b"1000000.0000000002", b"01", b"+1", b".5", b"5.", b"1_0")),
    *map(order, (b"0x10", b"1e", b"--1", b"true", b"null", b'"12"', b"[1]", b'{"n": 1}', b"")),
    *(order(b"9" * digits) for digits in (400, 4_300, 4_301)),
    *map(order, (b"-" + b"9" * 4_300, b"1" + b"0" * 9_999)),
    *(order(b"[" * depth + b"]" * depth) for depth in (190, 199, 200, 201, 500, 900, 20_000)),
    *(order(product=code) for code in (b'""', b'"sku001"', rb'"SKU001\u0000"')),
    *(order(product=code) for code in (b'"SKU001\x00"', b'"\x1f"', rb'"\ud800"', b'"\xff"')),
    *(order(product=code) for code in (rb'"\udc00\ud800"', b'"\xed\xa0\x80"', b"'SKU001'")),
    *(order(product=code) for code in (b"1", b"null", b"true", b'["SKU001"]', b'{"SKU001": 1}')),
    *(order(product=code) for code in (rb'"\x41"', b'"SKU001', b'"%b"' % (b"9" * 100_000))),
    order(more=b', "x": ' + b"9" * 4_301),
    order(more=b', "orders_placed": -1'),
    b'{"orders_placed": 1}',
    b'{"product_code": "SKU001"}',
    PLAIN.replace(b"product", b"Product"),
    *(PLAIN + rest for rest in (b" x", PLAIN, b" // so many", b"\0")),
    *(order(more=b","), b"\xc2\xa0" + PLAIN, PLAIN[:20], b"[%b]" % PLAIN, b"{}"),
    *(b"", b" ", b"null", b"112", b"NaN", b"SKU001, 112", b"product_code=SKU001&orders_placed=112"),
    json.dumps(PLAIN.decode()).encode(),
    b"[" * 100_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
]


@VERSIONS
@pytest.mark.parametrize("body", VALID, ids=ids(VALID))
def test_valid_requests_take_the_fast_path_to_the_same_answer(
    body: bytes, path: str, ways: BothWays
) -> None:
    answer = ways.ask(path, body, is_fast=True)
    length = str(len(answer.body))
    assert answer.status == 200
    assert answer.headers == {
        "content-type": "application/json",
        "content-length": length,
        "x-content-type-options": "nosniff",
    }


@VERSIONS
@pytest.mark.parametrize("body", FOR_FASTAPI, ids=ids(FOR_FASTAPI))
def test_what_the_fast_path_cannot_read_is_left_to_fastapi(
    body: bytes, path: str, ways: BothWays
) -> None:
    ways.ask(path, body, is_fast=False)


@VERSIONS
@pytest.mark.parametrize("body", INVALID, ids=ids(INVALID))
def test_invalid_requests_are_refused_in_the_same_words(
    body: bytes, path: str, ways: BothWays
) -> None:
    assert ways.ask(path, body).status in (400, 422)


COLUMNS = b'{"product_code": ["SKU001", "x"], "orders_placed": [112, 5]}'
VALID_BATCHES = [
    *(b'{"orders": [%b]}' % b",".join([one, PLAIN]) for one in [*VALID, b"null", b"NaN", b"{}"]),
    *(COLUMNS.replace(b"112", one) for one in (b"-1", b"null", b"NaN", b"1e400", b"[]", b'"112"')),
    COLUMNS,
    COLUMNS.replace(b'"x"', rb'"\ud834\udd1e"'),
    COLUMNS[:-1] + b', "more": 1}',
]
INVALID_BATCHES = [
    *(b'{"orders": %b}' % orders for orders in (b"[]", b"null", b"{}", PLAIN, b"[1", b'"x"')),
    *(b'{"orders": [%b]}' % one for one in (b"[" * 500 + b"]" * 500, rb'"\ud800"', b"9" * 4_301)),
    *(COLUMNS.replace(b", 5", rest) for rest in (b"", b", 5, 6", b", ", b", 5]")),
    *(COLUMNS.replace(b"[112, 5]", rest) for rest in (b"[]", b"null", b"112", b"{}")),
    *(COLUMNS[:20], COLUMNS.decode().encode("utf-16"), b"", b"[]", b"null", PLAIN, b"{}"),
]


@pytest.mark.parametrize("body", VALID_BATCHES, ids=ids(VALID_BATCHES))
def test_valid_batches_take_the_fast_path_to_the_same_answer(body: bytes, ways: BothWays) -> None:
    assert ways.ask(BATCH, body, is_fast=True).status == 200


@pytest.mark.parametrize("body", INVALID_BATCHES, ids=ids(INVALID_BATCHES))
def test_invalid_batches_are_judged_alike(body: bytes, ways: BothWays) -> None:
    ways.ask(BATCH, body, is_fast=False)


LIKE_JSON = (
    b'Application/JSON|application/json; charset=utf-8|APPLICATION/json;CHARSET="UTF-8"|'
    b'application/json;|application/json ; v=1; x=";/"|application/json;charset=latin-1|'
    b" application/json|application/vnd.order+json|application/problem+JSON; charset=utf-8"
)
NOT_JSON = (
    b"application/json, text/plain|application/jsonp|application/json+xml|application/x/y+json|"
    b"text/json|text/plain; application/json|text/plain|\xff|"
)


@VERSIONS
@pytest.mark.parametrize(
    ("content_types", "status"),
    [
        *(([kind], 200) for kind in LIKE_JSON.split(b"|")),
        ([b"application/json", b"text/plain"], 200),
        ([b"text/plain", b"application/json"], 422),
        *(([kind], 422) for kind in NOT_JSON.split(b"|")),
        ([b"multipart/form-data; boundary=x"], 422),
        ([], 422),
    ],
)
def test_content_types_are_judged_alike(
    content_types: list[bytes], status: int, path: str, ways: BothWays
) -> None:
    headers = [(b"content-type", content_type) for content_type in content_types]
    assert ways.ask(path, PLAIN, headers=headers, is_fast=status == 200).status == status


@VERSIONS
def test_json_is_utf_8_whatever_its_charset_says(path: str, ways: BothWays) -> None:
    kind = [(b"content-type", b"application/json; charset=iso-8859-1")]
    accented = order(product='"é/~𝄞"'.encode())
    assert ways.ask(path, accented, headers=kind, is_fast=True).status == 200
    assert ways.ask(path, order(product='"é"'.encode("latin-1")), headers=kind).status == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"])
@VERSIONS
def test_other_methods_are_refused_alike(method: str, path: str, ways: BothWays) -> None:
    answer = ways.ask(path, PLAIN, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", [f"{V0_1}/", f"{V0_1}/x", f"/{V0_1}", f"{V0_1} ", ""])
def test_paths_that_resemble_the_right_one_are_no_short_cuts(path: str, ways: BothWays) -> None:
    assert ways.ask(path, PLAIN).status == 404


def test_a_body_in_pieces_is_the_same_request(ways: BothWays) -> None:
    whole = ways.ask(V0_2, PLAIN)
    assert ways.ask(V0_2, b"", PLAIN[:7], b"", PLAIN[7:], b"", is_fast=True) == whole


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=5,
)
_products = st.sampled_from(["SKU001", "SKU002", "é/~𝄞"])
_orders = st.floats(0, 1_000_000) | st.integers(0, 1_000_000)


@st.composite
def _written(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """Return values as JSON, written in one of many ways."""
    indent = draw(st.sampled_from([None, 1, "\t"]))
    text = json.dumps(draw(values), ensure_ascii=draw(st.booleans()), indent=indent)
    encoding = draw(st.sampled_from(["utf-8"] * 3 + ["utf-8-sig", "utf-16", "utf-32-be"]))
    return text.encode(encoding, errors="surrogatepass")


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """Return a valid body in which a few bytes were replaced, removed or put in."""
    body = draw(st.sampled_from([PLAIN, VALID[2], order(more=b', "n": ' + NUMBERS)]))
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(start + 3, len(body))))
    put_in = draw(st.binary(max_size=3) | st.sampled_from([b"0", b"e", b".", b"\\", b'"', b"-"]))
    return body[:start] + put_in + body[end:]


@MADE_UP
@given(
    order=st.fixed_dictionaries({"product_code": _products, "orders_placed": _orders}),
    others=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers()),
    path=st.sampled_from([V0_1, V0_2]),
)
@example(order={"product_code": "SKU001", "orders_placed": 5e-324}, others={}, path=V0_2)
def test_whatever_is_ordered_takes_the_fast_path_to_the_same_answer(
    order: dict[str, Any], others: dict[str, int], path: str, ways: BothWays
) -> None:
    assert ways.ask(path, json.dumps(others | order).encode(), is_fast=True).status == 200


_like_orders = {"product_code": _products | _json_values, "orders_placed": _json_values}


@MADE_UP
@given(
    body=_written(_json_values | st.fixed_dictionaries({}, optional=_like_orders))
    | _damaged()
    | st.binary(),
    path=st.sampled_from([V0_1, V0_2]),
)
def test_whatever_is_sent_both_ways_agree(body: bytes, path: str, ways: BothWays) -> None:
    assert ways.ask(path, body).status in (200, 400, 422)


def test_both_ways_count_alike() -> None:
    ways = both_ways(hand_made_service)
    for path in (V0_1, V0_2):
        for body in (*VALID, *INVALID, b" " * (MAX_BODY_BYTES + 1)):
            ways.ask(path, body)
    fast, slow = map(_counts, ways.services)
    assert fast == slow
    assert 'ttd_requests_total{route="/api/v0.1/time_to_dispatch",status="413"} 1.0' in fast
    assert 'ttd_predictions_total{product_code="SKU002"} 2.0' in fast
    assert [line for line in fast if line.startswith("ttd_extrapolations_total ")]


def _counts(service: DispatchService) -> list[str]:
    """Return what a service counted, apart from how long things took."""
    lines = service.metrics.exposition().decode().splitlines()
    timed = ("process_", "ttd_request_seconds_bucket", "ttd_request_seconds_sum", "ttd_model_age")
    return [line for line in lines if not line.startswith((*timed, "ttd_dataset_age", "#"))]


@VERSIONS
def test_both_ways_fail_alike_if_the_model_is_broken_or_missing(path: str, tmp_path: Path) -> None:
    broken = both_ways(lambda: hand_made_service(model=broken_model()))
    assert broken.ask(path, PLAIN).status == 500
    assert both_ways(lambda: service_without_model(tmp_path)).ask(path, PLAIN).status == 503


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("known", [b"", b"*"])
def test_curves_take_the_fast_path_to_the_same_answer(
    method: str, known: bytes, ways: BothWays
) -> None:
    headers = [(b"if-none-match", known)]
    for code, status in (("SKU001", 304 if known else 200), ("é/~𝄞", None), ("no", 404)):
        answer = ways.ask(PRODUCT_CURVES + code, headers=headers, method=method)
        assert status in (None, answer.status)
        assert any(ways.fast) == (code != "no")


@VERSIONS
def test_the_fast_path_is_found_with_and_without_the_prefix_of_a_proxy(path: str) -> None:
    ways = both_ways(lambda: hand_made_service("--root-path", "/dispatch"))
    answer = ways.ask(path, PLAIN, is_fast=True)
    assert answer.status == 200
    assert ways.ask(f"/dispatch{path}", PLAIN, is_fast=True) == answer
