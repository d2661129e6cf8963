"""From a fitted model to an artifact in a store, and what may not be published."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipeline.curves.estimator import DispatchCurve
from pipeline.manage_models import main as manage_models
from pipeline.model.artifact import artifact_key
from pipeline.model.metadata import ModelMetadata
from pipeline.model.reader import load_model, read_artifact
from pipeline.orders.features import features_of
from pipeline.orders.simulator import simulate_orders
from pipeline.release.publishing import check_agreement, store_artifact, write_artifact
from pipeline.stages.errors import ArtifactError, ObjectExists, Overtaken
from pipeline.stores.directory import DirectoryStore
from pipeline.stores.timestamped_keys import name_of
from pipeline.training.selection import CANDIDATES
from tests.support.builders import all_facts, metadata_of

pytestmark = pytest.mark.slow

ORDERS = simulate_orders(400, seed=1).astype({"orders_placed": float})


@pytest.fixture(scope="module")
def regressor() -> DispatchCurve:
    return CANDIDATES[1].fit(ORDERS)


@pytest.fixture(scope="module")
def metadata() -> ModelMetadata:
    return metadata_of(ORDERS)


@pytest.fixture(scope="module")
def artifact(regressor: DispatchCurve, metadata: ModelMetadata) -> bytes:
    return write_artifact(regressor, metadata)


def odd_weeks() -> dict[str, pd.DataFrame]:
    """Return an ordinary week, and weeks that are each odd in one way."""
    random = np.random.default_rng(1)
    placed, hours = ORDERS["orders_placed"], ORDERS["hours_to_dispatch"]
    few = ORDERS.head(4).assign(product_code=["ONE", "TWO", "TWO", 'Odd "\n,'])
    falling = ORDERS[:50].assign(product_code="FALLS", hours_to_dispatch=40 - hours[:50])
    parts = placed.to_numpy() + random.integers(1_000, size=400) / 1_000
    numbers = random.choice(["007", "7", "7.0", "nan"], 400)
    return {
        "ordinary": ORDERS,
        "one row": ORDERS[:1],
        "seven rows": ORDERS[:7],
        # Few of these can be held exactly in single precision.
        "parts of orders": ORDERS.assign(orders_placed=parts),
        "congested": ORDERS.assign(hours_to_dispatch=0.05 * placed / (1 - placed / 400)),
        "odd products": pd.concat([ORDERS, few, falling], ignore_index=True),
        "one order count": ORDERS.assign(orders_placed=50.0),
        "two order counts": ORDERS.assign(orders_placed=random.choice([1.0, 1e6], 400)),
        "huge hours": ORDERS.assign(hours_to_dispatch=np.minimum(hours * 5000, 1e5)),
        "no hours": ORDERS.assign(hours_to_dispatch=0.0),
        "huge orders": ORDERS.assign(orders_placed=placed * 3125),
        "one product": ORDERS.assign(product_code="A"),
        "codes that look like numbers": ORDERS.assign(product_code=numbers),
    }


@pytest.mark.parametrize("week", odd_weeks().values(), ids=odd_weeks())
def test_an_artifact_gives_the_model_s_estimates_everywhere(week: pd.DataFrame) -> None:
    metadata = metadata_of(week)
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
        model = read_artifact(artifact_key("models", metadata.trained_at, content), content)
        written = model.estimate(points)
        np.testing.assert_allclose(written, regressor.predict(points), rtol=2e-6, atol=1e-4)
        assert written.min() >= 0.0
        unknown = {"product_code": ["SKU999", ""], "orders_placed": [1.0, 1.0]}
        assert np.isnan(model.estimate(unknown)).all()


def test_ten_thousand_curves_fit_into_a_megabyte_and_a_half() -> None:
    slopes = {f"SKU{i:05}": 0.01 + i / 1e5 for i in range(10_000)}
    orders = simulate_orders(60_000, seed=2, hours_per_order=slopes)
    orders = orders.astype({"product_code": "category"})
    noise = np.random.default_rng(1).uniform(0.5, 2, orders["product_code"].nunique())

    metadata = metadata_of(orders, catalogue={"relative_noise": noise.round(3).tolist()})
    content = write_artifact(CANDIDATES[-1].fit(orders), metadata)

    assert 400_000 < len(content) <= 1_400_000


def test_metadata_travels_inside_the_artifact_and_time_and_hash_in_its_name(
    metadata: ModelMetadata, artifact: bytes, store: DirectoryStore
) -> None:
    key = store_artifact(store, "models", metadata, artifact)

    model = load_model(store)
    assert key.startswith("models/time_to_dispatch_2026-11-23T18-49-11-198262_")
    assert model.version == key.removeprefix("models/").removesuffix(".onnx")
    assert all_facts(model.metadata) == all_facts(metadata)


@pytest.mark.parametrize("microseconds", [0, 1])
def test_a_model_not_newer_than_the_newest_is_not_published(
    microseconds: int,
    regressor: DispatchCurve,
    metadata: ModelMetadata,
    artifact: bytes,
    store: DirectoryStore,
) -> None:
    later = metadata.trained_at + timedelta(microseconds=microseconds)
    newer = metadata.model_copy(update={"trained_at": later, "git_commit": "def456"})
    store_artifact(store, "models", newer, write_artifact(regressor, newer))

    with pytest.raises(
        Overtaken, match="another training was faster, see time_to_dispatch_2026-11-23"
    ):
        store_artifact(store, "models", metadata, artifact)

    assert len(store.list_keys("models")) == 1


def test_a_model_dated_ahead_is_overtaken_once_it_is_withdrawn(
    regressor: DispatchCurve, metadata: ModelMetadata, artifact: bytes, store: DirectoryStore
) -> None:
    ahead = metadata.model_copy(update={"trained_at": datetime(2062, 11, 20, tzinfo=UTC)})
    key = store_artifact(store, "models", ahead, write_artifact(regressor, ahead))

    assert manage_models(["withdraw", name_of(key), store.url]) == 0

    assert store_artifact(store, "models", metadata, artifact) in store.list_keys("models")
    assert all_facts(load_model(store).metadata) == all_facts(metadata)


def test_an_artifact_is_never_overwritten(
    metadata: ModelMetadata, artifact: bytes, store: DirectoryStore
) -> None:
    store_artifact(store, "models", metadata, artifact)

    with pytest.raises(ObjectExists):
        store_artifact(store, "models", metadata, artifact)


def test_an_artifact_that_disagrees_with_its_model_is_found(
    metadata: ModelMetadata, artifact: bytes
) -> None:
    later_hours = ORDERS["hours_to_dispatch"] + 0.001
    other = CANDIDATES[1].fit(ORDERS.assign(hours_to_dispatch=later_hours))

    with pytest.raises(ArtifactError, match="differ by up to 0.001"):
        check_agreement(other, metadata, artifact, features_of(ORDERS))
