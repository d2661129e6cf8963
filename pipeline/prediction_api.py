"""The HTTP interface of the service: requests, answers, routes and what clients' mistakes get.

v0.1 is frozen: its answer to a prediction has exactly two keys, for ever. v0.2 takes the same
request and adds how far off the estimate may be.
"""

import json
import reprlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from pipeline.artifact_reader import DispatchModel
from pipeline.model_lineage import Floats, Lineage
from pipeline.order_limits import MOST_ORDERS
from pipeline.stage_errors import PipelineError

API_VERSION = "0.2"
"""The newest version that is served; the older ones stay."""
MAX_BODY_BYTES = 1024 * 1024
DECIMALS = 2
LONGEST_INPUT_IN_ERROR = 200
LONGEST_INTEGER_IN_ERROR = 64  # bits


class TimeToDispatchRequest(BaseModel):
    """One order that a customer thinks about."""

    product_code: str = Field(description="a product that the model knows", examples=["SKU001"])
    orders_placed: float = Field(
        strict=True,
        ge=0,
        le=MOST_ORDERS,
        allow_inf_nan=False,
        description="orders placed already on the same day; may be a fraction",
        examples=[112],
    )


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


class TimeToDispatchAnswerWithInterval(BaseModel):
    """How long the order will take, how sure that is, and who says so."""

    est_hours_to_dispatch: float = Field(
        description="hours until dispatch, to two decimals", examples=[8.28]
    )
    interval: DispatchInterval
    extrapolated: bool = Field(
        description="whether the model saw only higher or only lower orders_placed of this product",
        examples=[False],
    )
    model_version: str = Field(description="name of the model's artifact")


class ModelAnswer(BaseModel):
    """The model that is served."""

    model_version: str
    lineage: Lineage


class HealthAnswer(BaseModel):
    """State of the process or of the service."""

    status: str = Field(examples=["ok"])


class ErrorAnswer(BaseModel):
    """What is wrong with a request as a whole."""

    detail: str


async def served_model(request: Request) -> DispatchModel:
    """Return the model that answers this request."""
    model: DispatchModel = request.app.model()
    return model


ServedModel = Annotated[DispatchModel, Depends(served_model)]

router = APIRouter()

NO_MODEL: dict[int | str, dict[str, Any]] = {503: {"model": ErrorAnswer}}
BAD_BODY: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer},
    413: {"model": ErrorAnswer},
}


@router.post("/api/v0.1/time_to_dispatch", responses=BAD_BODY | NO_MODEL)
async def time_to_dispatch(
    order: TimeToDispatchRequest, model: ServedModel
) -> TimeToDispatchAnswer:
    """Estimate how many hours an order will take to be dispatched."""
    (hours,) = _estimate(order, model)
    return TimeToDispatchAnswer(est_hours_to_dispatch=_rounded(hours), model_version=model.version)


@router.post("/api/v0.2/time_to_dispatch", responses=BAD_BODY | NO_MODEL)
async def time_to_dispatch_with_interval(
    order: TimeToDispatchRequest, model: ServedModel
) -> TimeToDispatchAnswerWithInterval:
    """Estimate how many hours an order will take to be dispatched, and how far off that may be."""
    estimates = _estimate(order, model)
    (lower,), (upper,) = model.bounds([order.product_code], estimates)
    return TimeToDispatchAnswerWithInterval(
        est_hours_to_dispatch=_rounded(estimates[0]),
        interval=DispatchInterval(
            level=model.lineage.interval.level,
            lower_hours=_rounded(lower),
            upper_hours=_rounded(upper),
        ),
        extrapolated=model.is_extrapolated(order.product_code, order.orders_placed),
        model_version=model.version,
    )


def _estimate(order: TimeToDispatchRequest, model: DispatchModel) -> Floats:
    """Return the estimated hours of one order, shape (1,).

    Raises:
        RequestValidationError: the model does not know the product.
    """
    if order.product_code not in model.products:
        raise RequestValidationError([_unknown_product(order.product_code, model)])
    return model.estimate([order.product_code], [order.orders_placed])


def _rounded(hours: float) -> float:
    """Return hours as they are answered; rounding keeps an estimate within its bounds."""
    return round(float(hours), DECIMALS)


@router.get("/api/v0.1/model", responses=NO_MODEL)
async def model(model: ServedModel) -> ModelAnswer:
    """Tell which model is served, and where it comes from."""
    return ModelAnswer(model_version=model.version, lineage=model.lineage)


@router.get("/healthz")
async def healthz() -> HealthAnswer:
    """Tell that the process is alive."""
    return HealthAnswer(status="ok")


@router.get("/readyz", responses={503: {"model": HealthAnswer}})
async def readyz(request: Request, response: Response) -> HealthAnswer:
    """Tell whether the service can predict."""
    if request.app.is_ready:
        return HealthAnswer(status="ready")
    response.status_code = 503
    return HealthAnswer(status="no model is loaded")


def install_error_handlers(app: FastAPI) -> None:
    """Make every mistake of a client a 4xx with a JSON body, and a missing model a 503."""
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(PipelineError, _answer_no_model)


async def _answer_invalid_request(request: Request, error: Exception) -> Response:
    """Answer 422 in FastAPI's form, whatever the client sent.

    FastAPI's own handler repeats the input as JSON, which fails on NaN, infinities and lone
    surrogates, and would repeat a megabyte.
    """
    assert isinstance(error, RequestValidationError)
    faults = [_NOT_SENT_AS_JSON] if isinstance(error.body, bytes) else error.errors()
    details = [_printable(fault) for fault in faults]
    return Response(json.dumps({"detail": details}), 422, media_type="application/json")


_NOT_SENT_AS_JSON = {
    "type": "json_expected",
    "loc": ("body",),
    "msg": "The body should be JSON, sent with the header Content-Type: application/json",
}


async def _answer_no_model(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 503)


def _printable(fault: dict[str, Any]) -> dict[str, Any]:
    """Return type, location, message and input of a fault, the input cut to what JSON can carry.

    Strict readers of JSON refuse lone surrogates even where they are escaped.
    """
    given = fault.get("input")
    is_short_integer = isinstance(given, int) and given.bit_length() <= LONGEST_INTEGER_IN_ERROR
    if isinstance(given, str):
        given = given[:LONGEST_INPUT_IN_ERROR].encode(errors="backslashreplace").decode()
    elif given is not None and not is_short_integer:
        given = reprlib.repr(given)
    context = {
        name: value if isinstance(value, (int, float)) else str(value)
        for name, value in fault.get("ctx", {}).items()
    }
    printable = {name: fault[name] for name in ("type", "loc", "msg")} | {"input": given}
    return printable | ({"ctx": context} if context else {})


def _unknown_product(product_code: str, model: DispatchModel) -> dict[str, Any]:
    """Return the fault of asking for a product that was not in the model's dataset."""
    known = model.lineage.catalogue.product_code
    shown = ", ".join(map(reprlib.repr, known[:5])) + (", …" if len(known) > 5 else "")
    return {
        "type": "unknown_product",
        "loc": ("body", "product_code"),
        "msg": f"This product is not among the {len(known):,} that the model knows: {shown}",
        "input": product_code,
    }
