"""The ONNX graph of an artifact: estimates for regressors without curves, and a check of curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from pipeline.model.arrays import Floats
from pipeline.model.artifact import HOURS_OUTPUT
from pipeline.model.order import FEATURES, OPTIONAL, PRODUCT, number_or_nan
from pipeline.model.product_codes import Positions
from pipeline.model.regressor import OrderColumns
from pipeline.stages.errors import ArtifactError


class OnnxRegressor:
    """Asks an ONNX session for estimates; a `Regressor`."""

    def __init__(self, session: onnxruntime.InferenceSession, product_codes: Sequence[str]) -> None:
        """Take a session, and the codes of the catalogue, under which it knows the products."""
        self._session = session
        self._codes = product_codes
        self._inputs = [tensor.name for tensor in session.get_inputs()]

    def hours(self, positions: Positions, orders: OrderColumns) -> Floats:
        """See `Regressor.hours`."""
        codes = [self._codes[position] for position in positions.tolist()]
        if not len(positions):
            return np.zeros(0)  # a graph that reshapes cannot do that
        inputs = {name: _input(name, orders, codes) for name in self._inputs}
        (hours,) = self._session.run([HOURS_OUTPUT], inputs)
        return np.array(hours, dtype=np.float64).ravel()

    def hours_of_one(self, position: int, order: Mapping[str, Any]) -> float:
        """See `Regressor.hours_of_one`."""
        columns = {name: [value] for name, value in order.items()}
        return float(self.hours(np.array([position]), columns)[0])


def open_session(key: str, content: bytes) -> onnxruntime.InferenceSession:
    """Return a session of an artifact, with the inputs and the output that ours have.

    Raises:
        ArtifactError: it is none of ours.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no class of their own in common
        raise ArtifactError(f"The model {key} is not an ONNX model: {reason(error)}") from error
    names = {tensor.name for tensor in (*session.get_inputs(), *session.get_outputs())}
    if names.union(OPTIONAL) != {*FEATURES, HOURS_OUTPUT}:
        raise ArtifactError(
            f"The model {key} is of another kind: its inputs and outputs are "
            f"{', '.join(sorted(names))}."
        )
    return session


def reason(error: Exception) -> str:
    """Return the first line of an error's message, for our own in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _input(name: str, orders: OrderColumns, codes: Sequence[str]) -> npt.NDArray[Any]:
    """Return a field of orders in the form that the artifact takes."""
    if name == PRODUCT:
        return np.array(codes, dtype=object).reshape(-1, 1)
    column = orders.get(name)
    if column is None:
        return np.full((len(codes), 1), np.nan)
    if name in OPTIONAL:
        column = [number_or_nan(value) for value in column]
    return np.asarray(column, dtype=np.float64).reshape(-1, 1)
