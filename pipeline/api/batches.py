"""The answers of a model to many orders at once, as JSON.

A batch is worked on in slices, and other requests get their turns between two of them.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from pipeline.api.answers import ModelAnswers
from pipeline.api.faults import PydanticFault, faults_of
from pipeline.api.metrics import ServiceMetrics
from pipeline.api.unknown_products import UnknownProducts
from pipeline.model.order import FEATURES, PRODUCT, REQUIRED, Order
from pipeline.model.reader import DispatchModel

SLICE_ORDERS = 250
"""At most about a millisecond of work."""

NO_ORDER = {
    "type": "dict_type",
    "loc": (),
    "msg": f"An order should be an object with {' and '.join(REQUIRED)}",
}
CHECK_ORDERS = TypeAdapter(list[Order]).validator.validate_python


async def answer_batch(
    answers: ModelAnswers, orders: Sequence[Any], metrics: ServiceMetrics
) -> bytes:
    """Return a `BatchAnswer`: an estimate or a refusal for each order, in the same order.

    Args:
        answers: of the model to ask.
        orders: what came as JSON: objects like `Order`, or anything else.
        metrics: count what was estimated and what was refused.
    """
    parts: list[bytes] = []
    unknown = UnknownProducts(answers.model)
    for start in range(0, len(orders), SLICE_ORDERS):
        if start:
            await asyncio.sleep(0)
        part = orders[start : start + SLICE_ORDERS]
        faults = _faults(answers.model, part, unknown)
        parts += _answer_slice(answers, part, faults, start, metrics)
    version = to_json(answers.model.version)
    return b'{"model_version":%b,"predictions":[%b]}' % (version, b",".join(parts))


def _answer_slice(
    answers: ModelAnswers,
    orders: Sequence[Any],
    faults: Mapping[int, Sequence[PydanticFault]],
    start: int,
    metrics: ServiceMetrics,
) -> list[bytes]:
    """Return the answers to orders of which the first has the index `start` in its batch."""
    good = [order for position, order in enumerate(orders) if position not in faults]
    estimates = iter(_estimates(answers, good, metrics))
    return [
        _refusal(start + position, faults[position], metrics)
        if position in faults
        else next(estimates)
        for position in range(len(orders))
    ]


def _faults(
    model: DispatchModel, orders: Sequence[Any], unknown: UnknownProducts
) -> dict[int, list[PydanticFault]]:
    """Return what is wrong with orders, by their positions; the others are good."""
    faults: dict[int, list[PydanticFault]] = {}
    try:
        CHECK_ORDERS(orders)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            position, *place = fault["loc"]
            told = NO_ORDER if fault["type"] == "model_type" else {**fault, "loc": tuple(place)}
            faults.setdefault(int(position), []).append(told)
    for position, order in enumerate(orders):
        if position not in faults and model.position_of(order[PRODUCT]) is None:
            faults[position] = [unknown.fault(order[PRODUCT])]
    return faults


def _refusal(index: int, faults: Sequence[PydanticFault], metrics: ServiceMetrics) -> bytes:
    """Return as JSON like `OrderRefusal` what is wrong with the order at an index of the batch."""
    for fault in faults:
        metrics.count_refusal(fault["type"])
    placed = [{**fault, "loc": ("body", "orders", index, *fault["loc"])} for fault in faults]
    return to_json({"errors": faults_of(placed)}, exclude_none=True)


def _estimates(
    answers: ModelAnswers, orders: Sequence[dict[str, Any]], metrics: ServiceMetrics
) -> list[bytes]:
    """Return as JSON like `OrderEstimate` what the model says to good orders."""
    if not orders:
        return []
    model = answers.model
    found = [model.position_of(order[PRODUCT]) for order in orders]
    positions = np.array(found, dtype=np.intp)
    predicted = model.predict_at(
        positions, {name: [order.get(name) for order in orders] for name in FEATURES}
    )
    codes = model.metadata.catalogue.product_code
    by_product = Counter(codes[position] for position in positions.tolist())
    metrics.count_predictions(by_product, int(predicted.extrapolated.sum()))
    return answers.rows(positions, predicted)
