"""A week is fitted bucket by bucket as if it were in one piece."""

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

from pipeline.curves.estimator import PerProductCurve
from pipeline.model.arrays import Floats
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.orders.buckets import RowsInMemory
from pipeline.orders.deliveries import Delivery
from pipeline.orders.order_rows import concat_orders
from pipeline.orders.week_parts import read_rows
from pipeline.orders.week_reader import WeekReader
from pipeline.orders.week_rows import WeekRows, gather_rows
from pipeline.stages.workers import HERE, Workers, open_workers
from pipeline.stores.directory import DirectoryStore
from pipeline.training.fitting import TrainedModel, train_on
from pipeline.training.selection import CANDIDATES, Candidate
from tests.support.dask_cluster import dask_cluster
from tests.support.order_files import DELIVERED_AT, FOLDER, deliver_parts

LEVEL = 0.9
MAX_SAMPLE_ROWS = 3000


class Level(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor that plans nothing: it has to see all rows at once."""

    def fit(self, X: pd.DataFrame, y: "pd.Series[float]") -> "Level":
        self.rows_ = len(X)
        self.level_ = float(np.mean(y))
        return self

    def predict(self, X: pd.DataFrame) -> Floats:
        return np.full(len(X), self.level_)


def orders_of(rows: dict[str, int], seed: int = 0) -> pd.DataFrame:
    """Return orders of products with slopes of their own, a few of them mis-keyed."""
    random = np.random.default_rng(seed)
    product = np.repeat(list(rows), list(rows.values())).astype(object)
    slopes = pd.Series(random.uniform(0.02, 0.1, len(rows)), index=list(rows))
    orders = random.integers(0, 320, len(product)).astype(float)
    hours = np.maximum(
        2 + slopes[product].to_numpy() * orders + random.normal(0, 0.8, len(product)), 0
    )
    hours[random.random(len(product)) < 0.01] *= 10
    week = pd.DataFrame({PRODUCT: product, ORDERS: orders, HOURS: hours})
    return week.sample(frac=1, random_state=seed).astype({PRODUCT: "category"})


@pytest.fixture
def large(tmp_path: Path) -> WeekRows:
    """Return a week in files: a large product, ordinary ones, and many that are tiny."""
    ordinary = {f"P{i:03}": 60 for i in range(40)}
    tiny = {f"T{i:03}": 1 + i % 4 for i in range(200)}
    return gather_rows([orders_of({"LARGE": 4000} | ordinary | tiny)], tmp_path, MAX_SAMPLE_ROWS)


def in_one_bucket(week: WeekRows) -> WeekRows:
    rows = concat_orders([bucket.rows() for bucket in week.buckets])
    return replace(week, buckets=[RowsInMemory(rows)])


def test_one_bucket_and_many_give_the_same_curves_to_the_last_bit(large: WeekRows) -> None:
    models: list[TrainedModel] = [
        train_on(week, LEVEL, CANDIDATES[1:2]) for week in (large, in_one_bucket(large))
    ]

    assert len(large.buckets) > 30
    many, one = (model.regressor for model in models)
    assert isinstance(many, PerProductCurve) and isinstance(one, PerProductCurve)
    assert many.products_.tolist() == one.products_.tolist() == large.products.index.tolist()
    assert many.coefficients_.tobytes() == one.coefficients_.tobytes()
    assert models[0].interval.multiple == pytest.approx(models[1].interval.multiple)


def test_a_large_week_is_measured_on_rows_of_all_sizes_of_products(large: WeekRows) -> None:
    model = train_on(large, LEVEL, CANDIDATES[1:2])

    assert model.metrics.train_rows > 0.75 * large.n_rows
    assert model.metrics.mean_absolute_error_hours == pytest.approx(0.65, abs=0.1)
    assert len(model.grid.products) == len(large.products)
    assert len(model.noise.hours) == len(large.sample) < large.n_rows


def test_a_regressor_that_plans_nothing_gets_all_rows_at_once(large: WeekRows) -> None:
    model = train_on(large, LEVEL, (Candidate("level", Level()),))

    assert isinstance(model.regressor, Level)
    assert model.regressor.rows_ == large.n_rows


@pytest.mark.parametrize("rows", [{"ONE": 7000}, {"MOST": 6930, "A": 30, "B": 30, "C": 10}])
def test_a_week_of_next_to_one_product_is_fitted(rows: dict[str, int], tmp_path: Path) -> None:
    week = gather_rows([orders_of(rows)], tmp_path, MAX_SAMPLE_ROWS)

    model = train_on(week, LEVEL, CANDIDATES[1:2])

    assert model.metrics.mean_absolute_error_hours == pytest.approx(0.65, abs=0.1)


def as_csv(orders: pd.DataFrame) -> bytes:
    return orders.to_csv(index=False).encode()


def as_parquet(orders: pd.DataFrame) -> bytes:
    return orders.astype({PRODUCT: str}).to_parquet(index=False)


@pytest.fixture(scope="module")
def week_of_all_kinds() -> pd.DataFrame:
    """Return some ordinary products, and many that are tiny."""
    return orders_of({f"P{i:03}": 90 for i in range(30)} | {f"T{i:03}": 4 for i in range(100)})


@pytest.fixture(scope="module")
def alone(week_of_all_kinds: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return what is learnt from it as one CSV by this process alone."""
    folder = tmp_path_factory.mktemp("alone")
    return learnt_from(folder, {"part-0.csv": as_csv(week_of_all_kinds)}, HERE)


def learnt_from(folder: Path, parts: Mapping[str, bytes], workers: Workers) -> bytes:
    """Return all numbers of a model of a folder, whose rows go through files."""
    store = DirectoryStore(str(folder))
    deliver_parts(store, parts)
    reader = WeekReader(store, Delivery(FOLDER, DELIVERED_AT))
    week = read_rows(reader, workers, max_sample_rows=1000)
    model = train_on(week, LEVEL, CANDIDATES[1:2], workers=workers)
    assert len(week.buckets) > 30 and isinstance(model.regressor, PerProductCurve)
    facts = (model.metrics, model.interval, model.skill, model.name, week.hash)
    numbers = (model.regressor.coefficients_, model.regressor.knots_, model.unseen.estimates)
    return repr(facts).encode() + b"".join(each.tobytes() for each in numbers)


@pytest.mark.parametrize(
    ("place", "n_parts", "write"),
    [
        ("here", 1, as_parquet),
        ("here", 7, as_csv),
        ("processes", 1, as_csv),
        ("processes", 7, as_parquet),
        pytest.param("dask", 1, as_parquet, marks=pytest.mark.system),
        pytest.param("dask", 7, as_csv, marks=pytest.mark.system),
    ],
)
def test_a_week_is_fitted_alike_wherever_and_however_it_is_delivered(
    place: str,
    n_parts: int,
    write: Callable[[pd.DataFrame], bytes],
    week_of_all_kinds: pd.DataFrame,
    alone: bytes,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    rows = np.array_split(np.arange(len(week_of_all_kinds)), n_parts)
    suffix = write.__name__.removeprefix("as_")
    parts = {f"part-{n}.{suffix}": write(week_of_all_kinds.iloc[r]) for n, r in enumerate(rows)}
    cluster = request.getfixturevalue("shared_cluster") if place == "dask" else None
    address = cluster.address if cluster else None

    with open_workers(2 if place == "processes" else 1, address, tmp_path) as workers:
        assert learnt_from(tmp_path, parts, workers) == alone


class DiesOnce(PerProductCurve):
    """A curve whose first fit with a plan kills its process."""

    def __init__(self, marker: str = "", segments: int = 1, estimate: str = "typical") -> None:
        super().__init__(segments, estimate)
        self.marker = marker

    def fit(self, X: pd.DataFrame, y: Any, sample_weight: Any = None, plan: Any = None) -> Self:
        if plan is not None and not Path(self.marker).exists():
            Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y, sample_weight, plan)


@pytest.mark.system
def test_a_worker_that_dies_while_it_fits_changes_nothing(large: WeekRows, tmp_path: Path) -> None:
    dying = Candidate("dying", DiesOnce(str(tmp_path / "marker")))
    with dask_cluster(tmp_path) as cluster, open_workers(1, cluster.address, tmp_path) as workers:
        model = train_on(large, LEVEL, (dying,), workers=workers)
        died = [worker.poll() for worker in cluster.workers]

    assert sorted(died, key=str) == [-signal.SIGKILL, None]
    expected = train_on(large, LEVEL, CANDIDATES[1:2]).regressor
    assert isinstance(model.regressor, PerProductCurve) and isinstance(expected, PerProductCurve)
    assert model.regressor.coefficients_.tobytes() == expected.coefficients_.tobytes()
