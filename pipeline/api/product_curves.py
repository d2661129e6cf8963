"""The products that a model knows, with the range seen of each and its curve over that range.

The curve of one product can be cached: it answers every order count, and changes only with the
model.
"""

from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from pydantic_core import to_json

from pipeline.api.answers import UnknownProduct
from pipeline.api.rounding import DECIMALS
from pipeline.api.schemas import ProductCurve
from pipeline.model.arrays import Floats
from pipeline.model.order import ORDERS, PRODUCT
from pipeline.model.reader import DispatchModel
from pipeline.stages.settings import ServeSettings, git_commit

PRODUCT_CURVES = "/api/v0.2/products/"
"""Path of the curve of one product, without its code."""
CURVE_POINTS = 41
STEPS = np.arange(CURVE_POINTS)
TAG_BYTES = 12
JSON_CONTENT = (b"content-type", b"application/json")
KNOWN_TO_ALL = b"*"
"""Instead of tags: whatever the client has of it, as long as it exists."""


class CurveAnswer(NamedTuple):
    """An answer that caches may keep.

    Attributes:
        status: 200, or 304 if the client has the content already.
        headers: as ASGI has them.
        content: JSON of a `ProductCurveAnswer`; nothing if the client has it.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    content: bytes


def cache_control(settings: ServeSettings) -> bytes:
    """Return what caches may do with curves.

    Where a key is asked for, each use of a copy has to pass the key check, so that a copy serves
    nobody whose key has been taken away.
    """
    if settings.api_keys:
        return b"private, no-cache"
    if settings.curve_cache_seconds == 0:
        return b"no-cache"
    return b"public, max-age=%d" % settings.curve_cache_seconds


class CurveAnswers:
    """The curves of the products of a model, and their tags (RFC 9110, section 8.8.3)."""

    def __init__(self, model: DispatchModel, caching: bytes) -> None:
        """Prepare for requests; nothing is computed yet.

        Args:
            model: what to ask.
            caching: see `cache_control`.
        """
        self._model = model
        self._caching = caching

    def answer(self, product_code: str, known_tags: bytes | None) -> CurveAnswer:
        """Return the curve of a product, or that the client has it already.

        Args:
            product_code: as the client writes it.
            known_tags: the header `If-None-Match`, if there is one.

        Raises:
            UnknownProduct: the model does not know the product.
        """
        position = self._model.position_of(product_code)
        if position is None:
            raise UnknownProduct(product_code)
        tag = b'"%b"' % _digest(self._state, b"%d" % position)
        headers = [(b"etag", tag), (b"cache-control", self._caching)]
        # A client may have several, weak ones among them: W/"…", "…". Ours can be no part of one.
        if known_tags is not None and (tag in known_tags or known_tags.strip() == KNOWN_TO_ALL):
            return CurveAnswer(304, headers, b"")
        content = self._content(position)
        headers += [JSON_CONTENT, (b"content-length", b"%d" % len(content))]
        return CurveAnswer(200, headers, content)

    @cached_property
    def _state(self) -> bytes:
        """What all tags change with: the model, whose version is in each answer, and the code."""
        return _digest(self._content(0), (git_commit() or "").encode())

    def _content(self, position: int) -> bytes:
        """Return a `ProductCurveAnswer` as JSON."""
        model = self._model
        (facts,) = product_facts(model, [position])
        level = model.metadata.interval.level
        return to_json({"model_version": model.version, "interval_level": level, **facts})


def _digest(*parts: bytes) -> bytes:
    return blake2b(b" ".join(parts), digest_size=TAG_BYTES).hexdigest().encode()


def product_facts(
    model: DispatchModel, positions: Sequence[int], with_curves: bool = True
) -> list[dict[str, Any]]:
    """Return the fields of a `ProductAnswer` for each product; all curves come from one call.

    Args:
        model: what to ask.
        positions: of the products in the model's catalogue.
        with_curves: whether to estimate curves at all, which takes 0.1 ms for each product.
    """
    catalogue = model.metadata.catalogue
    codes = [catalogue.product_code[position] for position in positions]
    places = np.array(positions, dtype=np.intp)
    least, most = catalogue.least_orders[places], catalogue.most_orders[places]
    curves = _curves(model, codes, least, most) if with_curves else [None] * len(codes)
    facts = zip(codes, catalogue.rows[places].tolist(), least.tolist(), most.tolist(), curves)
    return [
        {
            "product_code": code,
            "curve_from": model.curve_from(code),
            "trusted": not model.doubts(code),
            "doubts": model.doubts(code),
            "remarks": model.remarks(code),
            "rows": rows,
            "least_orders": least_orders,
            "most_orders": most_orders,
            "curve": curve,
        }
        for code, rows, least_orders, most_orders, curve in facts
    ]


def _curves(
    model: DispatchModel, codes: Sequence[str], least: Floats, most: Floats
) -> list[dict[str, list[float]]]:
    """Return a `ProductCurve` for each product, over its range, shape (n_products,).

    It has one point if the product was seen at one order count.
    """
    step = (most - least) / (CURVE_POINTS - 1)
    placed = least[:, np.newaxis] + step[:, np.newaxis] * STEPS
    placed[:, -1] = most
    rows = [code for code in codes for _ in range(CURVE_POINTS)]
    predicted = model.predict({PRODUCT: rows, ORDERS: placed.ravel()})
    hours = np.round(predicted[:3], DECIMALS).reshape(3, *placed.shape)
    columns = [placed.tolist(), *hours.tolist()]
    n_points = np.where(least < most, CURVE_POINTS, 1)
    return [
        {name: column[row][:n] for name, column in zip(ProductCurve.model_fields, columns)}
        for row, n in enumerate(n_points)
    ]
