"""Services without a process: a model made by hand, and requests in the form of ASGI."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from starlette.types import ASGIApp, Message, Scope

from pipeline.api.service import DispatchService
from pipeline.model.metadata import (
    DatasetLineage,
    Histogram,
    Metrics,
    ModelMetadata,
    Outliers,
    PredictionInterval,
    ProductCatalogue,
    ProductRemarks,
)
from pipeline.model.reader import DispatchModel, OrderColumns
from pipeline.stages.settings import ServeSettings
from tests.support.helpers import EXAMPLE

V0_1 = "/api/v0.1/time_to_dispatch"
V0_2 = "/api/v0.2/time_to_dispatch"
BATCH = "/api/v0.2/time_to_dispatch/batch"
PRODUCTS = "/api/v0.2/products"
PROBLEM = "application/problem+json"

MIN_SEEN_ORDERS = 10.0
MAX_SEEN_ORDERS = 200.5
"""The range that a model made by hand saw of each product, if nothing else is said."""

JSON = (b"content-type", b"application/json")
ORDER = json.dumps(EXAMPLE).encode()
TOO_LONG = b" " * (1024 * 1024 + 1)
UNREADABLE = b"[" * 100_000
"""JSON that nests too deeply for any parser."""

Headers = Iterable[tuple[bytes, bytes]]


class HandMadeModel(DispatchModel):
    """A model without training, whose products differ, and whose hours rise with the orders."""

    def __init__(
        self,
        products: Sequence[str] = ("SKU001", "SKU002", "SKU003"),
        rows: Sequence[int] = (),
        ranges: Sequence[tuple[float, float]] = (),
        version: str = "by_hand",
    ) -> None:
        """Make it up.

        Args:
            products: codes, in any order.
            rows: of the dataset for each product; by default 1 for the first, 2 for the second…
            ranges: of the orders placed for each product.
            version: name of the model.
        """
        facts = zip(
            products,
            rows or range(1, len(products) + 1),
            ranges or [(MIN_SEEN_ORDERS, MAX_SEEN_ORDERS)] * len(products),
        )
        super().__init__(version, _metadata(sorted(facts)), session=None)

    def estimate(self, orders: OrderColumns) -> npt.NDArray[np.float64]:
        """Return the estimated hours to dispatch, shape (n_rows,)."""
        positions = np.array([self._position[code] for code in orders.get("product_code")])
        placed = np.asarray(orders.get("orders_placed"), dtype=np.float64)
        return 2.12 + positions + 0.055 * placed


class BrokenModel(HandMadeModel):
    """A model with a fault that nobody foresaw."""

    def estimate(self, orders: OrderColumns) -> npt.NDArray[np.float64]:
        """Fail."""
        raise ZeroDivisionError("the model is broken")


def _metadata(facts: Sequence[tuple[str, int, tuple[float, float]]]) -> ModelMetadata:
    codes, rows, ranges = zip(*facts)
    least, most = zip(*ranges)
    return ModelMetadata(
        trained_at=datetime(2026, 11, 23, tzinfo=UTC),
        git_commit="abc123",
        library_versions={},
        regressor="by hand",
        candidates=(),
        dataset=DatasetLineage(
            key="datasets/none.csv",
            sha256="0" * 64,
            delivered_at=datetime(2026, 11, 20, tzinfo=UTC),
            rows=sum(rows),
            rejected_rows=0,
        ),
        metrics=Metrics(
            r_squared=None,
            mean_absolute_error_hours=0.5,
            noise_floor_hours=0.5,
            train_rows=2,
            test_rows=2,
        ),
        interval=PredictionInterval(
            level=0.9, multiple=2, noise_base_hours=0.251, noise_growth=0.05, calibration_rows=2
        ),
        outliers=Outliers(rows=0, share=0, farthest=()),
        catalogue=ProductCatalogue(
            product_code=codes,
            rows=rows,
            least_orders=least,
            most_orders=most,
            relative_noise=(1,) * len(codes),
        ),
        remarks=ProductRemarks(few_rows=(), falling=(), flat=()),
        orders_placed=Histogram(edges=(0, 200.5), counts=(sum(rows),)),
    )


def hand_made_service(*arguments: str, model: DispatchModel | None = None) -> DispatchService:
    """Return a service with these command line arguments that serves a model made by hand."""
    service = DispatchService(ServeSettings.from_arguments(list(arguments)))
    service.serve(HandMadeModel() if model is None else model)
    return service


def service_without_model(folder: Path, *arguments: str) -> DispatchService:
    """Return a service that finds no model in an empty folder."""
    return DispatchService(ServeSettings.from_arguments([str(folder), *arguments]))


class Answer(NamedTuple):
    """What an application answered.

    Attributes:
        status: the HTTP status.
        headers: with names in lower case.
        body: all of it.
    """

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    app: ASGIApp,
    path: str,
    pieces: Sequence[bytes] = (b"",),
    headers: Headers = (JSON,),
    method: str = "POST",
) -> Answer:
    """Send a request just as it is, which a client would put right, and return the answer.

    Args:
        app: what to ask.
        path: of the request.
        pieces: of the body, as they arrive.
        headers: of the request, with names in lower case.
        method: of the request.
    """
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": position < len(pieces)}
        for position, piece in enumerate(pieces, 1)
    ]
    arriving = iter([*messages, {"type": "http.disconnect"}])
    sent: list[Message] = []

    async def receive() -> Message:
        return next(arriving)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(request_scope(method, path, headers), receive, send)
    start, *rest = sent
    return Answer(
        start["status"],
        {name.decode().lower(): value.decode() for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in rest),
    )


def request_scope(method: str, path: str, headers: Headers) -> Scope:
    """Return what a server tells an ASGI application of a request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8_000),
    }


def send(
    app: ASGIApp,
    path: str,
    body: bytes = ORDER,
    *headers: tuple[bytes, bytes],
    method: str = "POST",
) -> Answer:
    """Send a request of JSON, and return the answer."""
    return asyncio.run(ask(app, path, [body], [JSON, *headers], method))
