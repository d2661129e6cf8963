"""What one model answers to single orders, as the bytes of JSON.

Both ways through the service, the short one and FastAPI's, answer with these bytes.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel
from pydantic_core import to_json

from pipeline.api_schemas import (
    DispatchInterval,
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
        predicted = self.model.predict([product_code], [order.orders_placed])
        extrapolated = bool(predicted.extrapolated[0])
        (hours,), (lower,), (upper,) = (rounded(column) for column in predicted[:3])
        answer: BaseModel
        if with_interval:
            level = self.model.lineage.interval.level
            answer = TimeToDispatchAnswerWithInterval(
                est_hours_to_dispatch=hours,
                interval=DispatchInterval(level=level, lower_hours=lower, upper_hours=upper),
                extrapolated=extrapolated,
                model_version=self.model.version,
            )
        else:
            answer = TimeToDispatchAnswer(
                est_hours_to_dispatch=hours, model_version=self.model.version
            )
        return OrderAnswer(to_json(answer), product_code, extrapolated)


def rounded(hours: Floats) -> list[float]:
    """Return hours as they are answered; rounding keeps an estimate within its bounds.

    NumPy's way of rounding, for a single order as for a batch, so that both get the same answer.
    """
    decimals: list[float] = np.round(hours, DECIMALS).tolist()
    return decimals
