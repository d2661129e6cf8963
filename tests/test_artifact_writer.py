"""From a fitted model to an artifact in a store, and what may not be published."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipeline.artifact_format import artifact_key
from pipeline.artifact_reader import load_model, read_artifact
from pipeline.artifact_writer import check_agreement, store_artifact, write_artifact
from pipeline.directory_store import DirectoryStore
from pipeline.dispatch_curves import PerProductLine
from pipeline.model_checks import compute_metrics, estimate_on_grid
from pipeline.model_facts import gather_lineage
from pipeline.model_lineage import Lineage
from pipeline.model_selection import fit_regressor, split_orders
from pipeline.order_simulator import simulate_orders
from pipeline.stage_errors import ArtifactError, ObjectExists
from pipeline.weekly_dataset import WeeklyDataset

NOW = datetime(2026, 11, 20, 23, 30, 0, 123456, tzinfo=UTC)


def lineage_of(orders: pd.DataFrame, model: PerProductLine, trained_at: datetime = NOW) -> Lineage:
    dataset = WeeklyDataset("datasets/week.csv", "0" * 64, NOW, orders, rejected=3)
    grid = estimate_on_grid(model, orders)
    metrics = compute_metrics(model, split_orders(orders))
    return gather_lineage(trained_at, dataset, model, metrics, grid, failures=[])


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    return simulate_orders(400, seed=1)


@pytest.fixture(scope="module")
def model(orders: pd.DataFrame) -> PerProductLine:
    return fit_regressor(orders)


def test_an_artifact_gives_the_model_s_estimates_everywhere(
    orders: pd.DataFrame, model: PerProductLine, store: DirectoryStore
) -> None:
    lineage = lineage_of(orders, model)
    store_artifact(store, "models", lineage, write_artifact(model, lineage))
    grid = pd.DataFrame(
        {
            "product_code": np.repeat(model.products_, 1000),
            "orders_placed": np.tile(np.geomspace(1e-3, 1e6, 1000), len(model.products_)),
        }
    )

    artifact = load_model(store)

    estimates = artifact.estimate(grid["product_code"].tolist(), grid["orders_placed"].to_numpy())
    np.testing.assert_allclose(estimates, model.predict(grid), rtol=2e-6, atol=1e-4)


def test_ten_thousand_products_fit_into_a_megabyte() -> None:
    slopes = {f"SKU{i:05}": 0.01 + i / 1e5 for i in range(10_000)}
    orders = simulate_orders(60_000, seed=2, hours_per_order=slopes)
    model = fit_regressor(orders)

    content = write_artifact(model, lineage_of(orders, model))

    assert len(content) <= 1_000_000


def test_the_lineage_travels_inside_the_artifact(
    orders: pd.DataFrame, model: PerProductLine, store: DirectoryStore
) -> None:
    lineage = lineage_of(orders, model)

    store_artifact(store, "models", lineage, write_artifact(model, lineage))

    assert load_model(store).lineage == lineage
    assert lineage.catalogue.product_code == tuple(sorted(orders["product_code"].unique()))
    assert sum(lineage.catalogue.rows) == sum(lineage.orders_placed.counts) == len(orders)
    assert lineage.dataset.rejected_rows == 3


def test_the_same_model_gives_the_same_bytes(orders: pd.DataFrame, model: PerProductLine) -> None:
    lineage = lineage_of(orders, model)

    assert write_artifact(model, lineage) == write_artifact(model, lineage)


def test_the_name_holds_the_time_of_the_training_and_the_hash(
    orders: pd.DataFrame, model: PerProductLine, store: DirectoryStore
) -> None:
    lineage = lineage_of(orders, model)

    key = store_artifact(store, "models", lineage, write_artifact(model, lineage))

    assert key.startswith("models/time_to_dispatch_2026-11-20T23-30-00-123456_")
    assert load_model(store, key).version == key.removeprefix("models/").removesuffix(".onnx")


def test_the_commit_comes_from_the_environment(
    orders: pd.DataFrame, model: PerProductLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lineage_of(orders, model).git_commit is None
    monkeypatch.setenv("GIT_COMMIT_HASH", "5210017")
    assert lineage_of(orders, model).git_commit == "5210017"


def test_a_model_older_than_the_newest_is_not_published(
    orders: pd.DataFrame, model: PerProductLine, store: DirectoryStore
) -> None:
    newer = lineage_of(orders, model, NOW + timedelta(microseconds=1))
    older = lineage_of(orders, model, NOW)
    store_artifact(store, "models", newer, write_artifact(model, newer))

    with pytest.raises(ArtifactError, match="there is a newer model"):
        store_artifact(store, "models", older, write_artifact(model, older))

    assert len(store.list_keys("models")) == 1


def test_an_artifact_is_never_overwritten(
    orders: pd.DataFrame, model: PerProductLine, store: DirectoryStore
) -> None:
    lineage = lineage_of(orders, model)
    content = write_artifact(model, lineage)
    store_artifact(store, "models", lineage, content)

    with pytest.raises(ObjectExists):
        store_artifact(store, "models", lineage, content)


def test_an_artifact_that_disagrees_with_its_model_is_found(
    orders: pd.DataFrame, model: PerProductLine
) -> None:
    lineage = lineage_of(orders, model)
    content = write_artifact(model, lineage)
    check_agreement(model, lineage, content, orders)
    later_hours = orders["hours_to_dispatch"] + 0.001
    other = PerProductLine().fit(orders, later_hours)

    with pytest.raises(ArtifactError, match="differ by up to 0.001 h"):
        check_agreement(other, lineage, content, orders)


def test_an_unknown_product_gets_no_estimate(orders: pd.DataFrame, model: PerProductLine) -> None:
    lineage = lineage_of(orders, model)
    content = write_artifact(model, lineage)
    key = artifact_key("models", lineage.trained_at, content)

    assert np.isnan(read_artifact(key, content).estimate(["SKU999"], [1.0])).all()
