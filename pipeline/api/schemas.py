"""What the service is asked and what it answers, as JSON: the schemas of both API versions.

v0.1 is frozen: its answer to a prediction has exactly two keys, for ever. v0.2 takes the same
request, adds how far off the estimate may be, and takes many orders at once.
"""

from typing import Any

from pydantic import BaseModel, Field

from pipeline.model.metadata import ModelMetadata
from pipeline.model.order import Order

MAX_ORDERS_IN_BATCH = 10_000


class TimeToDispatchRequest(Order):
    """One order that a customer thinks about."""


class TimeToDispatchAnswer(BaseModel):
    """How long the order will take, and who says so."""

    est_hours_to_dispatch: float = Field(
        description="hours until dispatch, to two decimals", examples=[8.28]
    )
    model_version: str = Field(description="name of the model's artifact")


class DispatchInterval(BaseModel):
    """Between which hours the order is likely to be dispatched."""

    level: float = Field(
        description="share of orders that are dispatched within such an interval", examples=[0.9]
    )
    lower_hours: float = Field(description="lower bound in hours, to two decimals", examples=[6.95])
    upper_hours: float = Field(description="upper bound in hours, to two decimals", examples=[9.61])


class OrderEstimate(BaseModel):
    """How long an order will take, and how sure that is."""

    est_hours_to_dispatch: float = Field(
        description="hours until dispatch, to two decimals", examples=[8.28]
    )
    interval: DispatchInterval
    extrapolated: bool = Field(
        description="whether the model saw only higher or only lower orders_placed of this product",
        examples=[False],
    )


class TimeToDispatchAnswerWithInterval(OrderEstimate):
    """How long the order will take, how sure that is, and who says so."""

    model_version: str = Field(description="name of the model's artifact")


class OrderBatch(BaseModel):
    """Many orders at once.

    A bad order is reported in its place, so that it does not cost the others their answers;
    that is why the schema says so little of them.
    """

    orders: list[Any] = Field(
        min_length=1,
        max_length=MAX_ORDERS_IN_BATCH,
        description="objects like the body of a single prediction",
        examples=[[{"product_code": "SKU001", "orders_placed": 112}]],
    )


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    type: str = Field(description="a word for programs", examples=["unknown_product"])
    detail: str = Field(description="a sentence for people")
    pointer: str | None = Field(
        default=None,
        description="JSON Pointer to what is wrong in the body, as a URI fragment",
        examples=["#/product_code"],
    )
    parameter: str | None = Field(
        default=None, description="name of the parameter in the URL that is wrong"
    )


class OrderRefusal(BaseModel):
    """What is wrong with one order of a batch."""

    errors: list[Fault]


class BatchAnswer(BaseModel):
    """The answers to the orders of a batch, in the same order."""

    model_version: str = Field(description="name of the model's artifact")
    predictions: list[OrderEstimate | OrderRefusal] = Field(
        description="one for each order: an estimate, or what is wrong with the order"
    )


class ModelAnswer(BaseModel):
    """The model that is served."""

    model_version: str
    lineage: ModelMetadata


class ProductCurve(BaseModel):
    """Estimates along the orders placed: lists of equal length."""

    orders_placed: list[float]
    est_hours_to_dispatch: list[float]
    lower_hours: list[float]
    upper_hours: list[float]


class ProductAnswer(BaseModel):
    """A product that the model knows, the range seen of it, and its curve over that range."""

    product_code: str
    rows: int = Field(description="rows of the product in the model's dataset")
    least_orders: float = Field(description="fewest orders placed seen with the product")
    most_orders: float = Field(description="most orders placed seen with the product")
    curve: ProductCurve


class ProductsAnswer(BaseModel):
    """Products that the model knows, by code."""

    model_version: str
    interval_level: float = Field(description="share of orders within the bounds of the curves")
    products: list[ProductAnswer]
    next_after: str | None = Field(
        description="ask again with this as `after` for the products that follow; null at the end"
    )


class LivenessAnswer(BaseModel):
    """State of the process, and the code that it runs."""

    status: str = Field(examples=["ok"])
    git_commit: str | None = Field(
        description="commit of the code, if the deployment named it", examples=["5210017"]
    )


class HealthAnswer(BaseModel):
    """State of the service."""

    status: str = Field(examples=["ready"])


class ErrorAnswer(BaseModel):
    """What is wrong with a request as a whole, in v0.1."""

    detail: str


class Problem(BaseModel):
    """What is wrong with a request, in v0.2: a problem document of RFC 9457."""

    type: str = Field(
        description="always about:blank, since the status says it", examples=["about:blank"]
    )
    title: str = Field(description="the status in words", examples=["Unprocessable Entity"])
    status: int = Field(description="the HTTP status", examples=[422])
    detail: str = Field(description="what is wrong and what to do")
    errors: list[Fault] = Field(default=[], description="each thing that is wrong with the input")
