"""The tree behind BentoML: `bentoml serve bentoml_service:TimeToDispatch`.

`MODEL_FILE` and `PRODUCT_CODES` are those of the plain handler.
"""

import os

import bentoml
import joblib
import numpy as np
from pydantic import BaseModel


class Answer(BaseModel):
    """What is answered."""

    est_hours_to_dispatch: float
    model_version: str


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class TimeToDispatch:
    """Estimates the hours of one order."""

    def __init__(self) -> None:
        """Load the tree in the worker."""
        codes = os.environ["PRODUCT_CODES"].split(",")
        self.products = {code: number for number, code in enumerate(codes)}
        self.model = joblib.load(os.environ["MODEL_FILE"])

    @bentoml.api
    def time_to_dispatch(self, product_code: str, orders_placed: float) -> Answer:
        """Estimate the hours of one order."""
        (hours,) = self.model.predict(np.array([[self.products[product_code], orders_placed]]))
        return Answer(est_hours_to_dispatch=hours, model_version=type(self.model).__name__)
