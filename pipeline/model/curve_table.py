"""The curves of an artifact as plain tables: estimates for one order or many, without ONNX.

    hours(orders) = max(level + Σᵢ riseᵢ + riseⱼ · (orders - startⱼ) / widthⱼ, 0), i before j

for the segment j that the orders are in. The sums are those of the artifact's ONNX graph, in double
precision. Python's floats (one order) and NumPy (many) do the same operations in the same order, so
that both give the same bits.
"""

from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from pipeline.model.arrays import Floats
from pipeline.model.columns import pack, unpack
from pipeline.model.limits import MAX_EARLIER_WEEKS
from pipeline.model.order import ORDERS
from pipeline.model.product_codes import Positions
from pipeline.model.regressor import OrderColumns

KINDS = ((np.int32,), (np.float32, np.float64), (np.float64,), (np.float64,))
"""Of numbers in the columns; in the byte order of this machine."""
MAX_SEGMENTS = 100
MAX_WEEKS = 1 + MAX_EARLIER_WEEKS


class CurveColumns(NamedTuple):
    """Curves as an artifact carries them; those of one week share their segments.

    Attributes:
        week: number of each product's week, in the order of the catalogue, shape (n_products,).
        coefficients: level and rise over each segment in hours, in artifacts in single precision,
            shape (n_products, S + 1), where S is the largest number of segments, at least one.
        starts: order counts at which the segments of each week begin, rising, shape (n_weeks, S);
            infinite where a week has fewer segments.
        widths: of the segments in orders placed, of the same shape.
    """

    week: npt.NDArray[np.int32]
    coefficients: npt.NDArray[np.float32] | Floats
    starts: Floats
    widths: Floats

    def packed(self) -> str:
        """Return the curves as text."""
        return pack(self._asdict())

    @classmethod
    def unpacked(cls, text: str, n_products: int) -> Self:
        """Return the curves in a text.

        Raises:
            ValueError: it does not hold the curves of so many products.
        """
        columns = unpack(text)
        missing = [name for name in cls._fields if name not in columns]
        if missing:
            raise ValueError(f"There is no column {', '.join(missing)}.")
        curves = cls(**{name: columns[name] for name in cls._fields})
        curves._check(n_products)
        return curves

    def _check(self, n_products: int) -> None:
        """See that everything that will be looked up is there.

        Raises:
            ValueError: it is not.
        """
        kinds = [column.dtype for column in self]
        if not all(kind in known for kind, known in zip(kinds, KINDS)):
            raise ValueError(f"The columns hold numbers of other kinds: {kinds}.")
        n_weeks, n_segments = self.starts.shape if self.starts.ndim == 2 else (0, 0)
        expected = [(n_products,), (n_products, n_segments + 1), (n_weeks, n_segments)]
        shapes = [self.week.shape, self.coefficients.shape, self.widths.shape]
        if not 0 < n_segments <= MAX_SEGMENTS or n_weeks > MAX_WEEKS or shapes != expected:
            raise ValueError(f"The shapes {shapes} are not those of {n_products:,} curves.")
        if not ((0 <= self.week) & (self.week < n_weeks)).all():
            raise ValueError(f"A curve is of a week that is not among the {n_weeks:,}.")
        if not np.isfinite(self.coefficients).all() or (self.coefficients[:, 1:] < 0).any():
            raise ValueError("A curve falls, or has no number where there should be one.")
        is_after = (self.starts[:, 1:] > self.starts[:, :-1]) | np.isposinf(self.starts[:, 1:])
        are_apart = np.isfinite(self.widths).all() and (self.widths > 0).all()
        if not (np.isfinite(self.starts[:, 0]).all() and is_after.all() and are_apart):
            raise ValueError("The segments of a week do not follow each other.")


class CurveTable:
    """Evaluates curves; a `Regressor`."""

    def __init__(self, curves: CurveColumns) -> None:
        """Prepare what both ways look up."""
        self._curves = curves
        self._columns = curves.coefficients.shape[1]
        # Elements of a memoryview are Python's own numbers, several times faster than NumPy's.
        self._coefficients = np.ascontiguousarray(curves.coefficients).ravel().data
        self._weeks = np.ascontiguousarray(curves.week).data
        self._inner_starts = [starts[1:].tolist() for starts in curves.starts]
        self._segments = [
            list(zip(starts.tolist(), widths.tolist()))
            for starts, widths in zip(curves.starts, curves.widths)
        ]

    @property
    def knots(self) -> Floats:
        """The order counts at which segments begin or end, sorted, shape (n_knots,)."""
        starts, widths = self._curves.starts, self._curves.widths
        ends = np.concatenate([starts, starts + widths], axis=None)
        return np.unique(ends[np.isfinite(ends)])

    def hours(self, positions: Positions, orders: OrderColumns) -> Floats:
        """See `Regressor.hours`."""
        placed = np.asarray(orders.get(ORDERS), dtype=np.float64)
        curves = self._curves
        week = curves.week[positions]
        inner_starts = curves.starts[:, 1:].T[:, week]
        segment = (placed >= inner_starts).sum(axis=0)
        level, *rises = curves.coefficients[positions].T.astype(np.float64)
        passed = np.zeros(len(placed))
        own = rises[0]
        for number, (rise, following) in enumerate(pairwise(rises)):
            is_passed = segment > number
            passed += np.where(is_passed, rise, 0.0)
            own = np.where(is_passed, following, own)
        share = (placed - curves.starts[week, segment]) / curves.widths[week, segment]
        hours = level + (passed + own * share)
        # Adding zero turns -0.0 into 0.0.
        estimates: Floats = np.maximum(hours, 0.0) + 0.0
        return estimates

    def hours_of_one(self, position: int, order: Mapping[str, Any]) -> float:
        """See `Regressor.hours_of_one`."""
        placed = order[ORDERS]
        week = self._weeks[position]
        segment = bisect_right(self._inner_starts[week], placed)
        start, width = self._segments[week][segment]
        coefficients = self._coefficients
        level = position * self._columns
        own = level + 1 + segment
        passed = 0.0
        for rise in coefficients[level + 1 : own]:
            passed += rise
        share = (placed - start) / width
        hours: float = coefficients[level] + (passed + coefficients[own] * share)
        return 0.0 if hours <= 0.0 else hours
