"""What is known of an order before it is dispatched: the only place where its fields are declared.

The body of a request, the columns of the weekly CSV, the inputs of the artifact and the features of
the regressors all follow from `Order`. A field with a default is optional everywhere. Serving
imports this module, so it imports nothing but pydantic.
"""

from collections.abc import Mapping
from math import nan
from typing import Any

from pydantic import BaseModel, Field

PRODUCT = "product_code"
ORDERS = "orders_placed"
HOURS = "hours_to_dispatch"
"""The label, which only a dataset has."""

MAX_ORDERS_PLACED = 1_000_000
"""Orders placed on one day."""
MAX_HOURS_TO_DISPATCH = 100_000
"""Hours until an order is dispatched; more than eleven years."""

OrderKey = tuple[Any, ...]
"""The fields of an order in their order."""


class Order(BaseModel):
    """One order that a customer thinks about."""

    product_code: str = Field(description="a product that the model knows", examples=["SKU001"])
    orders_placed: float = Field(
        strict=True,
        ge=0,
        le=MAX_ORDERS_PLACED,
        allow_inf_nan=False,
        description="orders placed already on the same day; may be a fraction",
        examples=[112],
    )

    def key(self) -> OrderKey:
        """Return the order in the form in which answers are remembered."""
        return tuple(getattr(self, name) for name in FEATURES)


FEATURES = list(Order.model_fields)
NUMBERS = [name for name in FEATURES if name != PRODUCT]
OPTIONAL = [name for name in FEATURES if not Order.model_fields[name].is_required()]


def limits(name: str) -> tuple[float, float]:
    """Return the smallest and the largest number that a field may hold."""
    bounds: dict[str, float] = {}
    for rule in Order.model_fields[name].metadata:
        bounds |= {end: getattr(rule, end) for end in ("ge", "le") if hasattr(rule, end)}
    return bounds["ge"], bounds["le"]


def key_of(order: Mapping[str, Any]) -> OrderKey:
    """Return the key of an order that came as JSON and is valid."""
    return tuple(order.get(name) for name in FEATURES)


def number_or_nan(value: float | None) -> float:
    """Return what stands for a missing number among the features."""
    return nan if value is None else value
