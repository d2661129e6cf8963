"""The answers of a model to orders in columns, as JSON like `ColumnsAnswer`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic_core import to_json

from pipeline.api.batch_schemas import EstimateColumns
from pipeline.api.product_kinds import product_kinds
from pipeline.api.rounding import rounded
from pipeline.model.product_codes import Positions
from pipeline.model.reader import DispatchModel, Predictions

COLUMNS = tuple(EstimateColumns.model_fields)
REFUSED = -1
"""Kind of an order that is refused: the last of the kinds, of which nothing is said."""


class ColumnAnswers:
    """A model, and how its answers are written in columns."""

    def __init__(self, model: DispatchModel) -> None:
        """Write all that does not depend on orders."""
        self._kind, kinds = product_kinds(model)
        curve_from = [to_json(kind.curve_from) for kind in kinds]
        trusted = [to_json(kind.trusted) for kind in kinds]
        self._said = [np.array([*of, b"null"], dtype=object) for of in (curve_from, trusted)]
        interval = model.metadata.interval
        self._head = b'{"model_version":%b,"interval_level":%b,"dispatched_within_share":%b' % (
            to_json(model.version),
            to_json(interval.level),
            to_json(interval.share_within),
        )

    def part(
        self,
        positions: Positions,
        predicted: Predictions,
        n_orders: int,
        refused: Collection[int],
    ) -> dict[str, bytes]:
        """Return the values of `EstimateColumns` for some orders, with commas between them.

        Args:
            positions: of the products of the orders that are not refused.
            predicted: what the model says to these.
            n_orders: number of all.
            refused: places of the others, which get null.
        """
        outside = predicted.extrapolated.tolist()
        columns: list[list[Any]] = [*map(rounded, predicted[:3]), outside]
        kinds = self._kind[positions]
        if refused:
            places = [place for place in range(n_orders) if place not in refused]
            columns = [_spread(column, places, n_orders) for column in columns]
            kinds = np.full(n_orders, REFUSED)
            kinds[places] = self._kind[positions]
        hours, lower, upper, outside = columns
        within = upper
        if True in outside:
            within = [None if far else end for far, end in zip(outside, upper)]
        texts = [to_json(column)[1:-1] for column in (hours, lower, upper, within, outside)]
        said = [b",".join(of[kinds].tolist()) for of in self._said]
        return dict(zip(COLUMNS, [*texts, *said]))

    def whole(
        self, parts: Sequence[Mapping[str, bytes]], errors: Sequence[Mapping[str, Any]]
    ) -> bytes:
        """Return a `ColumnsAnswer` of what `part` returned for all orders, and their errors."""
        pieces = [self._head, b',"predictions":{']
        for name in COLUMNS:  # joined at once: they are megabytes
            pieces += [to_json(name), b":["]
            pieces += [piece for part in parts for piece in (part[name], b",")]
            pieces[-1] = b"],"
        pieces[-1] = b']},"errors":'
        return b"".join([*pieces, to_json(errors), b"}"])


def _spread(values: Sequence[Any], places: Sequence[int], n_orders: int) -> list[Any]:
    """Return a column with these values at these places, and None elsewhere."""
    column = [None] * n_orders
    for place, value in zip(places, values):
        column[place] = value
    return column
