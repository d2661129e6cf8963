"""The answers of a model to orders, as JSON.

The fast path and FastAPI's routes answer with these bytes. What is the same for all orders of a
product is written once for each model; of one order only the numbers are left to write.
"""

from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json

from pipeline.api.schemas import (
    DispatchedWithin,
    DispatchInterval,
    OrderEstimate,
    TimeToDispatchAnswer,
    TimeToDispatchAnswerWithInterval,
    TimeToDispatchRequest,
)
from pipeline.model.arrays import Floats
from pipeline.model.order import PRODUCT, BaseOrder, Order
from pipeline.model.product_codes import Positions
from pipeline.model.reader import DispatchModel, Predictions

DECIMALS = 2
SCALE = 10.0**DECIMALS
CHECK_V0_1 = TypeAdapter(TimeToDispatchRequest).validator.validate_json
CHECK_V0_2 = TypeAdapter(Order).validator.validate_json
HOURS, LOWER, UPPER = -1.25e300, -1.5e300, -1.75e300
"""Stand for the numbers of an order in a template; no model gives them."""


Kind = tuple[datetime, bool]
"""When the orders of a curve were delivered, and whether it can be trusted."""


class OrderAnswer(NamedTuple):
    """The answer to one order.

    Attributes:
        content: JSON.
        product_code: of the order.
        extrapolated: whether the order count is outside of what the model saw of the product.
    """

    content: bytes
    product_code: str
    extrapolated: bool


class UnknownProduct(LookupError):
    """The model was not trained on this product."""


class ModelAnswers:
    """A model, and how its answers are written.

    Products are of few kinds: all that is said of those of one kind is the same, but for their
    estimates.

    Attributes:
        model: the model.
    """

    def __init__(self, model: DispatchModel) -> None:
        """Write all that does not depend on orders."""
        self.model = model
        self._codes = model.metadata.catalogue.product_code
        self._kind, kinds = _kinds(model)
        self._kind_of_one = self._kind.data
        self._brief = _template(
            TimeToDispatchAnswer(est_hours_to_dispatch=HOURS, model_version=model.version)
        )
        estimates = [
            [_estimate(model, *kind, is_far) for is_far in (False, True)] for kind in kinds
        ]
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
            numbers = _numbers(_written(hours), _written(lower), _written(upper), extrapolated)
            content = self._full[self._kind_of_one[position]][extrapolated] % numbers
        else:
            content = self._brief % _written(hours)
        return OrderAnswer(content, self._codes[position], extrapolated)

    def rows(self, positions: Positions, predicted: Predictions) -> list[bytes]:
        """Return an `OrderEstimate` as JSON for each order.

        Args:
            positions: of the products of the orders.
            predicted: what the model says to them.
        """
        numbers = (to_json(rounded(column))[1:-1].split(b",") for column in predicted[:3])
        kinds, extrapolated = self._kind[positions].tolist(), predicted.extrapolated.tolist()
        return [
            self._rows[kind][outside] % _numbers(hours, lower, upper, outside)
            for kind, outside, hours, lower, upper in zip(kinds, extrapolated, *numbers)
        ]


def _written(hours: float) -> bytes:
    """Return hours as `rounded` rounds them, as JSON."""
    return to_json(round(hours * SCALE) / SCALE)


def rounded(hours: Floats) -> list[float]:
    """Return hours as they are answered; rounding keeps an estimate within its bounds.

    NumPy multiplies, rounds half to even, and divides; a single order is rounded in the same way.
    """
    decimals: list[float] = np.round(hours, DECIMALS).tolist()
    return decimals


def _kinds(model: DispatchModel) -> tuple[npt.NDArray[np.int16], list[Kind]]:
    """Return the number of each product's kind, shape (n_products,), and the kinds."""
    metadata = model.metadata
    times = [metadata.dataset.delivered_at, *(each.delivered_at for each in metadata.earlier_weeks)]
    kinds = [(time, is_trusted) for time in times for is_trusted in (True, False)]
    return metadata.week_of_products * np.int16(2) + ~model.trusted, kinds


def _estimate(
    model: DispatchModel, curve_from: datetime, trusted: bool, extrapolated: bool
) -> OrderEstimate:
    """Return an estimate with what stands for its numbers."""
    interval = model.metadata.interval
    level = None if extrapolated else interval.level
    within = DispatchedWithin(share=interval.share_within, hours=UPPER)
    return OrderEstimate(
        est_hours_to_dispatch=HOURS,
        interval=DispatchInterval(level=level, lower_hours=LOWER, upper_hours=UPPER),
        dispatched_within=None if extrapolated else within,
        extrapolated=extrapolated,
        curve_from=curve_from,
        trusted=trusted,
    )


def _full_answer(model: DispatchModel, estimate: OrderEstimate) -> TimeToDispatchAnswerWithInterval:
    """Return the answer to a single order in v0.2."""
    return TimeToDispatchAnswerWithInterval(**dict(estimate), model_version=model.version)


def _template(answer: BaseModel) -> bytes:
    """Return an answer as JSON, with places for the numbers."""
    content = to_json(answer).replace(b"%", b"%%")
    for number in (HOURS, LOWER, UPPER):
        content = content.replace(to_json(number), b"%b")
    return content


def _numbers(hours: bytes, lower: bytes, upper: bytes, extrapolated: bool) -> tuple[bytes, ...]:
    """Return the numbers of an order in the sequence in which a template has places for them."""
    return (hours, lower, upper) if extrapolated else (hours, lower, upper, upper)
