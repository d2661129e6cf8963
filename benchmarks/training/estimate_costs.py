"""How large a published model is and how long its estimates take, beside a plain table of lines."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.measuring.measured_process import seconds_of
from benchmarks.training.stage_costs import artifact_kb, run_stage, write_orders
from benchmarks.worlds.order_worlds import World
from benchmarks.worlds.products import Products, drawn_products
from benchmarks.worlds.weekly_stores import temporary_store, week_path
from pipeline.model.arrays import Floats
from pipeline.model.order import ORDERS, PRODUCT
from pipeline.model.reader import DispatchModel, load_model
from pipeline.stores.base import open_store

MAX_ROW_MICROSECONDS = 25
BATCH_ROWS = 10_000
MAX_BATCH_MILLISECONDS = 5
MAX_ARTIFACT_KB = 1_000
CATALOGUE_PRODUCTS = 10_000
CATALOGUE_ROWS = 1_000_000
CAPACITY_ORDERS = 400.0
ROW_CALLS = 5_000
BATCH_CALLS = 50

Estimate = Callable[[Sequence[str], Sequence[float] | Floats], Floats]
"""Takes product codes and orders placed, and returns hours."""


class EstimateCost(NamedTuple):
    """One measure of a published model.

    Attributes:
        measure: in words, with its unit.
        value: of the model.
        max_value: the goal.
        reference: the same measure of a plain table, or None.
    """

    measure: str
    value: float
    max_value: float
    reference: float | None


def measure_catalogue() -> list[EstimateCost]:
    """Measure size and speed of a model with 10,000 products; nothing if none is published.

    The world is congested, so that the model is of the largest kind: a curve for each product.
    """
    with temporary_store() as store:
        path = week_path(store, week=0)
        write_orders(path, CATALOGUE_ROWS, CATALOGUE_PRODUCTS, capacity=CAPACITY_ORDERS)
        if run_stage(store).exit_code != 0:
            return []
        model = load_model(open_store(str(store)))
        size_kb = artifact_kb(store) or 0.0
    size = EstimateCost("artifact, kB", size_kb, MAX_ARTIFACT_KB, None)
    return [size, *measure_estimates(model)]


def measure_estimates(model: DispatchModel) -> list[EstimateCost]:
    """Time the estimates of one row and of 10,000 rows of all products that a model knows."""
    random = np.random.default_rng(0)
    of_each = np.ones(len(model.products), dtype=int)
    products = drawn_products(of_each, random)._replace(
        codes=np.array(model.metadata.catalogue.product_code, dtype=object)
    )
    week = World(products, seed=0).draw_week(BATCH_ROWS, random, of_each)
    codes, orders = week[PRODUCT].tolist(), week[ORDERS].to_numpy(dtype=float)
    table = _plain_table(products)

    def estimate(codes: Sequence[str], orders: Sequence[float] | Floats) -> Floats:
        return model.estimate({PRODUCT: codes, ORDERS: orders})

    def predict_one(codes: Sequence[str], orders: Sequence[float] | Floats) -> Floats:
        """Answer one order as the service does, with its interval."""
        position = model.position_of(codes[0])
        assert position is not None
        hours, *_ = model.predict_one(position, {PRODUCT: codes[0], ORDERS: orders[0]})
        return np.array([hours])

    return [
        EstimateCost(
            "one row with its interval, µs",
            _row_microseconds(predict_one, codes, orders),
            MAX_ROW_MICROSECONDS,
            _row_microseconds(table, codes, orders),
        ),
        EstimateCost(
            f"{BATCH_ROWS:,} rows, ms",
            _batch_milliseconds(estimate, codes, orders),
            MAX_BATCH_MILLISECONDS,
            _batch_milliseconds(table, codes, orders),
        ),
    ]


def _plain_table(products: Products) -> Estimate:
    """Return the least that estimates take: a dictionary, two look-ups and a multiply-add."""
    position = {code: i for i, code in enumerate(products.codes)}

    def estimate(codes: Sequence[str], orders: Sequence[float] | Floats) -> Floats:
        rows = [position[code] for code in codes]
        hours: Floats = products.intercepts[rows] + products.slopes[rows] * np.asarray(orders)
        return hours

    return estimate


def _row_microseconds(estimate: Estimate, codes: Sequence[str], orders: Floats) -> float:
    """Return the median time of an estimate for one row; every call has another row."""
    rows = list(zip(codes, orders.tolist()))[:ROW_CALLS]
    return 1e6 * median(seconds_of(lambda: estimate([code], [x])) for code, x in rows)


def _batch_milliseconds(estimate: Estimate, codes: Sequence[str], orders: Floats) -> float:
    """Return the median time of the estimates for all rows at once."""
    return 1e3 * median(seconds_of(lambda: estimate(codes, orders)) for _ in range(BATCH_CALLS))
