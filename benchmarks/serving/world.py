"""What all servers of a benchmark serve: one week of orders, our model of it, and a tree."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
from sklearn.tree import DecisionTreeRegressor

from benchmarks.measuring.server_processes import ServerFailure
from benchmarks.serving.many_products import product_codes, publish_curves
from benchmarks.worlds.order_worlds import straight, week_csv
from benchmarks.worlds.reference_models import tree_features
from benchmarks.worlds.weekly_stores import run_training, temporary_store, week_path
from pipeline.model.order import HOURS, PRODUCT
from pipeline.model.reader import DispatchModel, load_model
from pipeline.orders.simulator import BUSIEST_DAY
from pipeline.stores.base import open_store

SEED = 0
TREE_FILE = "tree.joblib"
ROWS, COLUMNS = "rows", "columns"
"""The forms of a batch."""


class Order(NamedTuple):
    """An order to ask for.

    Attributes:
        product_code: of the product.
        product_number: its position among the product codes, which the tree knows it by.
        orders_placed: before it on the same day.
    """

    product_code: str
    product_number: int
    orders_placed: int

    def as_request(self) -> dict[str, object]:
        """Return what our service takes."""
        return {"product_code": self.product_code, "orders_placed": self.orders_placed}


class ServingWorld(NamedTuple):
    """A store with a published model, and the usual model of the same rows.

    Attributes:
        store: folder of the store.
        codes: of the products.
        model: that our service serves.
        tree: that all the others serve.
    """

    store: Path
    codes: tuple[str, ...]
    model: DispatchModel
    tree: DecisionTreeRegressor

    @property
    def tree_path(self) -> Path:
        """The file of the tree, written by joblib."""
        return self.store / TREE_FILE

    def draw_orders(self, count: int, seed: int) -> list[Order]:
        """Draw orders: any product, and a whole number of orders up to the busiest day's."""
        random = np.random.default_rng([SEED, seed])
        numbers = random.integers(len(self.codes), size=count).tolist()
        placed = random.integers(BUSIEST_DAY + 1, size=count).tolist()
        return [Order(self.codes[i], i, orders) for i, orders in zip(numbers, placed)]

    def model_hours(self, order: Order) -> float:
        """Return what our model answers to an order, in hours."""
        (hours,) = self.model.estimate(
            {"product_code": [order.product_code], "orders_placed": [float(order.orders_placed)]}
        )
        return float(hours)

    def tree_hours(self, order: Order) -> float:
        """Return what the tree answers to an order, in hours."""
        (hours,) = self.tree.predict([[order.product_number, order.orders_placed]])
        return float(hours)

    def with_products(self, n_products: int) -> "ServingWorld":
        """Return the same with a model of so many products, in a store below this one's."""
        store = self.store / f"products_{n_products}"
        store.mkdir(exist_ok=True)
        codes = product_codes(n_products)
        if not any(store.iterdir()):
            publish_curves(store, self.model.metadata, codes)
        return self._replace(store=store, codes=codes, model=load_model(open_store(str(store))))


@contextmanager
def serving_world() -> Iterator[ServingWorld]:
    """Train on a week of the straight world in a temporary store; it is removed at the end.

    Raises:
        ServerFailure: the training stage did not publish a model.
    """
    week = straight(SEED).training_week()
    codes = tuple(sorted(week[PRODUCT].unique()))
    with temporary_store() as store:
        week_path(store, week=0).write_bytes(week_csv(week))
        training = run_training(store)
        if training.exit_code != 0:
            raise ServerFailure(f"There is no model to serve. {training.log}")
        tree = DecisionTreeRegressor(random_state=SEED)
        tree.fit(tree_features(week, codes), week[HOURS].to_numpy())
        world = ServingWorld(store, codes, load_model(open_store(str(store))), tree)
        joblib.dump(tree, world.tree_path)
        yield world


def compact_json(content: object) -> str:
    """Return JSON without spaces, as browsers send it."""
    return json.dumps(content, separators=(",", ":"))


def batch_body(orders: Sequence[Order], form: str) -> str:
    """Return the body of a request for many orders at once, as rows or columns."""
    rows = [order.as_request() for order in orders]
    if form == ROWS:
        return compact_json({"orders": rows})
    return compact_json({name: [row[name] for row in rows] for name in rows[0]})
