"""From a fitted model to an artifact in a store, and what may not be published."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipeline.model.artifact import artifact_key
from pipeline.model.metadata import ModelMetadata
from pipeline.model.reader import load_model, read_artifact
from pipeline.orders.features import features_of
from pipeline.orders.simulator import simulate_orders
from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.release.publishing import check_agreement, store_artifact, write_artifact
from pipeline.stages.errors import ArtifactError, ObjectExists
from pipeline.stores.directory import DirectoryStore
from pipeline.training.facts import gather_metadata
from pipeline.training.fitting import TrainedModel, train_on
from pipeline.training.selection import CANDIDATES, Candidate

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 20, 23, 30, 0, 123456, tzinfo=UTC)


REJECTED = pd.DataFrame({"reason": ["orders_placed is negative"] * 3})


def metadata_of(
    orders: pd.DataFrame, model: TrainedModel, trained_at: datetime = NOW
) -> ModelMetadata:
    dataset = WeeklyDataset("datasets/week.csv", "0" * 64, NOW, orders, REJECTED)
    return gather_metadata(trained_at, dataset, model)


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    return simulate_orders(400, seed=1).astype({"product_code": "category"})


@pytest.fixture(scope="module")
def model(orders: pd.DataFrame) -> TrainedModel:
    return train_on(orders, interval_level=0.9)


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_an_artifact_gives_the_model_s_estimates_everywhere(
    candidate: Candidate, orders: pd.DataFrame, model: TrainedModel, store: DirectoryStore
) -> None:
    metadata = metadata_of(orders, model)
    regressor = candidate.fit(orders)
    store_artifact(store, "models", metadata, write_artifact(regressor, metadata))
    codes = list(metadata.catalogue.product_code)
    grid = pd.DataFrame(
        {
            "product_code": np.repeat(codes, 1000),
            "orders_placed": np.tile(np.geomspace(1e-3, 1e6, 1000), len(codes)),
        }
    )

    artifact = load_model(store)

    estimates = artifact.estimate(grid)
    np.testing.assert_allclose(estimates, regressor.predict(grid), rtol=2e-6, atol=1e-4)


def odd_orders(kind: str) -> pd.DataFrame:
    """Return a week that is odd in one way."""
    random = np.random.default_rng(1)
    orders = simulate_orders(400, seed=1).astype({"orders_placed": float})
    placed, hours = orders["orders_placed"], orders["hours_to_dispatch"]
    few = orders.head(4).assign(product_code=["ONE", "TWO", "TWO", 'Odd "\n,'])
    falling = orders[:50].assign(product_code="FALLS", hours_to_dispatch=40 - hours[:50])
    numbers = random.choice(["007", "7", "7.0", "nan"], 400)
    return {
        "congested": orders.assign(hours_to_dispatch=0.05 * placed / (1 - placed / 400)),
        "odd products": pd.concat([orders, few, falling], ignore_index=True),
        "one order count": orders.assign(orders_placed=50.0),
        "two order counts": orders.assign(orders_placed=random.choice([1.0, 1e6], 400)),
        "huge hours": orders.assign(hours_to_dispatch=np.minimum(hours * 5000, 1e5)),
        "no hours": orders.assign(hours_to_dispatch=0.0),
        "huge orders": orders.assign(orders_placed=placed * 3125),
        "one product": orders.assign(product_code="A"),
        "codes that look like numbers": orders.assign(product_code=numbers),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "congested",
        "odd products",
        "one order count",
        "two order counts",
        "huge hours",
        "no hours",
        "huge orders",
        "one product",
        "codes that look like numbers",
    ],
)
def test_odd_weeks_give_artifacts_that_agree_with_their_models(kind: str) -> None:
    week = odd_orders(kind)
    metadata = metadata_of(week, train_on(week, interval_level=0.9))
    codes = list(metadata.catalogue.product_code)
    places = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 200), np.linspace(0, 400, 200)])
    grid = pd.DataFrame(
        {
            "product_code": np.repeat(codes, len(places)),
            "orders_placed": np.tile(places, len(codes)),
        }
    )
    points = pd.concat([features_of(week), grid])

    for candidate in CANDIDATES:
        regressor = candidate.fit(week)
        content = write_artifact(regressor, metadata)
        check_agreement(regressor, metadata, content, points)
        artifact = read_artifact(artifact_key("models", metadata.trained_at, content), content)
        placed = points["orders_placed"].to_numpy()
        written = artifact.estimate(points.assign(orders_placed=placed))
        np.testing.assert_allclose(written, regressor.predict(points), rtol=2e-6, atol=1e-4)
        assert written.min() >= 0.0
        assert np.isnan(
            artifact.estimate({"product_code": ["SKU999", ""], "orders_placed": [1.0, 1.0]})
        ).all()


def test_ten_thousand_curves_fit_into_a_megabyte() -> None:
    slopes = {f"SKU{i:05}": 0.01 + i / 1e5 for i in range(10_000)}
    orders = simulate_orders(60_000, seed=2, hours_per_order=slopes)
    orders = orders.astype({"product_code": "category"})
    most_flexible = CANDIDATES[-1].fit(orders)
    model = replace(train_on(orders, interval_level=0.9), regressor=most_flexible)

    content = write_artifact(model.regressor, metadata_of(orders, model))

    assert 600_000 < len(content) <= 1_000_000


def test_the_lineage_travels_inside_the_artifact(
    orders: pd.DataFrame, model: TrainedModel, store: DirectoryStore
) -> None:
    metadata = metadata_of(orders, model)

    store_artifact(store, "models", metadata, write_artifact(model.regressor, metadata))

    assert load_model(store).metadata == metadata
    assert metadata.catalogue.product_code == tuple(sorted(orders["product_code"].unique()))
    assert sum(metadata.catalogue.rows) == sum(metadata.orders_placed.counts) == len(orders)
    assert metadata.dataset.rejected_rows == 3


def test_the_same_model_gives_the_same_bytes(orders: pd.DataFrame, model: TrainedModel) -> None:
    metadata = metadata_of(orders, model)

    assert write_artifact(model.regressor, metadata) == write_artifact(model.regressor, metadata)


def test_the_name_holds_the_time_of_the_training_and_the_hash(
    orders: pd.DataFrame, model: TrainedModel, store: DirectoryStore
) -> None:
    metadata = metadata_of(orders, model)

    key = store_artifact(store, "models", metadata, write_artifact(model.regressor, metadata))

    assert key.startswith("models/time_to_dispatch_2026-11-20T23-30-00-123456_")
    assert load_model(store, key).version == key.removeprefix("models/").removesuffix(".onnx")


def test_the_commit_comes_from_the_environment(
    orders: pd.DataFrame, model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert metadata_of(orders, model).git_commit is None
    monkeypatch.setenv("GIT_COMMIT_HASH", "5210017")
    assert metadata_of(orders, model).git_commit == "5210017"


def test_a_model_older_than_the_newest_is_not_published(
    orders: pd.DataFrame, model: TrainedModel, store: DirectoryStore
) -> None:
    newer = metadata_of(orders, model, NOW + timedelta(microseconds=1))
    older = metadata_of(orders, model, NOW)
    store_artifact(store, "models", newer, write_artifact(model.regressor, newer))

    with pytest.raises(ArtifactError, match="there is a newer model"):
        store_artifact(store, "models", older, write_artifact(model.regressor, older))

    assert len(store.list_keys("models")) == 1


def test_an_artifact_is_never_overwritten(
    orders: pd.DataFrame, model: TrainedModel, store: DirectoryStore
) -> None:
    metadata = metadata_of(orders, model)
    content = write_artifact(model.regressor, metadata)
    store_artifact(store, "models", metadata, content)

    with pytest.raises(ObjectExists):
        store_artifact(store, "models", metadata, content)


def test_an_artifact_that_disagrees_with_its_model_is_found(
    orders: pd.DataFrame, model: TrainedModel
) -> None:
    metadata = metadata_of(orders, model)
    content = write_artifact(model.regressor, metadata)
    check_agreement(model.regressor, metadata, content, model.points())
    later_hours = orders["hours_to_dispatch"] + 0.001
    other = CANDIDATES[1].fit(orders.assign(hours_to_dispatch=later_hours))

    with pytest.raises(ArtifactError, match="differ by up to 0.001"):
        check_agreement(other, metadata, content, features_of(orders))


def test_an_unknown_product_gets_no_estimate(orders: pd.DataFrame, model: TrainedModel) -> None:
    metadata = metadata_of(orders, model)
    content = write_artifact(model.regressor, metadata)
    key = artifact_key("models", metadata.trained_at, content)

    assert np.isnan(
        read_artifact(key, content).estimate({"product_code": ["SKU999"], "orders_placed": [1.0]})
    ).all()
