"""How our own regressor is written in ONNX; skl2onnx knows scikit-learn's.

A curve becomes a look-up of the product's row in tables of coefficients, which are stored in
single precision, and a sum of ramps in double precision: each ramp goes from 0 to 1 over one
segment of the curve, and the product's rise over the segment is its weight. An unknown product
gets NaN, never another product's estimate.
"""

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType

from pipeline.curves.estimator import PerProductCurve
from pipeline.model.arrays import Floats
from pipeline.model.order import FEATURES, ORDERS, PRODUCT


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
    graph = _Graph(scope, container)
    product = graph.node(
        "LabelEncoder",
        [inputs[PRODUCT]],
        op_domain="ai.onnx.ml",
        op_version=2,
        keys_strings=[str(code) for code in curve.products_],
        values_int64s=np.arange(len(curve.products_)),
        default_int64=len(curve.products_),
    )
    hours = graph.look_up(curve.coefficients_[:, :1], product)
    if len(curve.knots_) > 1:
        rises = graph.look_up(curve.coefficients_[:, 1:], product)
        ramps = _add_ramps(graph, curve.knots_, inputs[ORDERS])
        hours = graph.node("Add", [hours, graph.sum_of_products(rises, ramps)])
    graph.node("Max", [hours, graph.table(np.zeros(1))], operator.outputs[0].full_name)


def _add_ramps(graph: "_Graph", knots: Floats, orders_placed: str) -> str:
    """Write how far the orders are into each segment; the first and the last have no outer end."""
    # ramp = clip((orders - kⱼ₋₁) / (kⱼ - kⱼ₋₁), 0, 1)
    segments = len(knots) - 1
    lower, upper = np.zeros(segments), np.ones(segments)
    lower[0], upper[-1] = -np.inf, np.inf
    from_start = graph.node("Sub", [orders_placed, graph.table(knots[:-1])])
    ramps = graph.node("Div", [from_start, graph.table(np.diff(knots))])
    from_zero = graph.node("Max", [ramps, graph.table(lower)])
    return graph.node("Min", [from_zero, graph.table(upper)])


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

    def table(self, values: Floats) -> str:
        """Add constants in double precision and return their name."""
        return self._constants(TensorProto.DOUBLE, values)

    def integers(self, values: list[int]) -> str:
        """Add integer constants and return their name."""
        return self._constants(TensorProto.INT64, np.array(values))

    def sum_of_products(self, left: str, right: str) -> str:
        """Add the sum of left · right over the columns."""
        products = self.node("Mul", [left, right])
        columns = self.integers([1])
        return self.node("ReduceSum", [products, columns], op_version=13, keepdims=1)

    def look_up(self, rows: Floats, product: str) -> str:
        """Add a table with a row for each product, and look the product's row up."""
        with_unknown = np.append(rows, np.full((1, rows.shape[1]), np.nan), axis=0)
        table = self._constants(TensorProto.FLOAT, with_unknown.astype(np.float32))
        columns = self.integers([-1, rows.shape[1]])
        found = self.node("Reshape", [self.node("Gather", [table, product]), columns])
        return self.node("Cast", [found], to=TensorProto.DOUBLE)

    def _constants(self, kind: int, values: Any) -> str:
        name = str(self._scope.get_unique_variable_name("constants"))
        self._container.add_initializer(name, kind, values.shape, values)
        return name
