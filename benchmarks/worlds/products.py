"""The products of a simulated world, each with a line: hours when the day begins, and per order."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.model.arrays import Floats
from pipeline.orders.simulator import HOURS_PER_ORDER

Integers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.object_]

MIN_SLOPE = 0.005


class LinePrior(NamedTuple):
    """How intercepts (hours) and slopes (hours per order) of products are drawn.

    Attributes:
        means: of intercept and slope, shape (2,).
        deviations: their standard deviations, shape (2,).
    """

    means: Floats
    deviations: Floats


MANY_PRODUCTS_PRIOR = LinePrior(np.array([2.0, 0.06]), np.array([0.8, 0.02]))


class Products(NamedTuple):
    """The products of a world, as columns of equal length.

    Attributes:
        codes: the product codes.
        intercepts: hours when no orders were placed before.
        slopes: hours per order placed.
        rows: of each product in the training week.
    """

    codes: Codes
    intercepts: Floats
    slopes: Floats
    rows: Integers


def sample_products(
    rows: int, random: np.random.Generator, slopes: Floats | None = None
) -> Products:
    """Return the five products of the sample data.

    Args:
        rows: of all products together.
        random: shares the rows out.
        slopes: instead of those of the sample data, shape (5,).
    """
    codes = np.array(list(HOURS_PER_ORDER), dtype=object)
    if slopes is None:
        slopes = np.array(list(HOURS_PER_ORDER.values()))
    shares = np.full(len(codes), 1 / len(codes))
    return Products(codes, np.zeros(len(codes)), slopes, random.multinomial(rows, shares))


def drawn_products(rows: Integers, random: np.random.Generator) -> Products:
    """Draw the lines of products that have these numbers of rows."""
    means, deviations = MANY_PRODUCTS_PRIOR
    lines = random.normal(means, deviations, size=(len(rows), 2))
    codes = np.array([f"SKU{number:05d}" for number in range(len(rows))], dtype=object)
    return Products(codes, lines[:, 0], np.maximum(lines[:, 1], MIN_SLOPE), rows)
