"""The short way and FastAPI's give the same answers, to the byte, and guard them alike."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.api.service import DispatchService
from pipeline.model.reader import OrderColumns
from pipeline.serve_model import create_app
from pipeline.server.body_limit import MAX_BODY_BYTES
from pipeline.server.fast_path import answer_fast
from pipeline.server.middleware import RequestMiddleware
from tests.support.service_fixtures import (
    JSON,
    V0_1,
    V0_2,
    Answer,
    BrokenModel,
    HandMadeModel,
    ask,
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


class SensitiveModel(HandMadeModel):
    """A model whose estimate changes with the last bit of the orders placed."""

    def estimate(self, orders: OrderColumns) -> npt.NDArray[np.float64]:
        """Return hours, shape (n_rows,), that have nothing to do with dispatching."""
        placed = np.asarray(orders.get("orders_placed"), dtype=np.float64)
        bits = placed.view(np.uint64) % 99_991
        codes = orders.get("product_code")
        level = super().estimate({"product_code": codes, "orders_placed": np.zeros(len(bits))})
        return bits / 100 + level


class Counting:
    """The short way, which counts how often it was taken."""

    def __init__(self) -> None:
        """Start at zero."""
        self.taken = 0

    def __call__(
        self, service: DispatchService, path: str, content_type: bytes | None, body: bytes
    ) -> bytes | None:
        """Answer shortly, and count if that was possible."""
        content = answer_fast(service, path, content_type, body)
        self.taken += content is not None
        return content


def never(service: DispatchService, path: str, content_type: bytes | None, body: bytes) -> None:
    """Leave every answer to FastAPI."""


class BothWays(NamedTuple):
    """Two services that differ in nothing but the way to their answers.

    Attributes:
        short: takes the short way where it can.
        long: always takes FastAPI's.
        services: of the two applications.
        counting: how often the short way was taken.
    """

    short: RequestMiddleware
    long: RequestMiddleware
    services: tuple[DispatchService, DispatchService]
    counting: Counting

    def ask(
        self,
        path: str,
        *pieces: bytes,
        headers: Sequence[tuple[bytes, bytes]] = (JSON,),
        method: str = "POST",
    ) -> Answer:
        """Ask both, check that they agree, and return what they say without identifiers."""
        answers = [
            _without_identifier(asyncio.run(ask(app, path, pieces or (b"",), headers, method)))
            for app in (self.short, self.long)
        ]
        assert answers[0] == answers[1]
        return answers[0]


def _without_identifier(answer: Answer) -> Answer:
    headers = dict(answer.headers)
    assert headers.pop("x-request-id")
    return answer._replace(headers=headers)


def both_ways(make_service: Callable[[], DispatchService]) -> BothWays:
    """Return two applications on services that are made alike."""
    services, counting = (make_service(), make_service()), Counting()
    short = create_app(services[0], fast_answer=counting)
    return BothWays(short, create_app(services[1], fast_answer=never), services, counting)


@pytest.fixture(scope="module")
def ways() -> BothWays:
    """Return both ways to a model that misses no bit."""
    return both_ways(lambda: hand_made_service(model=SensitiveModel(["SKU001", "SKU002", "é/~𝄞"])))


VALID = {
    "plain": b'{"product_code": "SKU001", "orders_placed": 112}',
    "the other way round": b'{"orders_placed":112,"product_code":"SKU001"}',
    "white space": b' \t\r\n{ "product_code" :\n"SKU001" , "orders_placed"\t: 112 }\r\n ',
    "escapes": rb'{"product_code": "\u0053KU\u0030\u00301", "orders_pl\u0061ced": 112}',
    "not ASCII": '{"product_code": "é/~𝄞", "orders_placed": 1}'.encode(),
    "not ASCII, escaped": rb'{"product_code": "\u00e9\/~\ud834\udd1e", "orders_placed": 1}',
    "duplicate keys": b'{"product_code":"no","orders_placed":-1,"product_code":"SKU002",'
    b'"orders_placed":3}',
    "extra fields": b'{"a":[1,{"b":null}],"product_code":"SKU001","orders_placed":5,"":""}',
    "extra numbers": b'{"product_code":"SKU001","orders_placed":5,"n":[NaN,Infinity,-Infinity,'
    b"1e400,-1e400,1e-400,123456789012345678901234567890]}",
    "extra depth": b'{"product_code":"SKU001","orders_placed":5,"deep":%b}'
    % (b"[" * 50 + b"]" * 50),
    "exponent": b'{"product_code": "SKU001", "orders_placed": 1e2}',
    "exponents in full": b'{"product_code": "SKU001", "orders_placed": 1.125E+2}',
    "zero": b'{"product_code": "SKU001", "orders_placed": 0}',
    "minus zero": b'{"product_code": "SKU001", "orders_placed": -0}',
    "minus zero with a fraction": b'{"product_code": "SKU001", "orders_placed": -0.0}',
    "too small for a float": b'{"product_code": "SKU001", "orders_placed": -1e-400}',
    "whole, with a fraction": b'{"product_code": "SKU001", "orders_placed": 112.0}',
    "more digits than a float": b'{"product_code": "SKU001", "orders_placed": 0.1%b}'
    % (b"0123456789" * 30),
    "a tie of floats": b'{"product_code": "SKU001", "orders_placed": 9007199254740993e-11}',
    "the most": b'{"product_code": "SKU001", "orders_placed": 1000000}',
    "the most, as a float": b'{"product_code": "SKU001", "orders_placed": 1000000.0}',
    "long": b'{"product_code": "SKU001", "orders_placed": 1, "x": "%b"}' % (b"x" * 1_000_000),
}
"""Legal JSON in UTF-8, as the short way takes it."""

FOR_FASTAPI = {
    "UTF-8 with BOM": VALID["plain"].decode().encode("utf-8-sig"),
    "UTF-16": VALID["plain"].decode().encode("utf-16"),
    "UTF-16 without BOM": VALID["plain"].decode().encode("utf-16-le"),
    "UTF-32": VALID["plain"].decode().encode("utf-32"),
    "lone surrogate": rb'{"product_code": "SKU001", "orders_placed": 1, "x": "\ud800"}',
    "depth": b'{"product_code":"SKU001","orders_placed":5,"deep":%b}' % (b"[" * 500 + b"]" * 500),
}
"""Bodies that only Python's parser takes, if any does."""


def _order(orders: bytes = b"112", product: bytes = b'"SKU001"') -> bytes:
    return b'{"product_code": %b, "orders_placed": %b}' % (product, orders)


INVALID = {
    **{
        f"orders {orders[:20]!r} of {len(orders)}": _order(orders)
        for orders in (
            *(b"-1", b"-1e-300", b"NaN", b"-NaN", b"nan", b"Infinity", b"-Infinity", b"inf"),
            *(b"1e400", b"1000001", b"1000000.0000000002", b"01", b"+1", b".5", b"5.", b"1_0"),
            *(b"0x10", b"1e", b"--1", b"true", b"null", b'"12"', b"[1]", b'{"n": 1}', b""),
            *(b"9" * 400, b"9" * 4_300, b"9" * 4_301, b"-" + b"9" * 4_300, b"1" + b"0" * 9_999),
            *(b"[" * depth + b"]" * depth for depth in (190, 199, 200, 201, 500, 900, 20_000)),
        )
    },
    **{
        f"product {product[:20]!r}": _order(product=product)
        for product in (
            *(b'""', b'"sku001"', b'"SKU001 "', b'"SKU001\\u0000"', b'"SKU001\x00"', b'"\x1f"'),
            *(rb'"\ud800"', rb'"\udc00\ud800"', b'"\xed\xa0\x80"', b'"\xff"', b"'SKU001'"),
            *(b"1", b"null", b"true", b'["SKU001"]', b'{"SKU001": 1}', rb'"\x41"', b'"SKU001'),
            b'"%b"' % (b"9" * 100_000),
        )
    },
    "digits in an extra field": b'{"product_code":"SKU001","orders_placed":1,"x":%b}'
    % (b"9" * 4_301),
    "no product": b'{"orders_placed": 1}',
    "no orders": b'{"product_code": "SKU001"}',
    "another case": b'{"Product_code": "SKU001", "orders_placed": 1}',
    "last duplicate": b'{"product_code": "SKU001", "orders_placed": 1, "orders_placed": -1}',
    "trailing garbage": _order() + b" x",
    "two orders": _order() + _order(),
    "trailing comma": b'{"product_code": "SKU001", "orders_placed": 112,}',
    "comment": _order() + b" // so many",
    "trailing null character": _order() + b"\0",
    "no-break space": b"\xc2\xa0" + _order(),
    "half": _order()[:20],
    "empty": b"",
    "white space": b" ",
    "list": b"[%b]" % _order(),
    "text": json.dumps(_order().decode()).encode(),
    "null": b"null",
    "number": b"112",
    "NaN": b"NaN",
    "not JSON": b"SKU001, 112",
    "form": b"product_code=SKU001&orders_placed=112",
    "empty object": b"{}",
    "depth 100,000": b"[" * 100_000,
    "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
}


@VERSIONS
@pytest.mark.parametrize("body", VALID.values(), ids=VALID.keys())
def test_valid_requests_take_the_short_way_to_the_same_answer(
    body: bytes, path: str, ways: BothWays
) -> None:
    taken = ways.counting.taken
    answer = ways.ask(path, body)
    assert answer.status == 200
    assert answer.headers == {
        "content-type": "application/json",
        "content-length": str(len(answer.body)),
    }
    assert ways.counting.taken == taken + 1


@VERSIONS
@pytest.mark.parametrize("body", FOR_FASTAPI.values(), ids=FOR_FASTAPI.keys())
def test_what_the_short_way_cannot_read_is_left_to_fastapi(
    body: bytes, path: str, ways: BothWays
) -> None:
    taken = ways.counting.taken
    ways.ask(path, body)
    assert ways.counting.taken == taken


@VERSIONS
@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID.keys())
def test_invalid_requests_are_refused_in_the_same_words(
    body: bytes, path: str, ways: BothWays
) -> None:
    assert ways.ask(path, body).status in (400, 422)


@VERSIONS
@pytest.mark.parametrize(
    ("content_types", "status"),
    [
        ([b"application/json"], 200),
        ([b"Application/JSON"], 200),
        ([b"application/json; charset=utf-8"], 200),
        ([b"application/json;charset=latin-1"], 200),
        ([b" application/json"], 200),
        ([b"application/vnd.order+json"], 200),
        ([b"application/json", b"text/plain"], 200),
        ([b"text/plain", b"application/json"], 422),
        ([b"application/json, text/plain"], 422),
        ([b"application/jsonp"], 422),
        ([b"text/json"], 422),
        ([b"text/plain"], 422),
        ([b"multipart/form-data; boundary=x"], 422),
        ([b"\xff"], 422),
        ([b""], 422),
        ([], 422),
    ],
)
def test_content_types_are_judged_alike(
    content_types: list[bytes], status: int, path: str, ways: BothWays
) -> None:
    headers = [(b"content-type", content_type) for content_type in content_types]
    assert ways.ask(path, VALID["plain"], headers=headers).status == status


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"])
@VERSIONS
def test_other_methods_are_refused_alike(method: str, path: str, ways: BothWays) -> None:
    answer = ways.ask(path, VALID["plain"], method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "path",
    [f"{V0_1}/", f"{V0_1}/x", "//api/v0.1/time_to_dispatch", "/api/v0.1/time_to_dispatch ", ""],
)
def test_paths_that_resemble_the_right_one_are_no_short_cuts(path: str, ways: BothWays) -> None:
    assert ways.ask(path, VALID["plain"]).status in (307, 404)


def test_a_body_in_pieces_is_the_same_request(ways: BothWays) -> None:
    body, taken = VALID["plain"], ways.counting.taken
    whole = ways.ask(V0_2, body)
    assert ways.ask(V0_2, b"", body[:7], b"", body[7:], b"") == whole
    assert ways.counting.taken == taken + 2


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
    text = json.dumps(
        draw(values),
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 1, "\t"])),
    )
    encoding = draw(st.sampled_from(["utf-8"] * 3 + ["utf-8-sig", "utf-16", "utf-32-be"]))
    return text.encode(encoding, errors="surrogatepass")


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """Return a valid body in which a few bytes were replaced, removed or put in."""
    body = draw(st.sampled_from([VALID["plain"], VALID["escapes"], VALID["extra numbers"]]))
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
def test_whatever_is_ordered_takes_the_short_way_to_the_same_answer(
    order: dict[str, Any], others: dict[str, int], path: str, ways: BothWays
) -> None:
    taken = ways.counting.taken
    assert ways.ask(path, json.dumps(others | order).encode()).status == 200
    assert ways.counting.taken == taken + 1


@MADE_UP
@given(
    body=_written(
        _json_values
        | st.fixed_dictionaries(
            {}, optional={"product_code": _products | _json_values, "orders_placed": _json_values}
        )
    )
    | _damaged()
    | st.binary(),
    path=st.sampled_from([V0_1, V0_2]),
)
def test_whatever_is_sent_both_ways_agree(body: bytes, path: str, ways: BothWays) -> None:
    assert ways.ask(path, body).status in (200, 400, 422)


def test_both_ways_ask_for_the_key() -> None:
    ways = both_ways(lambda: hand_made_service("--api-key", "right"))
    body = VALID["plain"]
    for path in (V0_1, V0_2):
        for key, status in ((b"right", 200), (b"wrong", 401), (b"", 401)):
            assert ways.ask(path, body, headers=[JSON, (b"x-api-key", key)]).status == status
        assert ways.ask(path, body).status == 401
        assert ways.ask(path, b"not JSON").status == 401
    assert ways.counting.taken == 2


def test_both_ways_take_over_the_identifier_of_the_request(ways: BothWays) -> None:
    for app in (ways.short, ways.long):
        headers = [JSON, (b"x-request-id", b"mine-1")]
        answer = asyncio.run(ask(app, V0_1, [VALID["plain"]], headers))
        assert (answer.status, answer.headers["x-request-id"]) == (200, "mine-1")


@VERSIONS
def test_both_ways_have_the_same_limit_of_bodies(path: str, ways: BothWays) -> None:
    body = VALID["plain"]
    longest = body + b" " * (MAX_BODY_BYTES - len(body))
    assert ways.ask(path, longest).status == 200
    assert ways.ask(path, longest[:-9], longest[-9:]).status == 200
    assert ways.ask(path, longest + b" ").status == 413
    assert ways.ask(path, longest, b" ").status == 413
    too_long = (b"content-length", b"%d" % (MAX_BODY_BYTES + 1))
    assert ways.ask(path, body, headers=[JSON, too_long]).status == 413


def test_both_ways_count_alike() -> None:
    ways = both_ways(hand_made_service)
    for path in (V0_1, V0_2):
        for body in (*VALID.values(), *INVALID.values(), b" " * (MAX_BODY_BYTES + 1)):
            ways.ask(path, body)
    short, long = (_counts(service) for service in ways.services)
    assert short == long
    assert 'ttd_requests_total{route="/api/v0.1/time_to_dispatch",status="413"} 1.0' in short
    assert 'ttd_predictions_total{product_code="SKU002"} 2.0' in short
    assert [line for line in short if line.startswith("ttd_extrapolations_total ")]


def _counts(service: DispatchService) -> list[str]:
    """Return what a service counted, apart from how long things took."""
    lines = service.metrics.exposition().decode().splitlines()
    timed = ("process_", "ttd_request_seconds_bucket", "ttd_request_seconds_sum", "ttd_model_age")
    return [line for line in lines if not line.startswith((*timed, "ttd_dataset_age", "#"))]


def test_both_ways_tell_a_client_to_leave_before_the_service_stops(ways: BothWays) -> None:
    draining = both_ways(hand_made_service)
    for service in draining.services:
        service.is_draining = True
    for path in (V0_1, V0_2):
        for body in (VALID["plain"], b"not JSON", b" " * (MAX_BODY_BYTES + 1)):
            assert draining.ask(path, body).headers["connection"] == "close"
            assert "connection" not in ways.ask(path, body).headers
    assert draining.counting.taken == 2


@VERSIONS
def test_both_ways_fail_alike_when_the_model_is_broken(path: str) -> None:
    ways = both_ways(lambda: hand_made_service(model=BrokenModel()))
    assert ways.ask(path, VALID["plain"]).status == 500


@VERSIONS
def test_both_ways_say_that_there_is_no_model(path: str, tmp_path: Any) -> None:
    ways = both_ways(lambda: service_without_model(tmp_path))
    assert ways.ask(path, VALID["plain"]).status == 503


@pytest.fixture
def behind_a_proxy() -> Iterator[tuple[TestClient, Counting]]:
    """Return a client of a service behind the prefix /dispatch."""
    counting = Counting()
    service = hand_made_service("--root-path", "/dispatch")
    with TestClient(create_app(service, fast_answer=counting)) as client:
        yield client, counting


@VERSIONS
def test_the_short_way_is_found_with_and_without_the_prefix_of_a_proxy(
    path: str, behind_a_proxy: tuple[TestClient, Counting]
) -> None:
    client, counting = behind_a_proxy
    order = {"product_code": "SKU001", "orders_placed": 112}
    answers = [client.post(f"{prefix}{path}", json=order) for prefix in ("", "/dispatch")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    assert counting.taken == 2
