"""What the service is asked and what it answers, as JSON: the schemas of both API versions.

v0.1 is frozen: a request for a prediction has exactly two fields, and the answer two keys. v0.2
takes an `Order` with all its fields, and adds a prediction interval; `batch_schemas` has its
batches.
"""

from datetime import datetime

from pydantic import BaseModel, Field

from pipeline.model.metadata import DOUBTS, ModelMetadata
from pipeline.model.order import ORDERS, PRODUCT, BaseOrder
from pipeline.model.past_trainings import MAX_TRAININGS, Training


class TimeToDispatchRequest(BaseOrder):
    """An order to estimate, in v0.1."""


class TimeToDispatchAnswer(BaseModel):
    """The estimated hours to dispatch of an order, and the model version."""

    est_hours_to_dispatch: float = Field(
        description="estimated hours to dispatch, to two decimals", examples=[8.28]
    )
    model_version: str = Field(description="model version: the name of the model's artifact")


class DispatchInterval(BaseModel):
    """The prediction interval of an estimate."""

    level: float | None = Field(
        description="share of orders that are dispatched within their interval; null where the "
        "order is extrapolated: there the interval widens with the distance from the range seen, "
        "and nothing is promised of it",
        examples=[0.9],
    )
    lower_hours: float = Field(description="lower bound in hours, to two decimals", examples=[6.95])
    upper_hours: float = Field(description="upper bound in hours, to two decimals", examples=[9.61])


class DispatchedWithin(BaseModel):
    """What a customer can be told: the hours within which nearly all such orders are dispatched."""

    share: float = Field(
        description="share of such orders that are dispatched within the hours: (1 + level) / 2",
        examples=[0.95],
    )
    hours: float = Field(
        description="the upper bound of the interval in hours, to two decimals", examples=[9.61]
    )


class OrderEstimate(BaseModel):
    """The estimated hours to dispatch of an order, with a prediction interval."""

    est_hours_to_dispatch: float = Field(
        description="estimated hours to dispatch, to two decimals: typical hours, so that half of "
        "such orders take less, or what they take on average, if `estimate` in the model's "
        "metadata is mean",
        examples=[8.28],
    )
    interval: DispatchInterval
    dispatched_within: DispatchedWithin | None = Field(
        description="within how many hours nearly all such orders are dispatched; null where the "
        "order is extrapolated, since nothing is known of how many are"
    )
    extrapolated: bool = Field(
        description=f"whether {ORDERS} is outside the range that the model saw of this product",
        examples=[False],
    )
    curve_from: datetime = Field(
        description="when the orders were delivered that the curve of the product was fitted to; "
        "older than the model's dataset if there were none of the product since",
        examples=["2026-11-20T23:00:00Z"],
    )
    trusted: bool = Field(
        description="false if there is reason to doubt the estimates of the product, which its "
        "`doubts` in the list of products name: tell customers the interval, or nothing",
        examples=[True],
    )


class TimeToDispatchAnswerWithInterval(OrderEstimate):
    """The estimate for an order, with a prediction interval, and the model version."""

    model_version: str = Field(description="model version: the name of the model's artifact")


class Fault(BaseModel):
    """One error in the input."""

    type: str = Field(description="kind of error, for programs", examples=["unknown_product"])
    detail: str = Field(description="the field and what is wrong with it, in words, for people")
    pointer: str | None = Field(
        default=None,
        description="JSON Pointer to what is wrong in the body, as a URI fragment",
        examples=[f"#/{PRODUCT}"],
    )
    parameter: str | None = Field(
        default=None, description="name of the parameter in the URL that is wrong"
    )


class ModelAnswer(BaseModel):
    """The model that is served."""

    model_version: str
    products: int = Field(
        description="number of products that it knows, which `GET /api/v0.2/products` lists"
    )
    lineage: ModelMetadata
    cut: dict[str, int] = Field(
        description="the lists in `lineage` of which only the start is shown, by their place, with "
        "their full lengths; each product's own remarks are in `GET /api/v0.2/products`",
        examples=[{"remarks.few_rows": 31_415}],
    )


class ProductCurve(BaseModel):
    """Estimates along the orders placed: lists of equal length."""

    orders_placed: list[float]
    est_hours_to_dispatch: list[float]
    lower_hours: list[float]
    upper_hours: list[float]


class ProductAnswer(BaseModel):
    """A product that the model knows, the range seen of it, and its curve over that range."""

    product_code: str
    curve_from: datetime = Field(
        description="when the orders were delivered that its curve was fitted to; older than the "
        "model's dataset if there were none of the product since"
    )
    trusted: bool = Field(description="whether there is no reason to doubt its estimates")
    doubts: list[str] = Field(
        description="the reasons if there are any, as the model's remarks name them: "
        + ", ".join(f"`{remark}`" for remark in DOUBTS)
    )
    remarks: list[str] = Field(
        description="all remarks of the model on it, doubts included, by the names that they have "
        "in the model's metadata, such as `few_rows` or `flat`"
    )
    rows: int = Field(description="rows of the product in that dataset")
    least_orders: float = Field(description="fewest orders placed seen with the product")
    most_orders: float = Field(description="most orders placed seen with the product")
    curve: ProductCurve | None = Field(description="null if `curves` is false")


class ProductCurveAnswer(ProductAnswer):
    """A product with its curve, and the model that knows it."""

    curve: ProductCurve
    model_version: str
    interval_level: float = Field(description="share of orders within the bounds of the curve")


class ProductsAnswer(BaseModel):
    """Products that the model knows, by code."""

    model_version: str
    interval_level: float = Field(description="share of orders within the bounds of the curves")
    products: list[ProductAnswer]
    next_after: str | None = Field(
        description="the value of `after` that gives the next page; null on the last page"
    )


class LivenessAnswer(BaseModel):
    """The state of the process, its code and its model."""

    status: str = Field(examples=["ok"])
    version: str | None = Field(
        description="version of the pipeline, if it is known", examples=["0.1.0"]
    )
    model_version: str | None = Field(description="of the model that is served, if there is one")
    git_commit: str | None = Field(
        description="commit of the code, if the deployment named it", examples=["5210017"]
    )


class HealthAnswer(BaseModel):
    """The state of the service."""

    status: str = Field(examples=["ready"])


class HistoryAnswer(BaseModel):
    """What became of the trainings of the store."""

    model_version: str = Field(description="the model that this service serves")
    usable_version: str | None = Field(
        description="the model that it would take now; null if there is none"
    )
    trainings: list[Training] = Field(description=f"the newest {MAX_TRAININGS}, the newest first")
    older: int = Field(description="how many older ones there are")


class ErrorAnswer(BaseModel):
    """An error of v0.1 that concerns the request as a whole."""

    detail: str


class Problem(BaseModel):
    """An error of v0.2: a problem document (RFC 9457)."""

    type: str = Field(
        description="always about:blank: the status tells the kind", examples=["about:blank"]
    )
    title: str = Field(description="the status in words", examples=["Unprocessable Entity"])
    status: int = Field(description="the HTTP status", examples=[422])
    detail: str = Field(description="what is wrong and what to do")
    errors: list[Fault] = Field(default=[], description="all errors in the input")
