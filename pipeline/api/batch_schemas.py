"""What the service is asked and what it answers about many orders at once, as JSON.

Each order is checked on its own: one that is not valid gets its errors, and the others get their
estimates. So these schemas accept anything in the place of an order or of one of its values.
"""

from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import Body
from pydantic import BaseModel, Field, PlainValidator, create_model, model_validator
from pydantic_core import PydanticCustomError

from pipeline.api.schemas import Fault, OrderEstimate
from pipeline.model.order import EXAMPLE, FEATURES, ORDERS, REQUIRED, Order

MAX_ORDERS_IN_BATCH = 10_000
MAX_ORDERS_IN_COLUMNS = 100_000


class OrderBatch(BaseModel):
    """Many orders at once, one by one.

    Each order is checked on its own: one that is not valid gets its errors in its place, and the
    others get their estimates. So this schema accepts anything in the list.
    """

    orders: list[Any] = Field(
        min_length=1,
        max_length=MAX_ORDERS_IN_BATCH,
        description="objects like the body of a single prediction",
        examples=[[EXAMPLE]],
    )


def _column(name: str) -> Any:
    """Return the declaration of the column with the values of a field."""
    field = Order.model_fields[name]
    values = Field(
        default=... if name in REQUIRED else None,
        min_length=1,
        max_length=MAX_ORDERS_IN_COLUMNS,
        description=f"of each order: {field.description}",
        examples=[field.examples],
    )
    return (list[Any] if name in REQUIRED else list[Any] | None), values


_ColumnsOfOrders: Any = create_model("_ColumnsOfOrders", **{n: _column(n) for n in FEATURES})


class ColumnBatch(_ColumnsOfOrders):
    """Many orders at once, in columns of equal length: one for each field of an order.

    Each order is checked on its own, as in `OrderBatch`, so this schema accepts anything in the
    lists. Columns of optional fields may be missing.
    """

    def columns(self) -> dict[str, list[Any]]:
        """Return the columns that there are."""
        return {name: column for name, column in self if column is not None}

    @model_validator(mode="after")
    def _of_equal_length(self) -> Self:
        """Refuse columns that differ in length, with their lengths."""
        lengths = {name: len(column) for name, column in self.columns().items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {length:,}" for name, length in lengths.items())
            words = "The columns should have equal lengths, but {lengths} values"
            raise PydanticCustomError("unequal_lengths", words, {"lengths": told})
        return self


def batch_of(content: Any) -> OrderBatch | ColumnBatch:
    """Return a batch in the form that it seems to have.

    Raises:
        ValidationError: it is none of that form.
    """
    fields = content if isinstance(content, dict) and "orders" not in content else {}
    has_columns = any(isinstance(fields.get(name), list) for name in FEATURES)
    form = ColumnBatch if has_columns else OrderBatch
    batch: OrderBatch | ColumnBatch = form.model_validate(content, from_attributes=True)
    return batch


Batch = Annotated[
    OrderBatch | ColumnBatch,
    PlainValidator(batch_of, json_schema_input_type=OrderBatch | ColumnBatch),
    Body(),
]
"""The body of a request: whichever of the two it seems to be, with that one's errors."""


class OrderRefusal(BaseModel):
    """The errors of an order of a batch that is not valid."""

    errors: list[Fault]


class BatchAnswer(BaseModel):
    """The answers to the orders of a batch, in the same order."""

    model_version: str = Field(description="model version: the name of the model's artifact")
    predictions: list[OrderEstimate | OrderRefusal] = Field(
        description="for each order its estimate or its errors"
    )


class OrderFault(Fault):
    """One error in an order of a batch in columns."""

    index: int = Field(description="place of the order in the columns, from 0")


class EstimateColumns(BaseModel):
    """Estimates in columns, in the order of the orders; null where an order is refused.

    They are what `OrderEstimate` says.
    """

    est_hours_to_dispatch: list[float | None] = Field(
        description="estimated hours to dispatch, to two decimals"
    )
    lower_hours: list[float | None] = Field(
        description="lower bounds of the prediction intervals in hours, to two decimals"
    )
    upper_hours: list[float | None] = Field(description="upper bounds")
    dispatched_within_hours: list[float | None] = Field(
        description="hours within which `dispatched_within_share` of such orders are dispatched; "
        "null where an order is extrapolated"
    )
    extrapolated: list[bool | None] = Field(
        description=f"whether {ORDERS} is outside the range that the model saw of the product"
    )
    curve_from: list[datetime | None] = Field(
        description="when the orders were delivered that the curve of the product was fitted to"
    )
    trusted: list[bool | None] = Field(
        description="false if there is reason to doubt the estimates of the product"
    )


class ColumnsAnswer(BaseModel):
    """The answers to the orders of a batch in columns."""

    model_version: str = Field(description="model version: the name of the model's artifact")
    interval_level: float = Field(
        description="share of orders that are dispatched within their interval, where they are "
        "not extrapolated"
    )
    dispatched_within_share: float = Field(
        description="share of orders that are dispatched within `dispatched_within_hours`"
    )
    predictions: EstimateColumns
    errors: list[OrderFault] = Field(description="what is wrong with the orders that are refused")
