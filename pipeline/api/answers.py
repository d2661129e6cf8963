"""The answers of a model to orders, as JSON, and a cache of the last ones.

The fast path and FastAPI's routes answer with these bytes.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json

from pipeline.api.schemas import (
    TimeToDispatchAnswer,
    TimeToDispatchAnswerWithInterval,
    TimeToDispatchRequest,
)
from pipeline.model.arrays import Floats
from pipeline.model.order import FEATURES, PRODUCT, BaseOrder, Order, OrderKey, key_of
from pipeline.model.reader import DispatchModel

DECIMALS = 2
CHECK_V0_1 = TypeAdapter(TimeToDispatchRequest).validator.validate_json
CHECK_V0_2 = TypeAdapter(Order).validator.validate_json


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
    """A model and its last answers.

    Order counts are whole numbers, and the same few are asked for again and again.

    Attributes:
        model: the model.
        remembered_answer: what `answer_body` does with this model, if it has not been done before.
    """

    def __init__(self, model: DispatchModel, cached_answers: int) -> None:
        """Prepare for requests; nothing is computed yet.

        Args:
            model: what to ask.
            cached_answers: how many answers to remember, for as long as the model is served.
        """
        self.model = model
        self.remembered_answer = lru_cache(maxsize=cached_answers)(partial(answer_body, model))
        self._most_estimates = cached_answers
        self._estimates: dict[OrderKey, OrderAnswer] = {}

    def estimates_of(self, keys: Sequence[OrderKey]) -> dict[OrderKey, OrderAnswer]:
        """Return an `OrderEstimate` as JSON for each of these orders, of products in the model.

        Those that are not remembered are asked for in one call.
        """
        remembered = self._estimates
        found = {key: remembered[key] for key in keys if key in remembered}
        unknown = [key for key in dict.fromkeys(keys) if key not in found]
        if unknown:
            orders = _columns(unknown)
            estimates = zip(unknown, orders[PRODUCT], _predict(self.model, orders))
            new = {
                key: OrderAnswer(to_json(estimate), product_code, estimate["extrapolated"])
                for key, product_code, estimate in estimates
            }
            if len(remembered) + len(new) > self._most_estimates:
                remembered.clear()
            if len(new) <= self._most_estimates:
                remembered.update(new)
            found.update(new)
        return found


def answer_body(model: DispatchModel, body: bytes, with_interval: bool) -> OrderAnswer:
    """Return the answer to an order in JSON; see `answer_order`.

    Raises:
        ValidationError: the body is not an order.
        UnknownProduct: the model does not know the product.
    """
    order = CHECK_V0_2(body) if with_interval else CHECK_V0_1(body)
    return answer_order(model, order, with_interval)


def answer_order(model: DispatchModel, order: BaseOrder, with_interval: bool) -> OrderAnswer:
    """Return the answer to an order, in the form of v0.2 or else of v0.1.

    Raises:
        UnknownProduct: the model does not know the product.
    """
    product_code = model.known_code(order.product_code)
    if product_code is None:
        raise UnknownProduct(order.product_code)
    key = key_of({**dict(order), PRODUCT: product_code})
    (estimate,) = _predict(model, _columns([key]))
    answer: BaseModel
    if with_interval:
        answer = TimeToDispatchAnswerWithInterval(**estimate, model_version=model.version)
    else:
        hours = estimate["est_hours_to_dispatch"]
        answer = TimeToDispatchAnswer(est_hours_to_dispatch=hours, model_version=model.version)
    return OrderAnswer(to_json(answer), product_code, estimate["extrapolated"])


def _columns(keys: Sequence[OrderKey]) -> dict[str, tuple[Any, ...]]:
    """Return the fields of one or more orders as columns."""
    return dict(zip(FEATURES, zip(*keys)))


def _predict(model: DispatchModel, orders: dict[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Return the fields of an `OrderEstimate` for each order, of products in the model."""
    predicted = model.predict(orders)
    level, share = model.metadata.interval.level, model.metadata.interval.share_within
    columns = [rounded(column) for column in predicted[:3]]
    return [
        {
            "est_hours_to_dispatch": hours,
            "interval": {
                "level": None if extrapolated else level,
                "lower_hours": lower,
                "upper_hours": upper,
            },
            "dispatched_within": None if extrapolated else {"share": share, "hours": upper},
            "extrapolated": extrapolated,
            "curve_from": model.curve_from(product_code),
            "trusted": not model.doubts(product_code),
        }
        for hours, lower, upper, extrapolated, product_code in zip(
            *columns, predicted.extrapolated.tolist(), orders[PRODUCT]
        )
    ]


def rounded(hours: Floats) -> list[float]:
    """Return hours as they are answered; rounding keeps an estimate within its bounds.

    NumPy's way of rounding, for a single order as for a batch, so that both get the same answer.
    """
    decimals: list[float] = np.round(hours, DECIMALS).tolist()
    return decimals
