"""How our own regressors are written in ONNX; skl2onnx knows scikit-learn's.

A curve becomes a look-up of the product's row in tables of coefficients, a multiply-add and a
maximum, all in double precision. An unknown product gets NaN, never another product's estimate.
"""

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType

from pipeline.dispatch_curves import Floats, PerProductLine


def register_converters() -> None:
    """Tell skl2onnx about our regressors; doing so again changes nothing."""
    update_registered_converter(
        PerProductLine, "TimeToDispatchPerProductLine", _set_output_shape, _convert_line
    )


def _set_output_shape(operator: Any) -> None:
    operator.outputs[0].type = DoubleTensorType([None, 1])


def _convert_line(scope: Any, operator: Any, container: Any) -> None:
    """Write hours = max(intercepts[product] + slopes[product] · orders, 0)."""
    line: PerProductLine = operator.raw_operator
    product_code, orders_placed = (variable.full_name for variable in operator.inputs)
    hours = operator.outputs[0].full_name

    def add_node(operation: str, inputs: list[str], **attributes: Any) -> str:
        result: str = scope.get_unique_variable_name(operation)
        container.add_node(operation, inputs, [result], name=f"{result}_node", **attributes)
        return result

    def add_table(name: str, values: Floats) -> str:
        table: str = scope.get_unique_variable_name(name)
        container.add_initializer(table, TensorProto.DOUBLE, values.shape, values)
        return table

    product = add_node(
        "LabelEncoder",
        [product_code],
        op_domain="ai.onnx.ml",
        op_version=2,
        keys_strings=[str(code) for code in line.products_],
        values_int64s=np.arange(len(line.products_)),
        default_int64=len(line.products_),
    )
    intercepts = add_table("intercepts", np.append(line.intercepts_, np.nan))
    slopes = add_table("slopes", np.append(line.slopes_, np.nan))
    rise = add_node("Mul", [add_node("Gather", [slopes, product]), orders_placed])
    level = add_node("Add", [add_node("Gather", [intercepts, product]), rise])
    zero = add_table("zero", np.zeros(1))
    container.add_node("Max", [level, zero], [hours], name=f"{hours}_node")
