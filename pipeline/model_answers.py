"""What one model answers to single orders, as the bytes of JSON.

Both ways through the service, the short one and FastAPI's, answer with these bytes.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from pydantic_core import to_json

from pipeline.api_schemas import (
    DispatchInterval,
    TimeToDispatchAnswer,
    TimeToDispatchAnswerWithInterval,
)
from pipeline.artifact_reader import DispatchModel
from pipeline.model_lineage import Floats

DECIMALS = 2


class OrderAnswer(NamedTuple):
    """The answer to one order.

    Attributes:
        body: JSON.
        extrapolated: whether the order count is outside of what the model saw of the product.
    """

    body: bytes
    extrapolated: bool


class UnknownProduct(LookupError):
    """The model was not trained on this product."""


class ModelAnswers:
    """What one model answers.

    Order counts are whole numbers, and the same few are asked for again and again. So the
    answers are remembered, for as long as the model is served.

    Attributes:
        model: the model.
        estimate: the answer of v0.1 to a product code and orders placed.
        estimate_with_interval: the same of v0.2. Both raise UnknownProduct.
    """

    def __init__(self, model: DispatchModel, cached_answers: int) -> None:
        """Prepare for questions; nothing is computed yet.

        Args:
            model: what to ask.
            cached_answers: how many answers to remember for each version of the API.
        """
        self.model = model
        remember = lru_cache(maxsize=cached_answers)
        self.estimate = remember(self._estimate)
        self.estimate_with_interval = remember(self._estimate_with_interval)

    def _estimate(self, product_code: str, orders_placed: float) -> OrderAnswer:
        hours, extrapolated = self._ask(product_code, orders_placed)
        (estimate,) = rounded(hours)
        answer = TimeToDispatchAnswer(
            est_hours_to_dispatch=estimate, model_version=self.model.version
        )
        return OrderAnswer(to_json(answer), extrapolated)

    def _estimate_with_interval(self, product_code: str, orders_placed: float) -> OrderAnswer:
        hours, extrapolated = self._ask(product_code, orders_placed)
        lower, upper = self.model.bounds([product_code], hours)
        estimate, least, most = rounded(np.concatenate([hours, lower, upper]))
        level = self.model.lineage.interval.level
        answer = TimeToDispatchAnswerWithInterval(
            est_hours_to_dispatch=estimate,
            interval=DispatchInterval(level=level, lower_hours=least, upper_hours=most),
            extrapolated=extrapolated,
            model_version=self.model.version,
        )
        return OrderAnswer(to_json(answer), extrapolated)

    def _ask(self, product_code: str, orders_placed: float) -> tuple[Floats, bool]:
        """Return the hours, shape (1,), and whether they are extrapolated."""
        if product_code not in self.model.products:
            raise UnknownProduct(product_code)
        hours = self.model.estimate([product_code], [orders_placed])
        (extrapolated,) = self.model.extrapolated([product_code], [orders_placed])
        return hours, bool(extrapolated)


def rounded(hours: Floats) -> list[float]:
    """Return hours as they are answered; rounding keeps an estimate within its bounds.

    NumPy's way of rounding, for a single order as for a batch, so that both get the same answer.
    """
    decimals: list[float] = np.round(hours, DECIMALS).tolist()
    return decimals
