"""The answers of a model to many orders at once, as JSON: in rows or in columns, as they came.

A batch is worked on in slices, and other requests get their turns between two of them.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json

from pipeline.api.answers import ModelAnswers
from pipeline.api.batch_orders import CheckedOrders, Faults, check_columns, check_rows
from pipeline.api.batch_schemas import ColumnBatch, OrderBatch
from pipeline.api.faults import PydanticFault, faults_of
from pipeline.api.metrics import ServiceMetrics
from pipeline.api.schemas import Fault
from pipeline.api.unknown_products import UnknownProducts
from pipeline.model.order import PRODUCT

SLICE_ORDERS = 1_000
"""At most about a millisecond of work."""
MAX_REFUSED_IN_COLUMNS = 10_000
"""Orders; the errors of more would be megabytes, and mean that there is something else wrong."""


async def answer_batch(
    answers: ModelAnswers, batch: OrderBatch | ColumnBatch, metrics: ServiceMetrics
) -> bytes:
    """Return a `BatchAnswer` or a `ColumnsAnswer`, which has its answers in the same order.

    Args:
        answers: of the model to ask.
        batch: the orders.
        metrics: count what was estimated and what was refused.
    """
    if isinstance(batch, OrderBatch):
        return await _answer_rows(answers, batch, metrics)
    return await _answer_columns(answers, batch, metrics)


async def _answer_rows(answers: ModelAnswers, batch: OrderBatch, metrics: ServiceMetrics) -> bytes:
    """Return an estimate or a refusal for each order."""
    unknown = UnknownProducts(answers.model)
    parts: list[bytes] = []
    async for part in _slices(len(batch.orders)):
        orders = batch.orders[part]
        checked = check_rows(answers.model, orders, unknown)
        estimates = iter(_estimated_rows(answers, checked, metrics))
        refusals = {
            place: _refusal(part.start + place, faults, metrics)
            for place, faults in checked.faults.items()
        }
        parts += [refusals.get(place) or next(estimates) for place in range(len(orders))]
    version = to_json(answers.model.version)
    return b'{"model_version":%b,"predictions":[%b]}' % (version, b",".join(parts))


async def _answer_columns(
    answers: ModelAnswers, batch: ColumnBatch, metrics: ServiceMetrics
) -> bytes:
    """Return estimates in columns, and what is wrong with the orders that are refused.

    Raises:
        RequestValidationError: these are too many.
    """
    unknown = UnknownProducts(answers.model)
    columns = batch.columns()
    parts: list[Mapping[str, bytes]] = []
    errors: list[dict[str, Any]] = []
    refused = 0
    async for part in _slices(len(columns[PRODUCT])):
        some = {name: column[part] for name, column in columns.items()}
        checked = check_columns(answers.model, some, unknown)
        refused += len(checked.faults)
        if refused > MAX_REFUSED_IN_COLUMNS:
            raise RequestValidationError([_too_many_refused(part.start, checked.faults)])
        predicted = answers.model.predict_at(checked.positions, checked.columns)
        _count(answers, checked, int(predicted.extrapolated.sum()), metrics)
        n_orders = len(some[PRODUCT])
        parts.append(
            answers.columns.part(checked.positions, predicted, n_orders, checked.faults.keys())
        )
        for place, faults in sorted(checked.faults.items()):
            index = part.start + place
            places = [("body", *fault["loc"], index) for fault in faults]
            errors += [
                {"index": index, **fault.model_dump(exclude_none=True)}
                for fault in _told(faults, places, metrics)
            ]
    return answers.columns.whole(parts, errors)


def _too_many_refused(start: int, faults: Faults) -> PydanticFault:
    """Return the fault of a batch with too many orders that are not valid, some of them here."""
    place, (fault, *_) = min(faults.items())
    last = f"{start + place} ({fault['loc'][0]}: {fault['msg']})"
    words = f"More than {MAX_REFUSED_IN_COLUMNS:,} orders are not valid, such as that at index"
    return {"type": "too_many_refused", "loc": ("body",), "msg": f"{words} {last}"}


async def _slices(n_orders: int) -> AsyncIterator[slice]:
    """Yield slices of so many orders, and give way between them."""
    for start in range(0, n_orders, SLICE_ORDERS):
        if start:
            await asyncio.sleep(0)
        yield slice(start, min(start + SLICE_ORDERS, n_orders))


def _estimated_rows(
    answers: ModelAnswers, checked: CheckedOrders, metrics: ServiceMetrics
) -> list[bytes]:
    """Return as JSON like `OrderEstimate` what the model says to the good ones of some orders."""
    predicted = answers.model.predict_at(checked.positions, checked.columns)
    _count(answers, checked, int(predicted.extrapolated.sum()), metrics)
    return answers.rows(checked.positions, predicted)


def _count(
    answers: ModelAnswers, checked: CheckedOrders, extrapolated: int, metrics: ServiceMetrics
) -> None:
    """Count the estimates of the good ones of some orders."""
    metrics.count_predictions(answers.by_label(checked.positions), extrapolated)


def _refusal(index: int, faults: Sequence[PydanticFault], metrics: ServiceMetrics) -> bytes:
    """Return as JSON like `OrderRefusal` what is wrong with the order at an index of the batch."""
    places = [("body", "orders", index, *fault["loc"]) for fault in faults]
    return to_json({"errors": _told(faults, places, metrics)}, exclude_none=True)


def _told(
    faults: Sequence[PydanticFault],
    places: Sequence[tuple[str | int, ...]],
    metrics: ServiceMetrics,
) -> list[Fault]:
    """Count faults, and return them in the words of v0.2, at their places in the body."""
    for fault in faults:
        metrics.count_refusal(fault["type"])
    return faults_of({**fault, "loc": place} for fault, place in zip(faults, places))
