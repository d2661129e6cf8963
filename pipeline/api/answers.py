"""The answers of a model to orders, as JSON.

The fast path and FastAPI's routes answer with these bytes. What is the same for all orders of a
product is written once for each model; of one order only the numbers are left to write.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json

from pipeline.api.column_answers import ColumnAnswers
from pipeline.api.product_kinds import ProductKind, product_kinds
from pipeline.api.rounding import rounded, rounded_one
from pipeline.api.schemas import (
    DispatchedWithin,
    DispatchInterval,
    OrderEstimate,
    TimeToDispatchAnswer,
    TimeToDispatchAnswerWithInterval,
    TimeToDispatchRequest,
)
from pipeline.model.order import PRODUCT, BaseOrder, Order
from pipeline.model.product_codes import Positions
from pipeline.model.reader import DispatchModel, Predictions

CHECK_V0_1 = TypeAdapter(TimeToDispatchRequest).validator.validate_json
CHECK_V0_2 = TypeAdapter(Order).validator.validate_json
HOURS, LOWER, UPPER = -1.25e300, -1.5e300, -1.75e300
"""Stand for the numbers of an order in a template; no model gives them."""


class OrderAnswer(NamedTuple):
    """The answer to one order.

    Attributes:
        content: JSON.
        label: what it is counted by.
        extrapolated: whether the order count is outside of what the model saw of the product.
    """

    content: bytes
    label: str
    extrapolated: bool


class UnknownProduct(LookupError):
    """The model was not trained on this product."""


class ModelAnswers:
    """A model, and how its answers are written.

    Attributes:
        model: the model.
        columns: writes the answers to batches in columns.
    """

    def __init__(self, model: DispatchModel, labels: Sequence[str]) -> None:
        """Write all that does not depend on orders.

        Args:
            model: what to ask.
            labels: what estimates are counted by: the first stands for all but the other products.
        """
        self.model = model
        self.columns = ColumnAnswers(model)
        self._labels = labels
        self._label = np.zeros(len(model.products), dtype=np.int16)
        positions = model.products.positions(labels[1:])
        for number, position in enumerate(positions.tolist(), 1):
            if position >= 0:
                self._label[position] = number
        self._label_of_one = self._label.data
        self._kind, kinds = product_kinds(model)
        self._kind_of_one = self._kind.data
        self._brief = _template(
            TimeToDispatchAnswer(est_hours_to_dispatch=HOURS, model_version=model.version)
        )
        estimates = [[_estimate(model, kind, is_far) for is_far in (False, True)] for kind in kinds]
        self._rows = [[_template(one) for one in pair] for pair in estimates]
        self._full = [[_template(_full_answer(model, one)) for one in pair] for pair in estimates]

    def answer_body(self, body: bytes, with_interval: bool) -> OrderAnswer:
        """Return the answer to an order in JSON; see `answer_order`.

        Raises:
            ValidationError: the body is not an order.
            UnknownProduct: the model does not know the product.
        """
        return self.answer_order((CHECK_V0_2 if with_interval else CHECK_V0_1)(body), with_interval)

    def answer_order(self, order: BaseOrder, with_interval: bool) -> OrderAnswer:
        """Return the answer to an order, in the form of v0.2 or else of v0.1.

        Raises:
            UnknownProduct: the model does not know the product.
        """
        fields = vars(order)
        position = self.model.position_of(fields[PRODUCT])
        if position is None:
            raise UnknownProduct(fields[PRODUCT])
        hours, lower, upper, extrapolated = self.model.predict_one(position, fields)
        if with_interval:
            numbers = _written(hours), _written(lower), _written(upper)
            template = self._full[self._kind_of_one[position]][extrapolated]
            content = template % (numbers if extrapolated else (*numbers, numbers[2]))
        else:
            content = self._brief % _written(hours)
        return OrderAnswer(content, self._labels[self._label_of_one[position]], extrapolated)

    def rows(self, positions: Positions, predicted: Predictions) -> list[bytes]:
        """Return an `OrderEstimate` as JSON for each order.

        Args:
            positions: of the products of the orders.
            predicted: what the model says to them.
        """
        numbers = (to_json(rounded(column))[1:-1].split(b",") for column in predicted[:3])
        kinds, extrapolated = self._kind[positions].tolist(), predicted.extrapolated.tolist()
        rows = self._rows
        return [
            rows[kind][1] % (hours, lower, upper)
            if outside
            else rows[kind][0] % (hours, lower, upper, upper)
            for kind, outside, hours, lower, upper in zip(kinds, extrapolated, *numbers)
        ]

    def by_label(self, positions: Positions) -> dict[str, int]:
        """Return the numbers of orders, by what they are counted by."""
        counts = np.bincount(self._label[positions]).tolist()
        return {label: count for label, count in zip(self._labels, counts) if count}


def _written(hours: float) -> bytes:
    """Return rounded hours as JSON."""
    return to_json(rounded_one(hours))


def _estimate(model: DispatchModel, kind: ProductKind, extrapolated: bool) -> OrderEstimate:
    """Return an estimate with what stands for its numbers."""
    interval = model.metadata.interval
    level = None if extrapolated else interval.level
    within = DispatchedWithin(share=interval.share_within, hours=UPPER)
    return OrderEstimate(
        est_hours_to_dispatch=HOURS,
        interval=DispatchInterval(level=level, lower_hours=LOWER, upper_hours=UPPER),
        dispatched_within=None if extrapolated else within,
        extrapolated=extrapolated,
        curve_from=kind.curve_from,
        trusted=kind.trusted,
    )


def _full_answer(model: DispatchModel, estimate: OrderEstimate) -> TimeToDispatchAnswerWithInterval:
    """Return the answer to a single order in v0.2."""
    return TimeToDispatchAnswerWithInterval(**dict(estimate), model_version=model.version)


def _template(answer: BaseModel) -> bytes:
    """Return an answer as JSON, with places for the numbers.

    These are the estimate, both bounds and, where `dispatched_within` is not null, the upper bound.
    """
    content = to_json(answer).replace(b"%", b"%%")
    for number in (HOURS, LOWER, UPPER):
        content = content.replace(to_json(number), b"%b")
    return content
