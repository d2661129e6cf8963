"""A week is fitted bucket by bucket as if it were in one piece."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

from pipeline.curves.estimator import PerProductCurve
from pipeline.model.arrays import Floats
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.orders.buckets import RowsInMemory
from pipeline.orders.order_rows import concat_orders
from pipeline.orders.week_rows import WeekRows, gather_rows
from pipeline.training.fitting import TrainedModel, train_on
from pipeline.training.selection import CANDIDATES, Candidate

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
