"""Curves as tables: those of one week share their knots, and tables of several weeks are joined.

A product without orders keeps the curve of an earlier week, so a model may hold the curves of
several weeks. Joined, each product has one row of coefficients, and the number of its week, by
which its knots are found.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from pipeline.curves.segments import Positions, evaluate, locate
from pipeline.model.arrays import Floats


class CurveTable(NamedTuple):
    """The curves of products that share their knots.

    Attributes:
        products: product codes, shape (n_products,).
        knots: order counts between which the curves are straight, shape (D,), where D is the
            number of segments plus one.
        coefficients: level at the first knot and rise over each segment in hours, shape
            (n_products, D).
    """

    products: npt.NDArray[np.object_]
    knots: Floats
    coefficients: Floats

    def of(self, products: Collection[str]) -> Self:
        """Return the curves of some of the products; others than those in the table are ignored."""
        rows = [code in products for code in self.products]
        return self._replace(products=self.products[rows], coefficients=self.coefficients[rows])

    def evaluate(self, product: Positions, orders: Floats) -> Floats:
        """Return the hours that the curves give, shape (n_rows,); they may be negative.

        Args:
            product: position of each row's product in the table, shape (n_rows,).
            orders: orders placed, shape (n_rows,).
        """
        rows = locate(self.knots, product, orders, len(self.products))
        return evaluate(self.coefficients, rows)


class JoinedTables(NamedTuple):
    """Tables of several weeks, whose curves are filled up with segments without rise.

    hours(orders) = level + Σⱼ riseⱼ · clip((orders - startⱼ) / widthⱼ, lowerⱼ, upperⱼ)

    Attributes:
        products: product codes, shape (n_products,).
        week: number of each product's table, shape (n_products,).
        coefficients: level and rises in hours, shape (n_products, S + 1), where S is the largest
            number of segments.
        starts: order counts at which the segments of each table begin, shape (n_tables, S).
        widths: of the segments in orders placed, of the same shape.
        upper: 1, and infinity for the last segment of a table, which goes on, of the same shape.
    """

    products: npt.NDArray[np.object_]
    week: Positions
    coefficients: Floats
    starts: Floats
    widths: Floats
    upper: Floats

    def split(self) -> tuple[CurveTable, ...]:
        """Return the tables that were joined."""
        return tuple(self._table(number) for number in range(len(self.starts)))

    def _table(self, number: int) -> CurveTable:
        last = np.flatnonzero(np.isinf(self.upper[number]))
        segments = int(last[0]) + 1 if len(last) else 0
        starts, widths = self.starts[number, :segments], self.widths[number, :segments]
        # A level alone has a knot, wherever that is.
        knots = np.append(starts, starts[-1:] + widths[-1:]) if segments else np.zeros(1)
        rows = self.week == number
        return CurveTable(self.products[rows], knots, self.coefficients[rows, : segments + 1])


def join(tables: Sequence[CurveTable]) -> JoinedTables:
    """Join tables whose products differ."""
    segments = max(len(table.knots) for table in tables) - 1

    def filled(values: Floats, filling: float) -> Floats:
        missing = segments - values.shape[-1]
        return np.pad(
            values, [(0, 0)] * (values.ndim - 1) + [(0, missing)], constant_values=filling
        )

    upper = [np.append(np.ones(len(table.knots) - 1), np.inf)[1:] for table in tables]
    rises = [filled(table.coefficients[:, 1:], 0.0) for table in tables]
    levels = [table.coefficients[:, :1] for table in tables]
    return JoinedTables(
        products=np.concatenate([table.products for table in tables]),
        week=np.repeat(np.arange(len(tables)), [len(table.products) for table in tables]),
        coefficients=np.concatenate([np.concatenate(levels), np.concatenate(rises)], axis=1),
        starts=np.array([filled(table.knots[:-1], 0.0) for table in tables]),
        widths=np.array([filled(np.diff(table.knots), 1.0) for table in tables]),
        upper=np.array([filled(ends, 1.0) for ends in upper]),
    )
