"""Parts made by hand: each builder returns a plausible one, with the changes that a test names.

A change of a part that has parts itself names only those that differ:
`metadata(metrics={"r_squared": 0.5})`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.curves.noise import NoiseScale
from pipeline.model.arrays import Floats
from pipeline.model.catalogue import to_text
from pipeline.model.curve_table import CurveColumns, CurveTable
from pipeline.model.metadata import (
    ChampionComparison,
    Metrics,
    ModelMetadata,
    PredictionInterval,
    SeveralWeeks,
    Skill,
)
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.model.reader import DispatchModel
from pipeline.model.regressor import OrderColumns, Regressor
from pipeline.orders.rejected_rows import RejectedRows
from pipeline.orders.repeats import find_repeats
from pipeline.orders.simulator import NOISE_HOURS
from pipeline.orders.week_rows import WeekRows
from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.training.evaluation import GridEstimates, estimate_on_grid
from pipeline.training.fitting import ModelNoise, TrainedModel
from pipeline.training.intervals import ProductNoise
from pipeline.training.selection import OutOfSample

TRAINED_AT = datetime(2026, 11, 23, 18, 49, 11, 198262, UTC)
DELIVERED_AT = datetime(2026, 11, 20, 23, tzinfo=UTC)
PRODUCTS = ("SKU001", "SKU002", "SKU003")
MIN_SEEN_ORDERS = 10.0
MAX_SEEN_ORDERS = 200.5
"""The range that a model made by hand saw of each product, if nothing else is said."""

METRICS = {
    "r_squared": None,
    "mean_absolute_error_hours": 0.5,
    "noise_floor_hours": 0.5,
    "train_rows": 2,
    "test_rows": 2,
}
INTERVAL = {
    "level": 0.9,
    "multiple": 2,
    "noise_base_hours": 0.251,
    "noise_growth": 0.05,
    "calibration_rows": 2,
}
KEPT: dict[str, Any] = {
    "delivered_at": DELIVERED_AT - timedelta(weeks=1),
    "kept_until": DELIVERED_AT + timedelta(weeks=7),
    "interval": INTERVAL | {"multiple": 3},
    "product_code": ["SKU002"],
}
"""An earlier week, whose curve is kept."""

SKILL = {
    "baseline": "median per product",
    "baseline_error_hours": 5,
    "error_hours": 0.6,
    "least_gain_hours": 4,
    "rows": 10,
}

Line = tuple[float, float]
"""Hours at zero orders, and hours for each order."""


class LineModel(DispatchModel):
    """A loaded model without an artifact: a straight line for each product."""

    def __init__(
        self,
        version: str,
        metadata: ModelMetadata,
        lines: Mapping[str, Line],
        regressor: Regressor | None = None,
    ) -> None:
        """Put it together; a product of the metadata without a line gets no estimate."""
        codes = metadata.catalogue.product_code
        super().__init__(version, metadata, regressor or CurveTable(curves_of(lines, codes)))
        self.lines = lines


def curves_of(lines: Mapping[str, Line], product_codes: Sequence[str]) -> CurveColumns:
    """Return lines as an artifact carries curves; NaN for products that they lack."""
    found = np.array([lines.get(code, (np.nan, np.nan)) for code in product_codes], dtype=float)
    week = np.zeros(len(found), dtype=np.int32)
    return CurveColumns(week, found, starts=np.zeros((1, 1)), widths=np.ones((1, 1)))


class LineRegressor:
    """A fitted regressor that gives a straight line for each product."""

    def __init__(self, lines: Mapping[str, Line]) -> None:
        """Take the lines for fitted."""
        self.lines = lines

    def predict(self, X: pd.DataFrame) -> Floats:
        """Return the estimated hours to dispatch, shape (n_rows,)."""
        return estimate(self.lines, X)


def estimate(lines: Mapping[str, Line], orders: OrderColumns) -> Floats:
    """Return the hours that lines give, never negative; NaN for products that they lack."""
    unknown = (np.nan, np.nan)
    found = np.array([lines.get(str(code), unknown) for code in orders.get(PRODUCT)])
    level, slope = found.reshape(-1, 2).T
    placed = np.asarray(orders.get(ORDERS), dtype=np.float64)
    hours: Floats = np.maximum(level + slope * placed, 0.0)
    return hours


def lines_of(products: Iterable[str]) -> dict[str, Line]:
    """Return rising lines that differ: from 2.12 h, 3.12 h… on, 0.055 h more for each order."""
    return {code: (2.12 + position, 0.055) for position, code in enumerate(sorted(products))}


def fit_lines(orders: pd.DataFrame) -> dict[str, Line]:
    """Fit a line to the orders of each product by least squares."""
    lines = {}
    for code, rows in orders.groupby(PRODUCT, observed=True):
        slope, level = np.polyfit(rows[ORDERS], rows[HOURS], 1)
        lines[str(code)] = (float(level), float(slope))
    return lines


def model(
    products: Iterable[str] = PRODUCTS,
    lines: Mapping[str, Line] | None = None,
    version: str = "by_hand",
    **changes: Any,
) -> LineModel:
    """Return a loaded model.

    Args:
        products: codes, in any order.
        lines: of the products; by default those of `lines_of`.
        version: name of the model.
        changes: of its metadata.
    """
    facts = metadata(products, **changes)
    codes = facts.catalogue.product_code
    return LineModel(version, facts, lines_of(codes) if lines is None else lines)


def metadata(products: Iterable[str] = PRODUCTS, **changes: Any) -> ModelMetadata:
    """Return the facts about a model of these products, which saw 1, 2, 3… rows of them."""
    codes = sorted(products)
    rows = range(1, len(codes) + 1)
    facts: dict[str, Any] = {
        "trained_at": TRAINED_AT,
        "git_commit": "abc123",
        "library_versions": {},
        "regressor": "by hand",
        "candidates": [],
        "dataset": {
            "key": "datasets/time_to_dispatch_2026-11-20T23-00-00.csv",
            "sha256": "ab12" * 16,
            "delivered_at": DELIVERED_AT,
            "rows": sum(rows),
            "rejected_rows": 0,
        },
        "metrics": METRICS,
        "interval": INTERVAL,
        "outliers": {"rows": 0, "share": 0, "farthest": []},
        "catalogue": {
            "product_code": codes,
            "rows": rows,
            "least_orders": [MIN_SEEN_ORDERS] * len(codes),
            "most_orders": [MAX_SEEN_ORDERS] * len(codes),
            "relative_noise": [1] * len(codes),
        },
        "remarks": {"few_rows": [], "falling": [], "flat": []},
        "orders_placed": {"edges": [0, MAX_SEEN_ORDERS], "counts": [sum(rows)]},
    }
    return ModelMetadata.model_validate(_changed(facts, changes))


def metadata_of(orders: pd.DataFrame, **changes: Any) -> ModelMetadata:
    """Return the facts about a model that was trained on these orders."""
    placed = orders.groupby(PRODUCT, observed=True)[ORDERS].agg(["size", "min", "max"])
    counts, edges = np.histogram(orders[ORDERS], bins=20)
    facts: dict[str, Any] = {
        "dataset": {"rows": len(orders)},
        "interval": {"multiple": 1.645, "noise_base_hours": NOISE_HOURS, "noise_growth": 0},
        "catalogue": {
            "rows": placed["size"].tolist(),
            "least_orders": placed["min"].tolist(),
            "most_orders": placed["max"].tolist(),
        },
        "orders_placed": {"edges": edges.tolist(), "counts": counts.tolist()},
    }
    return metadata(map(str, placed.index), **_changed(facts, changes))


def all_facts(metadata: ModelMetadata) -> tuple[str, str]:
    """Return all that metadata say, to compare two of them: as JSON, and the catalogue."""
    return metadata.model_dump_json(), to_text(metadata.catalogue)


def comparison(**changes: Any) -> ChampionComparison:
    """Return the comparison of two models that are equally good."""
    facts: dict[str, Any] = {
        "champion_version": "time_to_dispatch_champion",
        "same_dataset": False,
        "compared_rows": 200,
        "champion_error_hours": 1.0,
        "challenger_error_hours": 1.0,
        "least_excess_hours": -0.01,
        "champion_recorded_error_hours": 1.0,
        "shifted_share": 0.0,
        "median_ratio": 1.0,
        "shifts": [],
    }
    return ChampionComparison.model_validate(facts | changes)


def several_weeks(decay: float, **changes: Any) -> SeveralWeeks:
    """Return what a model learnt from two earlier weeks, and how well three were known."""
    times = [DELIVERED_AT - timedelta(weeks=age) for age in range(4)]
    facts: dict[str, Any] = {
        "asked": 3,
        "decay": decay,
        "datasets": [
            {
                "key": f"datasets/week_{age}.csv",
                "sha256": f"{age}" * 64,
                "delivered_at": times[age],
                "rows": 900 + age,
                "age": age,
                "weight": decay**age if age < 3 else 0,
            }
            for age in (1, 2, 3)
        ],
        "scores": [],
        "hurts_this_week": False,
        "by_week": [
            {
                "delivered_at": times[age],
                "rows": 990 + age,
                "error_hours": 0.71,
                "one_week_error_hours": 0.74,
                "coverage": 0.875,
            }
            for age in (2, 1, 0)
        ],
    }
    return SeveralWeeks.model_validate(facts | changes)


def most_orders(orders: pd.DataFrame) -> "pd.Series[float]":
    """Return the most orders placed of each product."""
    return WeekRows.of(orders).products["most_orders"]


def dataset(orders: pd.DataFrame, **changes: Any) -> WeeklyDataset:
    """Return a week of valid orders without bad rows."""
    rejected = RejectedRows()
    key = "datasets/time_to_dispatch_2026-11-20T23-00-00.csv"
    return replace(
        WeeklyDataset(key, "ab12" * 16, DELIVERED_AT, WeekRows.of(orders), rejected), **changes
    )


def own_noise_of(noise: NoiseScale) -> ProductNoise:
    """Return the noise of products of which the interval of all holds enough orders."""
    return ProductNoise(np.tile(noise.relative, (2, 1)), np.zeros(len(noise.relative), dtype=bool))


def trained_model(
    orders: pd.DataFrame, lines: Mapping[str, Line] | None = None, **changes: Any
) -> TrainedModel:
    """Return a model of these orders that was not trained: lines, tested on every fifth row.

    Args:
        orders: of a week.
        lines: of its products; by default fitted to all orders.
        changes: of the model.
    """
    lines = fit_lines(orders) if lines is None else lines
    regressor = LineRegressor(lines)
    test = orders.iloc[::5]
    distances = (orders[HOURS].to_numpy() - estimate(lines, orders)) / NOISE_HOURS
    noise = NoiseScale(NOISE_HOURS, 0.0, np.ones(orders[PRODUCT].nunique()))
    by_product = orders.groupby(PRODUCT, observed=True)[HOURS]
    plausible = TrainedModel(
        regressor=regressor,
        name="by hand",
        candidates=(),
        noise=ModelNoise(noise, own_noise_of(noise), np.full(len(orders), NOISE_HOURS), distances),
        interval=PredictionInterval.model_validate(INTERVAL),
        grid=estimate_on_grid(regressor, most_orders(orders)),
        test=OutOfSample(test, estimate(lines, test)),
        metrics=Metrics.model_validate(METRICS | {"r_squared": 0.99}),
        repeated=find_repeats(orders),
        skill=Skill.model_validate(SKILL),
        unseen=OutOfSample(orders, estimate(lines, orders)),
        guessed={"mean per product": by_product.transform("mean").to_numpy()},
        steps=np.zeros(len(lines)),
        mixed=(),
    )
    return replace(plausible, **changes)


def grid(*curves: Sequence[float]) -> GridEstimates:
    """Return estimates in hours of products SKU0, SKU1… at 0, 1, 2… orders placed."""
    codes: npt.NDArray[np.object_] = np.array([f"SKU{i}" for i in range(len(curves))], dtype=object)
    orders = np.tile(np.arange(len(curves[0]), dtype=float), (len(curves), 1))
    return GridEstimates(codes, orders, np.array(curves))


def _changed(facts: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts with changes, where a mapping changes some facts of a part."""
    changed = dict(facts)
    for name, change in changes.items():
        is_part = isinstance(change, Mapping) and isinstance(facts.get(name), Mapping)
        changed[name] = {**facts[name], **change} if is_part else change
    return changed
