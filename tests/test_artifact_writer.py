"""From a fitted model to an artifact in a store, and what may not be published."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipeline.artifact_format import artifact_key
from pipeline.artifact_reader import DispatchModel, load_model, read_artifact
from pipeline.artifact_writer import check_agreement, store_artifact, write_artifact
from pipeline.directory_store import DirectoryStore
from pipeline.dispatch_curves import FEATURES, DispatchCurve, PerProductCurve
from pipeline.model_facts import gather_lineage
from pipeline.model_lineage import Lineage
from pipeline.model_selection import CANDIDATES, Candidate
from pipeline.model_training import train_on
from pipeline.order_simulator import simulate_orders
from pipeline.stage_errors import ArtifactError, ObjectExists
from pipeline.weekly_dataset import WeeklyDataset

NOW = datetime(2026, 11, 20, 23, 30, 0, 123456, tzinfo=UTC)
MOST_FLEXIBLE = CANDIDATES[-1]


def lineage_of(orders: pd.DataFrame, trained_at: datetime = NOW) -> Lineage:
    """Return the facts about a model of these orders; three more rows were rejected."""
    rejected = pd.DataFrame({"product_code": ["", "A", "B"], "reason": ["is missing"] * 3})
    dataset = WeeklyDataset("datasets/week.csv", "0" * 64, NOW, orders, rejected)
    return gather_lineage(trained_at, dataset, train_on(orders, interval_level=0.9))


def read_back(content: bytes) -> DispatchModel:
    """Return the model in an artifact that was made now."""
    return read_artifact(artifact_key("models", NOW, content), content)


def points_of(orders: pd.DataFrame) -> pd.DataFrame:
    """Return product and orders placed of rows, and of a grid far beyond them."""
    codes = np.unique(orders["product_code"].astype(str)).astype(object)
    places = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 200), np.linspace(0, 400, 200)])
    grid = pd.DataFrame(
        {
            "product_code": np.repeat(codes, len(places)),
            "orders_placed": np.tile(places, len(codes)),
        }
    )
    return pd.concat([orders[FEATURES].astype({"product_code": object}), grid])


def odd_orders(kind: str) -> pd.DataFrame:
    """Return a week that is odd in one way."""
    random = np.random.default_rng(1)
    orders = simulate_orders(400, seed=1).astype({"orders_placed": float})
    placed, hours = orders["orders_placed"], orders["hours_to_dispatch"]
    few = orders.head(4).assign(product_code=["ONE", "TWO", "TWO", 'Ödd "\n,'])
    falling = orders[:50].assign(product_code="FALLS", hours_to_dispatch=40 - hours[:50])
    return {
        "ordinary": orders,
        "congested": orders.assign(hours_to_dispatch=0.05 * placed / (1 - placed / 400)),
        "odd products": pd.concat([orders, few, falling], ignore_index=True),
        "one order count": orders.assign(orders_placed=50.0),
        "two order counts": orders.assign(orders_placed=random.choice([1.0, 1e6], 400)),
        "huge hours": orders.assign(hours_to_dispatch=np.minimum(hours * 5000, 1e5)),
        "tiny hours": orders.assign(hours_to_dispatch=hours / 1e4),
        "no hours": orders.assign(hours_to_dispatch=0.0),
        "huge orders": orders.assign(orders_placed=placed * 3125),
        "one product": orders.assign(product_code="A"),
        "text that looks like numbers": orders.assign(
            product_code=random.choice(["007", "7", "7.0", "nan"], 400)
        ),
    }[kind]


KINDS = (
    "ordinary", "congested", "odd products", "one order count", "two order counts", "huge hours",
    "tiny hours", "no hours", "huge orders", "one product", "text that looks like numbers",
)


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    return simulate_orders(400, seed=1)


@pytest.fixture(scope="module")
def model(orders: pd.DataFrame) -> DispatchCurve:
    return MOST_FLEXIBLE.fit(orders)


@pytest.fixture(scope="module")
def lineage(orders: pd.DataFrame) -> Lineage:
    return lineage_of(orders)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_an_artifact_gives_the_estimates_of_its_model_everywhere(
    candidate: Candidate, kind: str, lineage: Lineage
) -> None:
    orders = odd_orders(kind)
    fitted = candidate.fit(orders)

    content = write_artifact(fitted, lineage)

    points = points_of(orders)
    check_agreement(fitted, lineage, content, points)
    written = read_back(content).estimate(
        points["product_code"].astype(str).tolist(), points["orders_placed"].to_numpy()
    )
    expected = fitted.predict(points)
    np.testing.assert_allclose(written, expected, rtol=2e-6, atol=1e-4)
    assert written.min() >= 0.0
    if kind == "tiny hours":  # where a tolerance of 1e-4 h says nothing
        np.testing.assert_allclose(written, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_an_unknown_product_gets_no_estimate(
    orders: pd.DataFrame, lineage: Lineage, candidate: Candidate
) -> None:
    artifact = read_back(write_artifact(candidate.fit(orders), lineage))

    known, *unknown = artifact.estimate(["SKU001", "SKU999", "", "sku001"], [1.0] * 4)

    assert np.isfinite(known)
    assert np.isnan(unknown).all()


def test_products_may_be_categories_when_an_artifact_is_checked(
    orders: pd.DataFrame, model: DispatchCurve, lineage: Lineage
) -> None:
    as_categories = orders.astype({"product_code": "category"})

    check_agreement(model, lineage, write_artifact(model, lineage), as_categories)


def test_ten_thousand_products_fit_into_a_megabyte() -> None:
    slopes = {f"SKU{i:05}": 0.01 + i / 1e5 for i in range(10_000)}
    week = simulate_orders(60_000, seed=2, hours_per_order=slopes)
    first = pd.DataFrame({"product_code": list(slopes), "orders_placed": 1.0})
    orders = pd.concat([week, first.assign(hours_to_dispatch=1.0)], ignore_index=True)
    fitted = MOST_FLEXIBLE.fit(orders)

    content = write_artifact(fitted, lineage_of(orders))

    artifact = read_back(content)
    assert len(artifact.products) == 10_000
    assert isinstance(fitted, PerProductCurve) and fitted.coefficients_.shape == (10_000, 9)
    assert len(content) <= 1_000_000


def test_the_lineage_travels_inside_the_artifact(
    orders: pd.DataFrame, model: DispatchCurve, lineage: Lineage, store: DirectoryStore
) -> None:
    store_artifact(store, "models", lineage, write_artifact(model, lineage))

    assert load_model(store).lineage == lineage
    assert lineage.catalogue.product_code == tuple(sorted(orders["product_code"].unique()))
    assert sum(lineage.catalogue.rows) == sum(lineage.orders_placed.counts) == len(orders)
    assert lineage.dataset.rejected_rows == 3


def test_the_same_model_gives_the_same_bytes(model: DispatchCurve, lineage: Lineage) -> None:
    assert write_artifact(model, lineage) == write_artifact(model, lineage)


def test_the_name_holds_the_time_of_the_training_and_the_hash(
    model: DispatchCurve, lineage: Lineage, store: DirectoryStore
) -> None:
    key = store_artifact(store, "models", lineage, write_artifact(model, lineage))

    assert key.startswith("models/time_to_dispatch_2026-11-20T23-30-00-123456_")
    assert load_model(store, key).version == key.removeprefix("models/").removesuffix(".onnx")


def test_a_model_older_than_the_newest_is_not_published(
    model: DispatchCurve, lineage: Lineage, store: DirectoryStore
) -> None:
    newer = lineage.model_copy(update={"trained_at": NOW + timedelta(microseconds=1)})
    store_artifact(store, "models", newer, write_artifact(model, newer))

    with pytest.raises(ArtifactError, match="there is a newer model"):
        store_artifact(store, "models", lineage, write_artifact(model, lineage))

    assert len(store.list_keys("models")) == 1


def test_a_model_that_is_only_kept_may_be_older_than_the_newest(
    model: DispatchCurve, lineage: Lineage, store: DirectoryStore
) -> None:
    newer = lineage.model_copy(update={"trained_at": NOW + timedelta(microseconds=1)})
    store_artifact(store, "models", newer, write_artifact(model, newer))

    key = store_artifact(store, "refused", lineage, write_artifact(model, lineage))

    assert store.list_keys("refused") == [key]


def test_an_artifact_is_never_overwritten(
    model: DispatchCurve, lineage: Lineage, store: DirectoryStore
) -> None:
    content = write_artifact(model, lineage)
    store_artifact(store, "models", lineage, content)

    with pytest.raises(ObjectExists):
        store_artifact(store, "models", lineage, content)


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_an_artifact_that_disagrees_with_its_model_is_found(
    orders: pd.DataFrame, lineage: Lineage, candidate: Candidate
) -> None:
    fitted = candidate.fit(orders)
    content = write_artifact(fitted, lineage)
    check_agreement(fitted, lineage, content, orders)
    assert isinstance(fitted, PerProductCurve)
    fitted.coefficients_[2, 0] += 0.01

    with pytest.raises(ArtifactError, match="differ by up to 0.01 h"):
        check_agreement(fitted, lineage, content, orders)


def test_an_artifact_that_does_not_know_a_product_is_found(
    orders: pd.DataFrame, lineage: Lineage
) -> None:
    content = write_artifact(MOST_FLEXIBLE.fit(orders), lineage)
    more = pd.concat([orders, orders.head(5).assign(product_code="NEW")])

    with pytest.raises(ArtifactError, match="cannot be published"):
        check_agreement(MOST_FLEXIBLE.fit(more), lineage, content, more)
