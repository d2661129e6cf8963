"""What a model answers to many orders at once, as the bytes of JSON.

A batch is worked on in slices, and other requests get their turns between two of them.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from pipeline.api_errors import PydanticFault, faults_of, unknown_product
from pipeline.api_schemas import TimeToDispatchRequest
from pipeline.artifact_reader import DispatchModel
from pipeline.model_answers import rounded
from pipeline.service_metrics import ServiceMetrics

SLICE_ORDERS = 250
"""About a millisecond of work."""

NO_ORDER = {
    "type": "dict_type",
    "loc": (),
    "msg": "An order should be an object with product_code and orders_placed",
}
CHECK_ORDER = TimeToDispatchRequest.__pydantic_validator__.validate_python


async def answer_batch(
    model: DispatchModel, orders: Sequence[Any], metrics: ServiceMetrics
) -> bytes:
    """Return a `BatchAnswer`: an estimate or a refusal for each order, in the same order.

    Args:
        model: what to ask.
        orders: what came as JSON: objects like `TimeToDispatchRequest`, or anything else.
        metrics: count what was estimated and what was refused.
    """
    parts = []
    for start in range(0, len(orders), SLICE_ORDERS):
        if start:
            await asyncio.sleep(0)
        answers = _answer_slice(model, orders[start : start + SLICE_ORDERS], start, metrics)
        parts.append(to_json(answers)[1:-1])
    version = to_json(model.version)
    return b'{"model_version":%b,"predictions":[%b]}' % (version, b",".join(parts))


def _answer_slice(
    model: DispatchModel, orders: Sequence[Any], start: int, metrics: ServiceMetrics
) -> list[dict[str, Any]]:
    """Return the answers to orders of which the first has the index `start` in its batch."""
    answers: dict[int, dict[str, Any]] = {}
    good: dict[int, TimeToDispatchRequest] = {}
    for index, order in enumerate(orders, start):
        checked = _check(model, order)
        if isinstance(checked, TimeToDispatchRequest):
            good[index] = checked
        else:
            answers[index] = _refusal(index, checked, metrics)
    answers.update(zip(good, _estimates(model, list(good.values()), metrics)))
    return [answers[index] for index in range(start, start + len(orders))]


def _check(model: DispatchModel, order: Any) -> TimeToDispatchRequest | list[PydanticFault]:
    """Return an order if it is good, else what is wrong with it."""
    if not isinstance(order, dict):
        return [NO_ORDER]
    try:
        checked: TimeToDispatchRequest = CHECK_ORDER(order)
    except ValidationError as error:
        return list(error.errors(include_url=False))
    if checked.product_code in model.products:
        return checked
    return [unknown_product(checked.product_code, model.lineage.catalogue.product_code)]


def _refusal(
    index: int, faults: Sequence[PydanticFault], metrics: ServiceMetrics
) -> dict[str, Any]:
    """Return like `OrderRefusal` what is wrong with the order at an index of the batch."""
    for fault in faults:
        metrics.count_refusal(fault["type"])
    placed = [{**fault, "loc": ("body", "orders", index, *fault["loc"])} for fault in faults]
    return {"errors": [fault.model_dump(exclude_none=True) for fault in faults_of(placed)]}


def _estimates(
    model: DispatchModel, orders: Sequence[TimeToDispatchRequest], metrics: ServiceMetrics
) -> list[dict[str, Any]]:
    """Return like `OrderEstimate` what the model says to good orders, in the same order."""
    if not orders:
        return []
    codes = [order.product_code for order in orders]
    counts = [order.orders_placed for order in orders]
    hours = model.estimate(codes, counts)
    lower, upper = model.bounds(codes, hours)
    extrapolated = model.extrapolated(codes, counts)
    metrics.count_predictions(Counter(codes), int(extrapolated.sum()))
    level = model.lineage.interval.level
    columns = (rounded(hours), rounded(lower), rounded(upper), extrapolated.tolist())
    return [
        {
            "est_hours_to_dispatch": estimate,
            "interval": {"level": level, "lower_hours": least, "upper_hours": most},
            "extrapolated": outside,
        }
        for estimate, least, most, outside in zip(*columns)
    ]
