"""Simulated weeks: reproducible, true to their documentation, and one more at a time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline.orders.simulator import HOURS_PER_ORDER, add_week, main, simulate_orders
from pipeline.stores.directory import DirectoryStore
from tests.support.helpers import SAMPLE_WEEKS, names_in
from tests.support.order_files import DELIVERED_AT, deliver_parts


def test_the_same_seed_gives_the_same_orders() -> None:
    assert simulate_orders(50, seed=1).equals(simulate_orders(50, seed=1))
    assert not simulate_orders(50, seed=1).equals(simulate_orders(50, seed=2))


def test_hours_follow_the_documented_truth() -> None:
    orders = simulate_orders(50_000, seed=1)
    slopes = orders["product_code"].map(HOURS_PER_ORDER)
    expected = slopes * orders["orders_placed"]
    high = expected > 4  # far enough from the floor at zero
    noise = (orders["hours_to_dispatch"] - expected)[high]

    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(0.8, rel=0.02)
    assert orders["hours_to_dispatch"].min() == 0
    assert orders["orders_placed"].min() == 0 and orders["orders_placed"].max() == 320
    assert np.ptp(orders["product_code"].value_counts()) < 800


def test_the_command_line_adds_a_week_to_a_store(
    sample_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(sample_store)]) == 0

    assert len(names_in(sample_store / "datasets")) == 5
    assert names_in(sample_store / "datasets")[-1] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("days", "expected"),
    [(7, "2026-11-27T23-00-00"), (3, "2026-11-23T23-00-00"), (-0.5, "2026-11-20T23-00-01")],
    ids=["a week later", "not ahead of the clock", "the newest is ahead itself"],
)
def test_the_next_week_is_the_newest_and_not_ahead_of_the_clock(
    days: float, expected: str, sample_store: Path
) -> None:
    newest = datetime(2026, 11, 20, 23, tzinfo=UTC)

    key = add_week(DirectoryStore(str(sample_store)), newest + timedelta(days=days))

    assert key == f"datasets/time_to_dispatch_{expected}.csv"


def test_a_week_is_newer_than_any_folder_of_parts(store: DirectoryStore) -> None:
    deliver_parts(store, {"part-0.csv": b""})

    key = add_week(store, DELIVERED_AT + timedelta(days=30))

    assert key == "datasets/time_to_dispatch_2026-11-27T23-00-00.csv"


def test_the_sample_data_is_what_the_simulator_makes_week_by_week(tmp_path: Path) -> None:
    store = DirectoryStore(str(tmp_path))

    keys = [add_week(store, datetime.now(UTC)) for _ in range(4)]

    assert keys == [f"datasets/{week.name}" for week in SAMPLE_WEEKS]
    assert [store.read(key) for key in keys] == [week.read_bytes() for week in SAMPLE_WEEKS]
