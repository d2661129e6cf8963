"""The routes of the predictions, in both versions of the API."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError

from pipeline.api.answers import UnknownProduct
from pipeline.api.batch_schemas import Batch, BatchAnswer, ColumnsAnswer
from pipeline.api.batches import answer_batch
from pipeline.api.schemas import (
    TimeToDispatchAnswer,
    TimeToDispatchAnswerWithInterval,
    TimeToDispatchRequest,
)
from pipeline.api.service import DispatchService
from pipeline.api.unknown_products import UnknownProducts
from pipeline.model.order import BaseOrder, Order

ESTIMATE = "/api/v0.1/time_to_dispatch"
ESTIMATE_WITH_INTERVAL = "/api/v0.2/time_to_dispatch"
ESTIMATE_BATCH = "/api/v0.2/time_to_dispatch/batch"

router = APIRouter(tags=["predictions"])


async def service_of(request: Request) -> DispatchService:
    """Return the service that answers this request."""
    service: DispatchService = request.app.state.service
    return service


Service = Annotated[DispatchService, Depends(service_of)]


@router.post(ESTIMATE, response_model=TimeToDispatchAnswer)
async def estimate(order: TimeToDispatchRequest, service: Service) -> Response:
    """Estimate the hours to dispatch of an order."""
    return _answer(service, order, with_interval=False)


@router.post(ESTIMATE_WITH_INTERVAL, response_model=TimeToDispatchAnswerWithInterval)
async def estimate_with_interval(order: Order, service: Service) -> Response:
    """Estimate the hours to dispatch of an order, with a prediction interval."""
    return _answer(service, order, with_interval=True)


@router.post(ESTIMATE_BATCH, response_model=BatchAnswer | ColumnsAnswer)
async def estimate_batch(batch: Batch, service: Service) -> Response:
    """Estimate the hours to dispatch of 1 to 10,000 orders, or of 100,000 in columns, in 8 MiB.

    The answers come in the sequence of the orders, in columns if the orders did. An order that is
    not valid gets its errors, and the others get their estimates.
    """
    content = await answer_batch(service.answers(), batch, service.metrics)
    return Response(content, media_type="application/json")


def _answer(service: DispatchService, order: BaseOrder, with_interval: bool) -> Response:
    """Return the answer to one order.

    Raises:
        RequestValidationError: the model does not know the product.
    """
    answers = service.answers()
    try:
        answer = answers.answer_order(order, with_interval)
    except UnknownProduct as error:
        fault = UnknownProducts(answers.model).fault(order.product_code)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])}]) from error
    service.metrics.count_prediction(answer.label, answer.extrapolated)
    return Response(answer.content, media_type="application/json")
