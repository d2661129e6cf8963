"""The bounds of the prediction intervals around estimates, for one order or many.

Below and above an estimate ŷ of a product an interval reaches √(r² + (m · ŷ)²), for the reach r
that its noise asks for and the movement m (see `PredictionInterval`). Outside of the range of
orders seen with a product, nothing is known of its curve. There its interval reaches as far again
for each width of that range that the order is away from it, as if the slope were off by as much as
the interval reaches over one width, and holds no share of orders that could be told.

Python's floats and NumPy do the same operations, so that both give the same bits; so there is no
`hypot`, which they do not round alike.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.model.arrays import Floats
from pipeline.model.metadata import ModelMetadata, PredictionInterval
from pipeline.model.product_codes import Positions


class Bounds(NamedTuple):
    """Bounds of the intervals of orders, each of shape (n_rows,).

    Attributes:
        lower: lower bounds in hours.
        upper: upper bounds.
        extrapolated: whether the order count is outside the range that the model saw of the
            product.
    """

    lower: Floats
    upper: Floats
    extrapolated: npt.NDArray[np.bool_]


class IntervalTable:
    """The intervals of all products: those of an earlier week have that week's."""

    def __init__(self, metadata: ModelMetadata, week: npt.NDArray[np.int16]) -> None:
        """Prepare what both ways look up.

        Args:
            metadata: of the model.
            week: of each product, see `ModelMetadata.week_of_products`.
        """
        catalogue = metadata.catalogue
        self._catalogue = catalogue
        self._week = week
        intervals = [metadata.interval, *(each.interval for each in metadata.earlier_weeks)]
        self._parameters = np.array([_parameters(interval) for interval in intervals])
        # Elements of a memoryview are Python's own numbers, several times faster than NumPy's.
        self._of_one = (
            catalogue.least_orders.data,
            catalogue.most_orders.data,
            catalogue.relative_lower_noise.data,
            catalogue.relative_upper_noise.data,
            week.data,
            self._parameters.tolist(),
        )

    def reach_of_noise(self, positions: Positions, hours: Floats) -> Floats:
        """Return how far the intervals would reach below and above without movement, shape (2, n).

        Args:
            positions: of the products of the orders, shape (n,).
            hours: estimated for them, shape (n,).
        """
        multiples, base, growth, _ = self._of(positions)
        reach: Floats = multiples * base + multiples * growth * hours
        return reach

    def around(self, positions: Positions, hours: Floats) -> tuple[Floats, Floats]:
        """Return the lower and upper bounds within the range of orders seen, each of shape (n,)."""
        below, above = self._reach(positions, hours)
        return np.maximum(hours - below, 0.0), hours + above

    def at(self, positions: Positions, placed: Floats, hours: Floats) -> Bounds:
        """Return the bounds for any orders placed, shape (n,)."""
        catalogue = self._catalogue
        least, most = catalogue.least_orders[positions], catalogue.most_orders[positions]
        distance = np.maximum(least - placed, placed - most)
        widening = 1.0 + np.maximum(distance, 0.0) / _range(least, most)
        below, above = self._reach(positions, hours) * widening
        return Bounds(np.maximum(hours - below, 0.0), hours + above, distance > 0)

    def at_one(self, position: int, placed: float, hours: float) -> tuple[float, float, bool]:
        """Return lower and upper bound for one order, and whether it is extrapolated."""
        leasts, mosts, noise_below, noise_above, weeks, parameters = self._of_one
        lower_multiple, upper_multiple, base, growth, movement = parameters[weeks[position]]
        multiple_below = lower_multiple * noise_below[position]
        multiple_above = upper_multiple * noise_above[position]
        below = multiple_below * base + multiple_below * growth * hours
        above = multiple_above * base + multiple_above * growth * hours
        moved = movement * hours
        below, above = sqrt(below * below + moved * moved), sqrt(above * above + moved * moved)
        least, most = leasts[position], mosts[position]
        distance = max(least - placed, placed - most)
        if distance > 0:
            width = most - least
            widening = 1.0 + distance / (width if width > 0 else max(most, 1.0))
            below, above = below * widening, above * widening
        return max(hours - below, 0.0), hours + above, distance > 0

    def _reach(self, positions: Positions, hours: Floats) -> Floats:
        """Return how far intervals reach below and above, shape (2, n)."""
        multiples, base, growth, movement = self._of(positions)
        reach, moved = multiples * base + multiples * growth * hours, movement * hours
        both: Floats = np.sqrt(reach * reach + moved * moved)
        return both

    def _of(self, positions: Positions) -> tuple[Floats, Floats, Floats, Floats]:
        """Return multiples times noise, (2, n), and base, growth and movement, each (n,)."""
        parameters = self._parameters[self._week[positions]].T
        base, growth, movement = parameters[2:]
        return parameters[:2] * self._catalogue.noise_of(positions), base, growth, movement


def _range(least_orders: Floats, most_orders: Floats) -> Floats:
    """Return the widths of the ranges seen of products, in orders placed, shape (n,).

    Where there was one order count only, it is that count, and at least one order.
    """
    widths = most_orders - least_orders
    return np.where(widths > 0, widths, np.maximum(most_orders, 1.0))


def _parameters(interval: PredictionInterval) -> tuple[float, float, float, float, float]:
    return (
        interval.lower_multiple,
        interval.upper_multiple,
        interval.noise_base_hours,
        interval.noise_growth,
        interval.movement,
    )
