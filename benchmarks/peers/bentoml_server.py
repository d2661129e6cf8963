# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "bentoml==1.4.40",
#     "joblib==1.6.0",
#     "numpy==2.4.6",
#     "scikit-learn==1.9.1",
#     "httptools==0.9.0",  # uvicorn finds this and the next
#     "uvloop==0.23.0",
# ]
# ///
"""The tree behind BentoML, with a service of one method and one worker.

`MODEL_FILE` and `PRODUCT_CODES` are those of the plain handler; `PORT` is where it listens.
"""

import os
import sys
from pathlib import Path

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


if __name__ == "__main__":
    script = Path(__file__).resolve()
    program = str(Path(sys.executable).with_name("bentoml"))
    serve = [program, "serve", f"{script.stem}:TimeToDispatch"]
    serve += ["--working-dir", str(script.parent)]
    serve += ["--host", "127.0.0.1", "--port", os.environ["PORT"]]
    variables = {"BENTOML_HOME": str(Path("bentoml").resolve()), "BENTOML_DO_NOT_TRACK": "True"}
    os.execve(program, serve, {**os.environ, **variables})
