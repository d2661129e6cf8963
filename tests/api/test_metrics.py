"""What the service counts, as Prometheus reads it: right, and never too many series."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from pipeline.api.service import DispatchService
from pipeline.model.metadata import COVERAGE, DriftMeasure
from pipeline.serve_model import create_app
from tests.support.builders import DELIVERED_AT, TRAINED_AT, metadata
from tests.support.helpers import EXAMPLE, logged
from tests.support.service_fixtures import (
    BATCH,
    PRODUCTS,
    V0_1,
    V0_2,
    HandMadeModel,
    hand_made_service,
    service_without_model,
)

Series = dict[tuple[str, ...], float]
"""The values of a metric by the values of its labels."""


def series(service: DispatchService, name: str) -> Series:
    """Return the samples of a metric as the service exposes them, labels by their name."""
    families = text_string_to_metric_families(service.metrics.exposition().decode())
    return {
        tuple(label for _, label in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
def service() -> DispatchService:
    """Return a service with a model made by hand."""
    return hand_made_service()


@pytest.fixture
def client(service: DispatchService) -> TestClient:
    """Return a client of that service."""
    return TestClient(create_app(service))


def test_requests_are_counted_by_route_and_status(
    service: DispatchService, client: TestClient
) -> None:
    for path in (V0_1, V0_1, V0_2):
        client.post(path, json=EXAMPLE)
    client.post(V0_1, json={})
    client.post(BATCH, json={"orders": [EXAMPLE]})
    client.get(f"{PRODUCTS}?limit=1")
    client.get(f"{PRODUCTS}?limit=2")
    client.get(PRODUCTS, params={"limit": 0})
    client.get(V0_1)
    client.get("/report")
    client.get("/healthz")
    assert series(service, "ttd_requests_total") == {
        (V0_1, "200"): 2,
        (V0_1, "422"): 1,
        (V0_1, "405"): 1,
        (V0_2, "200"): 1,
        (BATCH, "200"): 1,
        (PRODUCTS, "200"): 2,
        (PRODUCTS, "422"): 1,
        ("/report", "404"): 1,
        ("/healthz", "200"): 1,
    }
    assert series(service, "ttd_requests_in_progress") == {(): 0}


def test_requests_behind_a_prefix_are_counted_under_their_route() -> None:
    service = hand_made_service("--root-path", "/dispatch")
    client = TestClient(create_app(service))
    for prefix in ("", "/dispatch"):
        client.post(f"{prefix}{V0_1}", json=EXAMPLE)
        client.get(f"{prefix}/healthz")
    assert series(service, "ttd_requests_total") == {(V0_1, "200"): 2, ("/healthz", "200"): 2}


def test_every_answer_is_timed(service: DispatchService, client: TestClient) -> None:
    for body in (EXAMPLE, {}):
        client.post(V0_1, json=body)
    client.get("/no/such/path")
    assert series(service, "ttd_request_seconds_count") == {(V0_1,): 2, ("other",): 1}
    assert all(0 < seconds < 10 for seconds in series(service, "ttd_request_seconds_sum").values())


def test_times_are_told_apart_from_0_1_ms_to_1_s() -> None:
    service = hand_made_service()
    for seconds in (0.00005, 0.0003, 0.9, 2.0):
        service.metrics.count_request(V0_1, 200, seconds)
    buckets = {
        float(end): count
        for (end, _), count in series(service, "ttd_request_seconds_bucket").items()
    }
    ends = sorted(buckets)
    assert (ends[0], ends[-2], ends[-1]) == (0.0001, 1.0, float("inf"))
    assert all(1 < end / start <= 2.5 + 1e-9 for start, end in zip(ends, ends[1:-1]))
    assert (buckets[0.0001], buckets[0.0002], buckets[0.0005]) == (1, 1, 2)
    assert (buckets[0.5], buckets[1.0], buckets[float("inf")]) == (2, 3, 4)


def test_unknown_paths_share_one_label(service: DispatchService, client: TestClient) -> None:
    for n in range(50):
        client.get(f"/no/such/path/{n}")
        client.post(f"{V0_1}/{n}", json=EXAMPLE)
    client.get(f"{V0_2.replace('time', 'Time')}")
    client.get("/docs")
    client.get("/docs/favicon.png")
    requests = series(service, "ttd_requests_total")
    assert requests == {("other", "404"): 101, ("other", "200"): 1, ("/docs", "200"): 1}


def test_made_up_products_and_reasons_make_no_series(
    service: DispatchService, client: TestClient
) -> None:
    for n in range(50):
        order = {"product_code": f"NO{n}", "orders_placed": n, f"extra{n}": n}
        client.post(V0_1, json=order)
        client.post(BATCH, json={"orders": [order], f"extra{n}": n})
        client.get(PRODUCTS, params={"product_code": f"NO{n}", f"extra{n}": n})
        client.post(V0_1, content=b"{" * n, headers={"content-type": f"application/x{n}"})
        client.post(V0_1, content=b'{"' * n, headers={"content-type": "application/json"})
    assert series(service, "ttd_refused_inputs_total").keys() == {
        ("unknown_product",),
        ("json_expected",),
        ("json_invalid",),
        ("missing",),
    }
    assert series(service, "ttd_refused_inputs_total")["unknown_product",] == 150
    products = series(service, "ttd_predictions_total").keys()
    assert products == {("SKU001",), ("SKU002",), ("SKU003",), ("other",)}


REFUSED: dict[str, tuple[bytes, str]] = {
    "greater_than_equal": (b'{"product_code": "SKU001", "orders_placed": -1}', V0_1),
    "less_than_equal": (b'{"product_code": "SKU001", "orders_placed": 1e7}', V0_2),
    "finite_number": (b'{"product_code": "SKU001", "orders_placed": NaN}', V0_2),
    "float_type": (b'{"product_code": "SKU001", "orders_placed": "1"}', V0_1),
    "string_type": (b'{"product_code": 1, "orders_placed": 1}', V0_1),
    "unknown_product": (b'{"product_code": "no", "orders_placed": 1}', V0_2),
    "json_invalid": (b"not JSON", V0_1),
    "unreadable": (b"[" * 50_000, V0_1),
    "body_too_long": (b" " * 1_048_577, V0_1),
    "too_short": (b'{"orders": []}', BATCH),
}


def test_what_is_refused_is_counted_by_reason(service: DispatchService, client: TestClient) -> None:
    for body, path in REFUSED.values():
        client.post(path, content=body, headers={"content-type": "application/json"})
    client.post(V0_1, json={"product_code": 1, "orders_placed": -1})
    twice = {"string_type", "greater_than_equal"}
    expected = {(reason,): 1 + (reason in twice) for reason in REFUSED}
    assert series(service, "ttd_refused_inputs_total") == expected


def test_requests_without_a_key_are_counted() -> None:
    service = hand_made_service("--api-key", "right")
    TestClient(create_app(service)).post(V0_1, json=EXAMPLE)
    assert series(service, "ttd_refused_inputs_total") == {("no_valid_key",): 1}
    assert series(service, "ttd_requests_total") == {(V0_1, "401"): 1}


def test_predictions_and_extrapolations_are_counted(
    service: DispatchService, client: TestClient
) -> None:
    assert series(service, "ttd_predictions_total")["SKU001",] == 0
    for orders in (9.99, 10, 200.5, 200.51):
        for path in (V0_1, V0_2):
            for _ in range(2):
                client.post(path, json={"product_code": "SKU002", "orders_placed": orders})
    client.post(V0_1, json=EXAMPLE)
    predictions = series(service, "ttd_predictions_total")
    assert predictions == {("SKU001",): 1, ("SKU002",): 16, ("SKU003",): 0, ("other",): 0}
    assert series(service, "ttd_extrapolations_total") == {(): 8}


def test_the_100_products_with_the_most_rows_are_told_apart() -> None:
    codes = [f"P{n:05}" for n in range(10_000)]
    rows = [(n * 7_919) % 10_007 for n in range(10_000)]
    largest = [code for _, code in sorted(zip(rows, codes), reverse=True)[:100]]
    service = hand_made_service(model=HandMadeModel(codes, catalogue={"rows": rows}))
    client = TestClient(create_app(service))
    labels = set(series(service, "ttd_predictions_total"))
    assert labels == {("other",), *((code,) for code in largest)}
    for start in range(0, 10_000, 5_000):
        orders = [{"product_code": c, "orders_placed": 20} for c in codes[start : start + 5_000]]
        assert client.post(BATCH, json={"orders": orders}).status_code == 200
    client.post(V0_1, json={"product_code": largest[0], "orders_placed": 20})
    client.post(V0_1, json={"product_code": min(set(codes) - set(largest)), "orders_placed": 20})
    predictions = series(service, "ttd_predictions_total")
    assert predictions.pop(("other",)) == 9_901
    assert predictions.pop((largest[0],)) == 2
    assert set(predictions.values()) == {1}


def test_another_model_adds_no_series_beyond_101_and_no_counter_falls() -> None:
    service = hand_made_service(model=HandMadeModel([f"A{n}" for n in range(60)]))
    client = TestClient(create_app(service))
    before: Series = {}
    for letter, n_products, n_labels in (("B", 30, 91), ("C", 200, 101), ("D", 200, 101)):
        _order(client, service)
        counts = series(service, "ttd_predictions_total")
        assert all(counts[label] >= value for label, value in before.items())
        assert sum(counts.values()) == sum(before.values()) + 1
        before = counts
        service.serve(HandMadeModel([f"{letter}{n:03}" for n in range(n_products)]))
        labels = series(service, "ttd_predictions_total")
        assert labels.items() >= before.items()
        assert len(labels) == n_labels
    # Of the products that are new the largest got the labels that were left.
    assert ("B000",) in labels and ("C199",) in labels and ("C100",) not in labels
    assert not [code for (code,) in labels if code.startswith("D")]


def _order(client: TestClient, service: DispatchService) -> None:
    code = max(service.answers().model.products)
    response = client.post(V0_1, json={"product_code": code, "orders_placed": 20})
    assert response.status_code == 200


def test_the_model_that_is_served_is_named_and_no_other(service: DispatchService) -> None:
    labels = (metadata().dataset.key, "abc123", "by_hand", "by hand")
    assert series(service, "ttd_model_info") == {labels: 1}
    service.serve(HandMadeModel(version="newer"))
    assert series(service, "ttd_model_info") == {(*labels[:2], "newer", labels[3]): 1}


def test_the_times_of_model_and_dataset_and_the_error_are_told(service: DispatchService) -> None:
    for name, value in {
        "model_trained_timestamp_seconds": TRAINED_AT.timestamp(),
        "dataset_delivered_timestamp_seconds": DELIVERED_AT.timestamp(),
        "model_error_hours": metadata().metrics.mean_absolute_error_hours,
    }.items():
        assert series(service, f"ttd_{name}") == {(): value}


@pytest.mark.parametrize("coverage", [None, 0.87])
def test_the_coverage_of_the_last_model_is_told_if_it_is_known(coverage: float | None) -> None:
    measure = DriftMeasure(name=COVERAGE, value=coverage, least=None, most=None, breached=False)
    service = hand_made_service(model=HandMadeModel(drift=(measure,)))
    (told,) = series(service, "ttd_last_model_coverage_ratio").values()
    assert told == coverage or (coverage is None and math.isnan(told))


def test_a_model_dated_ahead_of_the_clock_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    later = datetime.now(UTC) + timedelta(days=1_000.5)

    hand_made_service(model=HandMadeModel(trained_at=later))

    (warning,) = logged(caplog, "WARNING")
    assert warning.startswith("This model is dated 1,000.50 days ahead of the clock")


def test_without_a_model_the_metrics_work_and_name_none(tmp_path: Path) -> None:
    service = service_without_model(tmp_path)
    assert TestClient(create_app(service)).get("/metrics").status_code == 200
    assert series(service, "ttd_model_info") == {}


def test_the_process_is_measured_too_and_no_times_of_creation_double_the_series(
    service: DispatchService,
) -> None:
    assert series(service, "process_resident_memory_bytes")[()] > 1_000_000
    service.metrics.count_request(V0_1, 200, 0.1)
    assert b"_created" not in service.metrics.exposition()
