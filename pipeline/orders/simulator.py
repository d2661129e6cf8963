"""Weeks of orders with a known truth, for the sample data, demo, tests and benchmarks.

The truth: each product takes `slope · orders_placed` hours on average, plus normal noise with a
standard deviation of 0.8 h; the sum is floored at zero. Order counts are whole numbers from 0 to
320, all equally likely.

`python -m pipeline.orders.simulator [STORE]` adds one more week to a store.
"""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.orders.deliveries import DATASETS, dated_datasets
from pipeline.stages.logs import LOG, configure_logging, exit_code_of
from pipeline.stages.settings import StoreSettings
from pipeline.stores.base import ObjectStore, open_store
from pipeline.stores.timestamped_keys import NAME_PREFIX

HOURS_PER_ORDER: Mapping[str, float] = {
    "SKU001": 0.074,
    "SKU002": 0.052,
    "SKU003": 0.031,
    "SKU004": 0.095,
    "SKU005": 0.043,
}
"""True slope of each product of the sample data, in hours per order placed."""

NOISE_HOURS = 0.8
BUSIEST_DAY = 320
ROWS_PER_WEEK = 1_000
FIRST_FRIDAY = datetime(2026, 10, 30, 23, 0, tzinfo=UTC)


class SimulatorSettings(StoreSettings):
    """Add the next simulated week of orders to a store."""

    program = "python -m pipeline.orders.simulator"


@exit_code_of
def main(arguments: Sequence[str] = ()) -> None:
    """Add one more week to a store, see `add_week`."""
    settings = SimulatorSettings.from_arguments(arguments)
    configure_logging(settings.log_level, settings.log_format)
    store = open_store(settings.store, settings.store_seconds)
    LOG.info(f"Added {store.url}/{add_week(store, datetime.now(UTC))}.")


def add_week(store: ObjectStore, now: datetime) -> str:
    """Write a week that is newer than all of a store and return its key.

    It comes seven days after the newest, or now if that is earlier: a week from the future would
    be refused. The same week always gets the same orders: its date is the seed.
    """
    newest = max(dated_datasets(store), default=None)
    delivered_at = _next_delivery(newest.moment, now) if newest else FIRST_FRIDAY
    orders = simulate_orders(ROWS_PER_WEEK, seed=int(delivered_at.timestamp()))
    key = f"{DATASETS}/{NAME_PREFIX}_{delivered_at:%Y-%m-%dT%H-%M-%S}.csv"
    store.write_new(key, orders.to_csv(index=False, lineterminator="\n").encode())
    return key


def _next_delivery(newest: datetime, now: datetime) -> datetime:
    """Return a time after the newest, to the second, as the names of datasets have it."""
    in_a_week = min(newest + timedelta(days=7), now.replace(microsecond=0))
    return max(in_a_week, newest + timedelta(seconds=1))


def simulate_orders(
    rows: int, seed: int, hours_per_order: Mapping[str, float] = HOURS_PER_ORDER
) -> pd.DataFrame:
    """Return rows of orders that follow the truth above, the same for the same seed.

    Args:
        rows: how many.
        seed: of the random numbers.
        hours_per_order: true slope of each product.
    """
    random = np.random.default_rng(seed)
    products = np.array(list(hours_per_order), dtype=object)
    slopes = np.array(list(hours_per_order.values()))
    product = random.integers(len(products), size=rows)
    orders = random.integers(BUSIEST_DAY + 1, size=rows)
    noise = random.normal(scale=NOISE_HOURS, size=rows)
    hours = np.maximum(slopes[product] * orders + noise, 0.0)
    return pd.DataFrame({PRODUCT: products[product], ORDERS: orders, HOURS: hours.round(3)})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
