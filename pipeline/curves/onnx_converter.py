"""How our own regressor is written in ONNX, and read back; skl2onnx knows scikit-learn's.

A curve becomes a look-up of the product's row in tables of coefficients, which are stored in
single precision, and a sum of ramps in double precision: each ramp goes from 0 to 1 over one
segment of the curve, and the product's rise over the segment is its weight. An unknown product
gets NaN, never another product's estimate. The tables have names, by which next week's training
finds the curves that it carries along.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, numpy_helper
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType

from pipeline.curves.estimator import DispatchCurve, PerProductCurve
from pipeline.curves.tables import CurveTable, JoinedTables, join
from pipeline.model.arrays import Floats
from pipeline.model.curve_table import CurveColumns
from pipeline.model.order import FEATURES, ORDERS, PRODUCT

LEVELS, RISES, WEEK = "levels", "rises", "week"
"""Of each product, and a last row for unknown ones."""
STARTS, WIDTHS, UPPER = "starts", "widths", "upper"
"""Of the segments of each week."""


def register_converters() -> None:
    """Tell skl2onnx about our regressor; doing so again changes nothing."""
    update_registered_converter(
        PerProductCurve, "TimeToDispatchPerProductCurve", _set_output_shape, _convert_curve
    )


def _set_output_shape(operator: Any) -> None:
    operator.outputs[0].type = DoubleTensorType([None, 1])


def _convert_curve(scope: Any, operator: Any, container: Any) -> None:
    """Write hours = max(level[product] + Σ rises[product] · ramps(orders), 0)."""
    curve: PerProductCurve = operator.raw_operator
    inputs = dict(zip(FEATURES, (variable.full_name for variable in operator.inputs)))
    tables = join(curve.tables)
    graph = _Graph(scope, container)
    product = graph.node(
        "LabelEncoder",
        [inputs[PRODUCT]],
        op_domain="ai.onnx.ml",
        op_version=2,
        keys_strings=[str(code) for code in tables.products],
        values_int64s=np.arange(len(tables.products)),
        default_int64=len(tables.products),
    )
    hours = graph.look_up(LEVELS, tables.coefficients[:, :1], product)
    if tables.coefficients.shape[1] > 1:
        rises = graph.look_up(RISES, tables.coefficients[:, 1:], product)
        ramps = _add_ramps(graph, tables, product, inputs[ORDERS])
        hours = graph.node("Add", [hours, graph.sum_of_products(rises, ramps)])
    graph.node("Max", [hours, graph.table(np.zeros(1))], operator.outputs[0].full_name)


def _add_ramps(graph: "_Graph", tables: JoinedTables, product: str, orders_placed: str) -> str:
    """Write how far the orders are into each segment; the first and the last have no outer end."""
    lower = np.zeros(tables.starts.shape[1])
    lower[0] = -np.inf
    by_name = {STARTS: tables.starts, WIDTHS: tables.widths, UPPER: tables.upper}
    if len(tables.starts) == 1:
        starts, widths, upper = (graph.table(row[0], name) for name, row in by_name.items())
    else:
        week = graph.node("Gather", [graph.integers([*tables.week, 0], WEEK), product])
        starts, widths, upper = (
            graph.rows_of(graph.table(rows, name), week, len(lower))
            for name, rows in by_name.items()
        )
    # ramp = clip((orders - start) / width, lower, upper)
    ramps = graph.node("Div", [graph.node("Sub", [orders_placed, starts]), widths])
    return graph.node("Min", [graph.node("Max", [ramps, graph.table(lower)]), upper])


def curves_of(model: DispatchCurve, product_codes: Sequence[str]) -> CurveColumns | None:
    """Return a model as the plain curves that the service evaluates, None if it is not one of them.

    Args:
        model: a fitted regressor.
        product_codes: of the catalogue; one without a curve gets NaN.
    """
    if not isinstance(model, PerProductCurve):
        return None
    tables = join(model.tables)
    missing = np.full((1, tables.coefficients.shape[1]), np.nan)
    rows = pd.Index(tables.products).get_indexer(pd.Index(product_codes))
    coefficients = np.append(tables.coefficients, missing, axis=0)[rows]
    # A level alone is a curve with one segment that does not rise.
    if coefficients.shape[1] == 1:
        none = np.zeros((len(tables.starts), 1))
        tables = tables._replace(starts=none, widths=none + 1, upper=none)
        coefficients = np.pad(coefficients, [(0, 0), (0, 1)])
    last = np.isinf(tables.upper).argmax(axis=1)[:, None]
    is_segment = np.arange(tables.starts.shape[1]) <= last
    return CurveColumns(
        week=np.append(tables.week, 0)[rows].astype(np.int32),
        coefficients=coefficients.astype(np.float32),
        starts=np.where(is_segment, tables.starts, np.inf),
        widths=tables.widths,
    )


def read_tables(content: bytes) -> tuple[CurveTable, ...]:
    """Return the curves in an artifact; none if it holds another kind of regressor.

    Args:
        content: an ONNX model, which may have been written by other code than this.
    """
    graph = onnx.load_from_string(content).graph
    found = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    encoders = [node for node in graph.node if node.op_type == "LabelEncoder"]
    if LEVELS not in found or len(encoders) != 1:
        return ()
    (codes,) = (each.strings for each in encoders[0].attribute if each.name == "keys_strings")
    products = np.array([code.decode() for code in codes], dtype=object)
    names = (LEVELS, RISES) if RISES in found else (LEVELS,)
    coefficients = np.concatenate([found[name][:-1].astype(float) for name in names], axis=1)
    none = np.zeros((1, 0))
    return JoinedTables(
        products,
        found.get(WEEK, np.zeros(len(products) + 1))[:-1],
        coefficients,
        *(np.atleast_2d(found.get(name, none)) for name in (STARTS, WIDTHS, UPPER)),
    ).split()


class _Graph:
    """Adds nodes and tables to what skl2onnx is converting, and finds names for them."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def node(
        self, operation: str, inputs: list[str], output: str | None = None, **attributes: Any
    ) -> str:
        """Add a node and return the name of its output."""
        output = output or str(self._scope.get_unique_variable_name(operation))
        self._container.add_node(operation, inputs, [output], name=f"{output}_node", **attributes)
        return output

    def table(self, values: Floats, name: str = "constants") -> str:
        """Add constants in double precision and return their name."""
        return self._constants(TensorProto.DOUBLE, values, name)

    def integers(self, values: list[int], name: str = "constants") -> str:
        """Add integer constants and return their name."""
        return self._constants(TensorProto.INT64, np.array(values), name)

    def sum_of_products(self, left: str, right: str) -> str:
        """Add the sum of left · right over the columns."""
        products = self.node("Mul", [left, right])
        columns = self.integers([1])
        return self.node("ReduceSum", [products, columns], op_version=13, keepdims=1)

    def look_up(self, name: str, rows: Floats, product: str) -> str:
        """Add a table with a row for each product, and look the product's row up."""
        with_unknown = np.append(rows, np.full((1, rows.shape[1]), np.nan), axis=0)
        table = self._constants(TensorProto.FLOAT, with_unknown.astype(np.float32), name)
        found = self.rows_of(table, product, rows.shape[1])
        return self.node("Cast", [found], to=TensorProto.DOUBLE)

    def rows_of(self, table: str, positions: str, columns: int) -> str:
        """Look up the rows of a table that has so many columns."""
        shape = self.integers([-1, columns])
        return self.node("Reshape", [self.node("Gather", [table, positions]), shape])

    def _constants(self, kind: int, values: Any, name: str) -> str:
        unique_name = str(self._scope.get_unique_variable_name(name))
        self._container.add_initializer(unique_name, kind, values.shape, values)
        return unique_name
