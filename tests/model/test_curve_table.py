"""Plain curves say what the artifact's ONNX graph says, for one order as for many."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from pipeline.curves.estimator import PerProductCurve
from pipeline.curves.onnx_converter import curves_of
from pipeline.curves.tables import CurveTable as WeekOfCurves
from pipeline.model.artifact import MODELS, artifact_key
from pipeline.model.curve_table import CurveColumns
from pipeline.model.onnx_regressor import OnnxRegressor
from pipeline.model.order import ORDERS
from pipeline.model.reader import DispatchModel, read_artifact
from pipeline.release.publishing import write_artifact
from tests.support.builders import KEPT, metadata

KNOTS = ([3.0], [0.0, 250.0], [0.0, 7.5, 30.0, 31.0, 200.0], np.linspace(0, 320, 9).tolist())
"""Of weeks that were carried along: a level alone, a line, and curves."""
PRODUCTS_OF_WEEK = 50
N_ORDERS = 20_000


def random_curves(*weeks: list[float]) -> PerProductCurve:
    """Return a regressor with curves made up for weeks of these knots."""
    random = np.random.default_rng(7)
    tables = []
    for number, knots in enumerate(weeks):
        codes = np.array([f"W{number}-{n:02}" for n in range(PRODUCTS_OF_WEEK)], dtype=object)
        rises = random.exponential(2.0, (PRODUCTS_OF_WEEK, len(knots)))
        rises[random.random(rises.shape) < 0.3] = 0.0
        rises[:, 0] = random.normal(1.0, 2.0, PRODUCTS_OF_WEEK)
        exact = rises.astype(np.float32).astype(float)
        tables.append(WeekOfCurves(codes, np.array(knots), exact))
    regressor = PerProductCurve()
    regressor.products_, regressor.knots_, regressor.coefficients_ = tables[0]
    return regressor.carry(tables[1:])


def served(*weeks: list[float]) -> tuple[DispatchModel, OnnxRegressor]:
    """Return such a model as the service has it, and its ONNX graph."""
    regressor = random_curves(*weeks)
    codes = [str(code) for table in regressor.tables for code in table.products]
    random = np.random.default_rng(8)
    least = random.choice([0.0, 10.0, 50.5], len(codes))
    facts = metadata(
        codes,
        interval={"movement": 0.07, "noise_growth": 0.1, "lower_multiple": 1.3},
        catalogue={
            "least_orders": least.tolist(),
            "most_orders": (least + random.choice([0.0, 5.0, 300.0], len(codes))).tolist(),
            "relative_noise": random.exponential(1.0, len(codes)).tolist(),
        },
        earlier_weeks=[KEPT | {"product_code": codes[-PRODUCTS_OF_WEEK // 2 :]}],
    )
    content = write_artifact(regressor, facts)
    key = artifact_key(MODELS, facts.trained_at, content)
    graph = OnnxRegressor(content, facts.catalogue.product_code)
    return read_artifact(key, content), graph


def some_orders(model: DispatchModel) -> tuple[np.ndarray[Any, Any], Mapping[str, Any]]:
    """Return products by position and order counts: whole, fractions, knots, huge."""
    random = np.random.default_rng(9)
    draws = [
        random.integers(0, 400, N_ORDERS).astype(float),
        random.uniform(0, 400, N_ORDERS),
        random.choice(np.concatenate(KNOTS), N_ORDERS),
        np.geomspace(1e-9, 1e6, N_ORDERS),
    ]
    placed = np.choose(random.integers(0, len(draws), N_ORDERS), draws)
    return random.integers(0, len(model.products), N_ORDERS), {ORDERS: placed}


@pytest.mark.parametrize("weeks", [KNOTS[:1], KNOTS[1:2], KNOTS[3:], KNOTS], ids=len)
def test_plain_curves_answer_what_the_graph_answers(weeks: tuple[list[float], ...]) -> None:
    model, graph = served(*weeks)
    positions, orders = some_orders(model)

    plain, asked = model.predict_at(positions, orders).hours, graph.hours(positions, orders)

    np.testing.assert_array_equal(np.round(plain, 2), np.round(asked, 2))
    assert not np.signbit(plain).any()


@pytest.mark.parametrize("way", ["curves", "graph"])
def test_one_order_gets_the_same_bits_as_among_many(way: str) -> None:
    model, graph = served(*KNOTS)
    if way == "graph":
        model = DispatchModel(model.version, model.metadata, graph)
    positions, orders = some_orders(model)

    alone = [
        model.predict_one(position, {ORDERS: placed})
        for position, placed in zip(positions.tolist(), orders[ORDERS].tolist())
    ]

    together = model.predict_at(positions, orders)
    for one, many in zip(zip(*alone), together):
        np.testing.assert_array_equal(np.array(one), many)
    assert together.extrapolated.any() and not together.extrapolated.all()


def columns() -> dict[str, Any]:
    """Return the curves of three products, as the columns of an artifact."""
    curves = curves_of(random_curves(KNOTS[2]), ["W0-01", "W0-00", "W0-03"])
    assert curves is not None
    return curves._asdict()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"week": np.zeros(2, dtype=np.int32)}, "shapes .* are not those of 3 curves"),
        ({"week": np.array([0, 1, 0], dtype=np.int32)}, "of a week that is not among the 1"),
        ({"week": np.array([0, -1, 0], dtype=np.int32)}, "of a week that is not among the 1"),
        ({"coefficients": np.zeros((3, 4), dtype=np.float32)}, "shapes .* are not those"),
        ({"starts": np.zeros(4)}, "shapes .* are not those"),
    ],
)
def test_curves_that_lack_something_are_refused(change: dict[str, Any], reason: str) -> None:
    assert CurveColumns.unpacked(CurveColumns(**columns()).packed(), 3).week.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match=reason):
        CurveColumns.unpacked(CurveColumns(**columns() | change).packed(), 3)
