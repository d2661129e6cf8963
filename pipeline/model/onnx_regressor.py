"""The ONNX graph of an artifact, in this process: estimates for regressors without curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.model.arrays import Floats
from pipeline.model.artifact import HOURS_OUTPUT
from pipeline.model.order import OPTIONAL, PRODUCT, number_or_nan
from pipeline.model.product_codes import Positions
from pipeline.model.regressor import OrderColumns


class OnnxRegressor:
    """Asks an ONNX session for estimates; a `Regressor`."""

    def __init__(self, graph: bytes, product_codes: Sequence[str]) -> None:
        """Open a session; the runtime is loaded only now, since most processes never need it.

        Args:
            graph: an ONNX file that was made here, or passed a trial (see `graph_trial`).
            product_codes: of the catalogue, under which the graph knows the products.
        """
        from pipeline.model.onnx_session import open_session

        self._session = open_session(graph)
        self._codes = product_codes
        self._inputs = [tensor.name for tensor in self._session.get_inputs()]

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
