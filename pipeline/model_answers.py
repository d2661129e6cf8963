"""What one model answers to single orders, as the bytes of JSON.

Both ways through the service, the short one and FastAPI's, answer with these bytes.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel
from pydantic_core import to_json

from pipeline.api_schemas import (
    TimeToDispatchAnswer,
    TimeToDispatchAnswerWithInterval,
    TimeToDispatchRequest,
)
from pipeline.artifact_reader import DispatchModel
from pipeline.model_lineage import Floats

DECIMALS = 2


CHECK_REQUEST = TimeToDispatchRequest.__pydantic_validator__.validate_json


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


OrderKey = tuple[str, float]
"""Product code and orders placed."""


class UnknownProduct(LookupError):
    """The model was not trained on this product."""


class ModelAnswers:
    """What one model answers.

    Attributes:
        model: the model.
        remembered_answer: what `answer_body` does, with a memory of its last answers: order
            counts are whole numbers, and the same few are asked for again and again.
    """

    def __init__(self, model: DispatchModel, cached_answers: int) -> None:
        """Prepare for questions; nothing is computed yet.

        Args:
            model: what to ask.
            cached_answers: how many answers to remember, for as long as the model is served.
        """
        self.model = model
        self._most_estimates = cached_answers
        self._estimates: dict[OrderKey, OrderAnswer] = {}
        self.remembered_answer = lru_cache(maxsize=cached_answers)(self.answer_body)

    def answer_body(self, body: bytes, with_interval: bool) -> OrderAnswer:
        """Return the answer to an order in JSON; see `answer`.

        Raises:
            ValidationError: the body is not an order.
            UnknownProduct: the model does not know the product.
        """
        return self.answer(CHECK_REQUEST(body), with_interval)

    def answer(self, order: TimeToDispatchRequest, with_interval: bool) -> OrderAnswer:
        """Return the answer to an order, in the form of v0.2 or else of v0.1.

        Raises:
            UnknownProduct: the model does not know the product.
        """
        product_code = order.product_code
        if product_code not in self.model.products:
            raise UnknownProduct(product_code)
        (estimate,) = self._predict([(product_code, order.orders_placed)])
        answer: BaseModel
        version = self.model.version
        if with_interval:
            answer = TimeToDispatchAnswerWithInterval(**estimate, model_version=version)
        else:
            hours = estimate["est_hours_to_dispatch"]
            answer = TimeToDispatchAnswer(est_hours_to_dispatch=hours, model_version=version)
        return OrderAnswer(to_json(answer), product_code, estimate["extrapolated"])

    def estimates_of(self, keys: Sequence[OrderKey]) -> dict[OrderKey, OrderAnswer]:
        """Return an `OrderEstimate` as JSON for each of these orders, of products in the model.

        Those that are not remembered are asked for in one call.
        """
        remembered = self._estimates
        found = {key: remembered[key] for key in keys if key in remembered}
        unknown = [key for key in dict.fromkeys(keys) if key not in found]
        if unknown:
            new = {
                key: OrderAnswer(to_json(estimate), key[0], estimate["extrapolated"])
                for key, estimate in zip(unknown, self._predict(unknown))
            }
            if len(remembered) + len(new) > self._most_estimates:
                remembered.clear()
            if len(new) <= self._most_estimates:
                remembered.update(new)
            found.update(new)
        return found

    def _predict(self, keys: Sequence[OrderKey]) -> list[dict[str, Any]]:
        """Return like `OrderEstimate` what the model says to orders of products that it knows."""
        codes, orders = zip(*keys)
        predicted = self.model.predict(codes, orders)
        level = self.model.lineage.interval.level
        columns = [rounded(column) for column in predicted[:3]]
        return [
            {
                "est_hours_to_dispatch": hours,
                "interval": {"level": level, "lower_hours": lower, "upper_hours": upper},
                "extrapolated": extrapolated,
            }
            for hours, lower, upper, extrapolated in zip(*columns, predicted.extrapolated.tolist())
        ]


def rounded(hours: Floats) -> list[float]:
    """Return hours as they are answered; rounding keeps an estimate within its bounds.

    NumPy's way of rounding, for a single order as for a batch, so that both get the same answer.
    """
    decimals: list[float] = np.round(hours, DECIMALS).tolist()
    return decimals
