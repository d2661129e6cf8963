"""What a model asks for estimates: its curves as plain tables, or an ONNX session."""

from collections.abc import Mapping
from typing import Any, Protocol

from pipeline.model.arrays import Floats
from pipeline.model.product_codes import Positions


class OrderColumns(Protocol):
    """The fields of orders as columns of equal length: a dictionary or a data frame."""

    def get(self, name: str, /) -> Any:
        """Return a column, or None where an optional field is missing."""


class Regressor(Protocol):
    """Gives estimates for products of the catalogue; alone and among others an order gets the same.

    The products are told by their positions, since the codes of orders may be written otherwise.
    """

    def hours(self, positions: Positions, orders: OrderColumns) -> Floats:
        """Return the estimated hours to dispatch of orders, shape (n_rows,).

        Args:
            positions: of the products of the orders, shape (n_rows,).
            orders: their other fields.
        """

    def hours_of_one(self, position: int, order: Mapping[str, Any]) -> float:
        """Return the estimated hours to dispatch of one order."""
