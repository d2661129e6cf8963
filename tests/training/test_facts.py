"""What a model says of itself: catalogue, remarks, outliers and the orders of its week."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from pipeline.model.metadata import ModelMetadata
from pipeline.orders.simulator import simulate_orders
from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.training.facts import gather_metadata
from pipeline.training.fitting import TrainedModel, train_on

pytestmark = pytest.mark.once

NOW = datetime(2026, 11, 20, 23, 30, 0, 123456, tzinfo=UTC)


def dataset_of(orders: pd.DataFrame, rejected: int = 0) -> WeeklyDataset:
    bad = pd.DataFrame({"product_code": ["?"] * rejected, "reason": ["is missing"] * rejected})
    return WeeklyDataset("datasets/week.csv", "0" * 64, NOW, orders, bad)


def train_and_gather(orders: pd.DataFrame) -> tuple[TrainedModel, ModelMetadata]:
    model = train_on(orders, interval_level=0.9)
    return model, gather_metadata(NOW, dataset_of(orders), model)


def rows_of(product_code: str, orders: list[float], hours: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"product_code": product_code, "orders_placed": orders, "hours_to_dispatch": hours}
    )


def odd_products() -> pd.DataFrame:
    """Return ordinary orders, and products that deserve a remark."""
    random = np.random.default_rng(1)
    places = random.uniform(0, 320, 60)
    falling = 20 - 0.05 * places + random.normal(scale=0.8, size=60)
    orders = pd.concat(
        [
            rows_of("SAME", [200.0] * 12, (10 + random.normal(size=12)).tolist()),
            simulate_orders(800, seed=1),
            rows_of("FEW", [10.0, 100, 50, 300], [1.0, 6, 2.5, 15]),
            rows_of("FALLS", places.tolist(), falling.tolist()),
        ],
        ignore_index=True,
    )
    return orders.astype({"product_code": "category", "orders_placed": float})


def mistyped(orders: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Multiply so many labels by different factors, all large."""
    orders = orders.copy()
    busy = orders["hours_to_dispatch"].nlargest(rows).index
    orders.loc[busy, "hours_to_dispatch"] *= np.linspace(8, 12, rows)
    return orders


def test_the_catalogue_holds_rows_and_range_of_each_product_by_code() -> None:
    _, metadata = train_and_gather(odd_products())

    catalogue = metadata.catalogue
    assert catalogue.product_code == (
        "FALLS",
        "FEW",
        "SAME",
        "SKU001",
        "SKU002",
        "SKU003",
        "SKU004",
        "SKU005",
    )
    assert catalogue.rows[:3] == (60, 4, 12)
    assert sum(catalogue.rows) == 876
    assert catalogue.least_orders[1:3] == (10.0, 200.0)
    assert catalogue.most_orders[1:3] == (300.0, 200.0)


def test_the_relative_noise_stands_beside_its_product() -> None:
    orders = simulate_orders(3000, seed=2, hours_per_order={"QUIET": 0.05, "A-LOUD": 0.05})
    loud = orders["product_code"] == "A-LOUD"
    wild = np.random.default_rng(2).normal(scale=4, size=3000)
    orders["hours_to_dispatch"] = 20 + orders["hours_to_dispatch"] + np.where(loud, wild, 0)

    model, metadata = train_and_gather(orders)

    assert metadata.catalogue.product_code == ("A-LOUD", "QUIET")
    noise_of = dict(zip(metadata.catalogue.product_code, metadata.catalogue.relative_noise))
    assert noise_of["A-LOUD"] > 3 * noise_of["QUIET"]
    assert metadata.catalogue.relative_noise == pytest.approx(model.noise.scale.relative, abs=5e-4)


def test_products_that_deserve_a_second_look_are_remarked_on() -> None:
    _, metadata = train_and_gather(odd_products())

    assert metadata.remarks.few_rows == ("FEW", "SAME")
    assert metadata.remarks.falling == ("FALLS",)
    assert "FALLS" in metadata.remarks.flat
    assert not {"SKU001", "SKU002", "SKU003", "SKU004", "SKU005"} & set(metadata.remarks.flat)


def test_a_sound_week_gets_no_remark() -> None:
    _, metadata = train_and_gather(simulate_orders(500, seed=3))

    remarks = metadata.remarks
    assert (remarks.few_rows, remarks.falling, remarks.flat) == ((), (), ())


def test_five_rows_at_two_order_counts_are_not_few() -> None:
    enough = rows_of("FIVE", [10.0, 10, 10, 10, 200], [1.0, 1, 1, 1, 10])

    _, metadata = train_and_gather(pd.concat([simulate_orders(500, seed=4), enough]))

    assert metadata.remarks.few_rows == ()


def test_in_a_level_week_all_products_are_flat_and_some_fall() -> None:
    orders = simulate_orders(500, seed=5)
    orders["hours_to_dispatch"] = np.random.default_rng(5).normal(10, 1, 500)

    _, metadata = train_and_gather(orders)

    falling = [
        code
        for code, own in orders.groupby("product_code")
        if np.polyfit(own["orders_placed"], own["hours_to_dispatch"], 1)[0] < 0
    ]
    assert metadata.remarks.flat == metadata.catalogue.product_code
    assert 0 < len(falling) < 5
    assert list(metadata.remarks.falling) == falling


def test_outliers_are_listed_from_the_farthest_on() -> None:
    orders = mistyped(simulate_orders(1000, seed=6), rows=7)
    low = orders["hours_to_dispatch"].nlargest(10).index[8]
    orders.loc[low, "hours_to_dispatch"] = 0.0

    model, metadata = train_and_gather(orders)

    outliers = metadata.outliers
    assert (outliers.rows, outliers.share, len(outliers.farthest)) == (8, 0.008, 8)
    distances = [abs(row.distance) for row in outliers.farthest]
    assert distances == sorted(distances, reverse=True)
    assert min(distances) > 6
    assert [row.hours_to_dispatch for row in outliers.farthest if row.distance < 0] == [0.0]
    listed = pd.DataFrame([row.model_dump() for row in outliers.farthest])
    estimates = model.regressor.predict(listed[["product_code", "orders_placed"]])
    np.testing.assert_allclose(listed["est_hours_to_dispatch"], estimates)
    in_week = orders.set_index(["product_code", "orders_placed"])["hours_to_dispatch"]
    for row in outliers.farthest:
        assert row.hours_to_dispatch in in_week.loc[[(row.product_code, row.orders_placed)]].values


def test_no_more_than_a_hundred_outliers_are_listed_and_all_are_counted() -> None:
    orders = mistyped(simulate_orders(5000, seed=7), rows=130)

    model, metadata = train_and_gather(orders)

    assert (metadata.outliers.rows, len(metadata.outliers.farthest)) == (130, 100)
    assert metadata.outliers.share == pytest.approx(0.026)
    farthest = np.sort(np.abs(model.noise.distances))[-100:]
    assert metadata.outliers.farthest[-1].distance == pytest.approx(farthest[0])


def test_a_week_without_outliers_lists_none() -> None:
    _, metadata = train_and_gather(simulate_orders(500, seed=8))

    assert (metadata.outliers.rows, metadata.outliers.share) == (0, 0.0)
    assert metadata.outliers.farthest == ()


def test_the_histogram_counts_the_orders_placed_of_all_rows() -> None:
    orders = simulate_orders(640, seed=9)

    _, metadata = train_and_gather(orders)

    edges, counts = metadata.orders_placed.edges, metadata.orders_placed.counts
    placed = orders["orders_placed"]
    assert (len(edges), len(counts)) == (21, 20)
    assert (edges[0], edges[-1]) == (placed.min(), placed.max())
    assert sum(counts) == 640
    assert counts[0] == (placed < edges[1]).sum()


def test_the_facts_of_dataset_and_model_are_handed_on() -> None:
    orders = simulate_orders(300, seed=10)
    model = train_on(orders, interval_level=0.8)

    metadata = gather_metadata(NOW, dataset_of(orders, rejected=3), model)

    assert (metadata.dataset.rows, metadata.dataset.rejected_rows) == (300, 3)
    assert (metadata.dataset.key, metadata.dataset.sha256) == ("datasets/week.csv", "0" * 64)
    assert (metadata.trained_at, metadata.dataset.delivered_at) == (NOW, NOW)
    assert metadata.regressor == model.name == "line per product"
    assert (metadata.metrics, metadata.interval) == (model.metrics, model.interval)
    assert metadata.candidates == model.candidates
    assert metadata.library_versions["numpy"] == np.__version__
    assert metadata.comparison is None and metadata.refused_because == ()


def test_the_commit_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = simulate_orders(100, seed=11)

    assert train_and_gather(orders)[1].git_commit is None
    monkeypatch.setenv("GIT_COMMIT_HASH", "5210017")
    assert train_and_gather(orders)[1].git_commit == "5210017"


def test_a_flat_product_with_a_single_row_is_not_called_falling() -> None:
    random = np.random.default_rng(2)
    level = simulate_orders(300, seed=2).assign(hours_to_dispatch=random.normal(10, 1, 300))
    orders = pd.concat([level, rows_of("ONCE", [5.0], [9.0])], ignore_index=True)

    _, metadata = train_and_gather(orders.astype({"product_code": "category"}))

    assert "ONCE" in metadata.remarks.flat
    assert "ONCE" not in metadata.remarks.falling
