"""What a model says of itself: catalogue, remarks, outliers and the orders of its week."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from pipeline.model.metadata import ModelMetadata
from pipeline.orders.features import features_of
from pipeline.orders.rejected_rows import RejectedRows
from pipeline.orders.simulator import simulate_orders
from pipeline.orders.week_rows import WeekRows
from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.training.facts import gather_metadata
from pipeline.training.fitting import TrainedModel, train_on

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 20, 23, 30, 0, 123456, tzinfo=UTC)
ORDINARY = ("SKU001", "SKU002", "SKU003", "SKU004", "SKU005")


def rows_of(product_code: str, orders: list[float], hours: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"product_code": product_code, "orders_placed": orders, "hours_to_dispatch": hours}
    )


def odd_products() -> pd.DataFrame:
    """Return ordinary orders, and products that deserve a remark or nearly do."""
    random = np.random.default_rng(1)
    places = random.uniform(0, 320, 60)
    falling = 20 - 0.05 * places + random.normal(scale=0.8, size=60)
    loud = 20 + 0.05 * places + random.normal(scale=4, size=60)
    orders = pd.concat(
        [
            rows_of("SAME", [200.0] * 12, (10 + random.normal(size=12)).tolist()),
            simulate_orders(800, seed=1),
            rows_of("FEW", [10.0, 100, 50, 300], [1.0, 6, 2.5, 15]),
            rows_of("FIVE", [10.0, 10, 10, 10, 200], [1.0, 1, 1, 1, 10]),
            rows_of("FALLS", places.tolist(), falling.tolist()),
            rows_of("A-LOUD", places.tolist(), loud.tolist()),
        ],
        ignore_index=True,
    )
    return orders.astype({"product_code": "category", "orders_placed": float})


def gather(orders: pd.DataFrame, model: TrainedModel, rejected: int = 0) -> ModelMetadata:
    bad = pd.DataFrame({"product_code": ["?"] * rejected, "reason": ["is missing"] * rejected})
    dataset = WeeklyDataset(
        "datasets/week.csv", "0" * 64, NOW, WeekRows.of(orders), RejectedRows(bad)
    )
    return gather_metadata(NOW, dataset, model)


@pytest.fixture(scope="module")
def odd_model() -> TrainedModel:
    """Return a model of the odd products; tests only read it."""
    return train_on(odd_products(), interval_level=0.8)


def test_the_catalogue_holds_the_facts_of_each_product_by_code(odd_model: TrainedModel) -> None:
    relative = odd_model.noise.for_intervals.relative * [[0.5], [1.0]]
    reaching_up = odd_model.noise.for_intervals._replace(relative=relative)
    model = replace(odd_model, noise=odd_model.noise._replace(for_intervals=reaching_up))
    catalogue = gather(odd_products(), model).catalogue

    assert [*catalogue.product_code] == ["A-LOUD", "FALLS", "FEW", "FIVE", "SAME", *ORDINARY]
    assert catalogue.rows[:5].tolist() == [60, 60, 4, 5, 12]
    assert sum(catalogue.rows) == 941
    assert catalogue.least_orders[2:5].tolist() == [10.0, 10.0, 200.0]
    assert catalogue.most_orders[2:5].tolist() == [300.0, 200.0, 200.0]
    written = catalogue.noise_of(slice(None))
    assert (written[:, 0] > 3 * written[:, -1]).all()
    assert (written >= relative).all()  # rounded up
    assert written == pytest.approx(relative, abs=1e-3)


def test_products_that_deserve_a_second_look_are_remarked_on(odd_model: TrainedModel) -> None:
    remarks = gather(odd_products(), odd_model).remarks

    assert remarks.few_rows == ("FEW", "SAME")
    assert remarks.falling == ("FALLS",)
    assert "FALLS" in remarks.flat
    assert not set(ORDINARY) & set(remarks.flat)
    assert remarks.noisy == ("FALLS",)


def test_in_a_level_week_all_products_are_flat_and_some_fall() -> None:
    random = np.random.default_rng(5)
    level = simulate_orders(500, seed=5).assign(hours_to_dispatch=random.normal(10, 1, 500))
    # A single row says nothing of rise or fall.
    orders = pd.concat([level, rows_of("ONCE", [5.0], [9.0])], ignore_index=True)

    metadata = gather(orders, train_on(orders, interval_level=0.9))

    falling = [
        code
        for code, own in level.groupby("product_code")
        if np.polyfit(own["orders_placed"], own["hours_to_dispatch"], 1)[0] < 0
    ]
    assert metadata.remarks.flat == ("ONCE", *ORDINARY)
    assert 0 < len(falling) < 5
    assert list(metadata.remarks.falling) == falling
    assert (metadata.outliers.rows, metadata.outliers.farthest) == (0, ())


def test_the_farthest_hundred_outliers_are_listed_and_all_are_counted() -> None:
    orders = simulate_orders(5000, seed=7)
    busy = orders["hours_to_dispatch"].nlargest(1000).sample(131, random_state=1).index
    orders.loc[busy, "hours_to_dispatch"] *= np.append(np.linspace(8, 12, 130), 0.0)
    model = train_on(orders, interval_level=0.9)

    outliers = gather(orders, model).outliers

    assert (outliers.rows, outliers.share) == (131, 0.0262)
    distances = [abs(row.distance) for row in outliers.farthest]
    assert distances == pytest.approx(np.sort(np.abs(model.noise.distances))[:-101:-1])
    listed = pd.DataFrame([row.model_dump() for row in outliers.farthest])
    estimates = model.regressor.predict(features_of(listed))
    np.testing.assert_allclose(listed["est_hours_to_dispatch"], estimates)
    key = ["product_code", "orders_placed", "hours_to_dispatch"]
    assert len(listed[key].merge(orders.loc[busy, key].drop_duplicates())) == 100


@pytest.mark.parametrize(("step", "told"), [(12.0, 12.0), (0.01, None)])
def test_a_step_is_told_if_it_matters_beside_the_noise(step: float, told: float | None) -> None:
    orders = simulate_orders(300, seed=5)
    rounded = step * np.rint(orders["hours_to_dispatch"] / step)
    orders = orders.assign(hours_to_dispatch=rounded)

    assert gather(orders, train_on(orders, 0.9)).dataset.step_hours == told


def test_the_histogram_counts_the_orders_placed_of_all_rows(odd_model: TrainedModel) -> None:
    placed = odd_products()["orders_placed"]

    histogram = gather(odd_products(), odd_model).orders_placed

    edges, counts = histogram.edges, histogram.counts
    assert (len(edges), len(counts), sum(counts)) == (21, 20, 941)
    assert (edges[0], edges[-1]) == (placed.min(), placed.max())
    assert counts[0] == (placed < edges[1]).sum()


def test_the_facts_of_dataset_and_model_are_handed_on(odd_model: TrainedModel) -> None:
    metadata = gather(odd_products(), odd_model, rejected=3)

    assert (metadata.dataset.rows, metadata.dataset.rejected_rows) == (941, 3)
    assert (metadata.dataset.key, metadata.dataset.sha256) == ("datasets/week.csv", "0" * 64)
    assert (metadata.trained_at, metadata.dataset.delivered_at) == (NOW, NOW)
    assert (metadata.regressor, metadata.candidates) == (odd_model.name, odd_model.candidates)
    assert (metadata.metrics, metadata.interval) == (odd_model.metrics, odd_model.interval)
    assert metadata.library_versions["numpy"] == np.__version__
    assert metadata.comparison is None and metadata.refused_because == ()


def test_the_commit_comes_from_the_environment(
    odd_model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gather(odd_products(), odd_model).git_commit is None
    monkeypatch.setenv("GIT_COMMIT_HASH", "5210017")
    assert gather(odd_products(), odd_model).git_commit == "5210017"


@pytest.mark.parametrize(("step", "told"), [(12.0, ["SKU003"]), (0.05, [])])
def test_a_product_in_steps_of_its_own_is_named_if_they_are_coarse(
    step: float, told: list[str]
) -> None:
    orders = simulate_orders(800, seed=1)
    hours = orders["hours_to_dispatch"]
    chosen = orders["product_code"] == "SKU003"
    in_steps = orders.assign(hours_to_dispatch=hours.mask(chosen, step * (hours / step).round()))

    named = gather(in_steps, train_on(in_steps, 0.9)).remarks.in_steps

    assert [product.product_code for product in named] == told
    assert [product.step_hours for product in named] == pytest.approx([step] * len(told))
