"""The usual: a model behind FastAPI as most people write it.

`MODEL_FILE` is the joblib file of a scikit-learn regressor, whose columns are the position of the
product among `PRODUCT_CODES` (separated by commas) and the orders placed.
"""

import os

import joblib
import numpy as np
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

MODEL = joblib.load(os.environ["MODEL_FILE"])
PRODUCTS = {code: number for number, code in enumerate(os.environ["PRODUCT_CODES"].split(","))}

app = FastAPI()


class Order(BaseModel):
    """What is asked."""

    product_code: str
    orders_placed: float


class Answer(BaseModel):
    """What is answered."""

    est_hours_to_dispatch: float
    model_version: str


@app.post("/time_to_dispatch")
def time_to_dispatch(order: Order) -> Answer:
    """Estimate the hours of one order."""
    if order.product_code not in PRODUCTS:
        raise HTTPException(422, "unknown product")
    row = np.array([[PRODUCTS[order.product_code], order.orders_placed]])
    (hours,) = MODEL.predict(row)
    return Answer(est_hours_to_dispatch=hours, model_version=type(MODEL).__name__)
