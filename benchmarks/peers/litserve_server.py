# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "litserve==0.2.19",
#     "joblib==1.6.0",
#     "numpy==2.4.6",
#     "pyzmq==27.3.0",     # the fast queue
#     "scikit-learn==1.9.1",
#     "httptools==0.9.0",  # uvicorn finds this and the next
#     "uvloop==0.23.0",
# ]
# ///
"""The tree behind LitServe, with one process for requests and one for the model.

`MODEL_FILE` and `PRODUCT_CODES` are those of the plain handler; `PORT` is where it listens.
LitServe's documentation asks for its fast queue where there are more than a hundred requests each
second.
"""

import os
from typing import Any

import joblib
import litserve
import numpy as np


class TimeToDispatch(litserve.LitAPI):
    """Estimates the hours of one order."""

    def setup(self, device: str) -> None:
        """Load the tree in the worker."""
        codes = os.environ["PRODUCT_CODES"].split(",")
        self.products = {code: number for number, code in enumerate(codes)}
        self.model = joblib.load(os.environ["MODEL_FILE"])

    # LitServe takes an annotation of the request for a type that FastAPI should check.
    def decode_request(self, request) -> Any:  # type: ignore[no-untyped-def]
        """Return the row of an order."""
        return np.array([[self.products[request["product_code"]], request["orders_placed"]]])

    def predict(self, x: Any) -> Any:
        """Return the hours of a row."""
        return self.model.predict(x)

    def encode_response(self, output: Any) -> dict[str, object]:
        """Return the answer."""
        name = type(self.model).__name__
        return {"est_hours_to_dispatch": float(output[0]), "model_version": name}


if __name__ == "__main__":
    server = litserve.LitServer(
        TimeToDispatch(), accelerator="cpu", devices=1, workers_per_device=1, fast_queue=True
    )
    server.run(
        port=int(os.environ["PORT"]),
        host="127.0.0.1",
        num_api_servers=1,
        log_level="error",
        access_log=False,
        generate_client_file=False,
    )
