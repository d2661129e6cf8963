"""What a model answers to many orders at once, as the bytes of JSON.

A batch is worked on in slices, and other requests get their turns between two of them.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError
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
CHECK_ORDERS = TypeAdapter(list[TimeToDispatchRequest]).validator.validate_python


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
    faults = _faults(model, orders)
    good = [order for position, order in enumerate(orders) if position not in faults]
    estimates = iter(_estimates(model, good, metrics))
    return [
        _refusal(start + position, faults[position], metrics)
        if position in faults
        else next(estimates)
        for position in range(len(orders))
    ]


def _faults(model: DispatchModel, orders: Sequence[Any]) -> dict[int, list[PydanticFault]]:
    """Return what is wrong with orders, by their positions; the others are good."""
    faults: dict[int, list[PydanticFault]] = {}
    try:
        CHECK_ORDERS(orders)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            position, *place = fault["loc"]
            told = NO_ORDER if fault["type"] == "model_type" else {**fault, "loc": tuple(place)}
            faults.setdefault(int(position), []).append(told)
    known = model.products
    for position, order in enumerate(orders):
        if position not in faults and order["product_code"] not in known:
            codes = model.lineage.catalogue.product_code
            faults[position] = [unknown_product(order["product_code"], codes)]
    return faults


def _refusal(
    index: int, faults: Sequence[PydanticFault], metrics: ServiceMetrics
) -> dict[str, Any]:
    """Return like `OrderRefusal` what is wrong with the order at an index of the batch."""
    for fault in faults:
        metrics.count_refusal(fault["type"])
    placed = [{**fault, "loc": ("body", "orders", index, *fault["loc"])} for fault in faults]
    return {"errors": [fault.model_dump(exclude_none=True) for fault in faults_of(placed)]}


def _estimates(
    model: DispatchModel, orders: Sequence[dict[str, Any]], metrics: ServiceMetrics
) -> list[dict[str, Any]]:
    """Return like `OrderEstimate` what the model says to good orders, in the same order."""
    if not orders:
        return []
    codes = [order["product_code"] for order in orders]
    counts = [order["orders_placed"] for order in orders]
    predicted = model.predict(codes, counts)
    metrics.count_predictions(Counter(codes), int(predicted.extrapolated.sum()))
    level = model.lineage.interval.level
    hours, lower, upper = (rounded(column) for column in predicted[:3])
    return [
        {
            "est_hours_to_dispatch": estimate,
            "interval": {"level": level, "lower_hours": least, "upper_hours": most},
            "extrapolated": outside,
        }
        for estimate, least, most, outside in zip(
            hours, lower, upper, predicted.extrapolated.tolist()
        )
    ]
