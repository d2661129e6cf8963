"""The steps in which hours come: whole days, shifts, or the last digit of a clock.

A label that was rounded to a step says nothing about what is smaller. The rounding alone, uniform
over a step, has a standard deviation of step / √12 (Sheppard 1898).
"""

import numpy as np
import numpy.typing as npt

from pipeline.curves.labels import RESOLUTION, LabelCounts, Units, count_labels, in_units
from pipeline.curves.noise import MEAN_ABSOLUTE_NORMAL
from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats
from pipeline.orders.splits import systematic_sample

MIN_SHARE_ON_STEPS = 0.95
"""A few labels may be beside the steps that all others keep to."""
MAX_DISTINCT_SHARE = 0.5
"""Labels that hardly ever agree are not told to come in steps."""
MIN_SHARE_OF_OTHERS = 0.05
"""Fewer labels than these, beside the most frequent one, do not tell what the step is."""
MIN_ROWS_OF_OWN_STEP = 20
MIN_SHARE_OF_FREQUENT, MIN_SHARE_OF_MOST = 0.1, 0.5
"""Labels that so many rows have each, and more than so many together, may come in steps although
the others do not."""
MAX_STEP_ROWS = 200_000


def step_of(hours: Floats) -> float:
    """Return the largest step that nearly all labels are whole numbers of apart, or zero.

    Args:
        hours: labels, shape (n_rows,).
    """
    sample = hours[systematic_sample(len(hours), MAX_STEP_ROWS)]
    counts = count_labels(np.zeros(len(sample), dtype=np.intp), in_units(sample))
    if not 2 <= len(counts.units) <= MAX_DISTINCT_SHARE * len(sample):
        return 0.0
    return float(_largest_steps(counts)[0])


def steps_of_products(product: Positions, hours: Floats, n_products: int) -> Floats:
    """Return the step of the labels of each product in hours, zero for none, shape (n_products,).

    A product with few rows, or of which nearly all labels are the same, does not tell its step: it
    has that of all products.

    Args:
        product: position of each row's product, shape (n_rows,).
        hours: labels, shape (n_rows,).
        n_products: number of products.
    """
    sample = systematic_sample(len(hours), MAX_STEP_ROWS)
    return steps_of_each(product[sample], hours[sample], n_products, otherwise=step_of(hours))


def steps_of_each(product: Positions, hours: Floats, n_products: int, otherwise: float) -> Floats:
    """Return the step of the labels of each product in hours, by all of these rows.

    Args:
        product: position of each row's product, shape (n_rows,).
        hours: labels, shape (n_rows,).
        n_products: number of products.
        otherwise: the step of products that do not tell theirs, in hours.
    """
    counts = count_labels(product, in_units(hours))
    rows = counts.rows_of_product
    others = rows - counts.rows[counts.most_frequent]
    tells = (rows >= MIN_ROWS_OF_OWN_STEP) & (others >= MIN_SHARE_OF_OTHERS * rows)
    own = np.where(counts.labels <= MAX_DISTINCT_SHARE * rows, _largest_steps(counts), 0.0)
    own = np.maximum(own, _steps_of_most(counts))
    steps = np.full(n_products, otherwise)
    steps[counts.product[counts.first[tells]]] = own[tells]
    return steps


def smallest_noise(steps: Floats) -> Floats:
    """Return the standard deviations that rounding to steps makes, in hours."""
    noise: Floats = steps / np.sqrt(12)
    return noise


def with_steps(residuals: Floats, steps: Floats) -> Floats:
    """Return the sizes of residuals, and where they are less than a step lets one see, that size.

    The noise of such distances is not smaller than that of the step.

    Args:
        residuals: label minus estimate in hours, shape (n_rows,).
        steps: of their labels, in hours, shape (n_rows,).
    """
    least = MEAN_ABSOLUTE_NORMAL * smallest_noise(steps)
    distances: Floats = np.maximum(np.abs(residuals), least)
    return distances


def _steps_of_most(counts: LabelCounts) -> Floats:
    """Return the step of a few labels that most rows of a product have, in hours, or zero.

    That is where most hours are written down in whole days, and the others exactly.
    """
    rows = counts.rows_of_product
    is_frequent = counts.rows >= MIN_SHARE_OF_FREQUENT * rows[counts.number]
    frequent_rows = np.add.reduceat(np.where(is_frequent, counts.rows, 0), counts.first)
    others = counts.labels - np.add.reduceat(is_frequent.astype(np.intp), counts.first)
    is_exact = others > MAX_DISTINCT_SHARE * (rows - frequent_rows)
    is_mixed = is_exact & (frequent_rows > MIN_SHARE_OF_MOST * rows)
    some = is_frequent & is_mixed[counts.number]
    steps = np.zeros(len(rows))
    if some.any():
        labels = np.repeat(np.arange(len(counts.units))[some], counts.rows[some])
        frequent = count_labels(counts.number[labels], counts.units[labels])
        steps[frequent.product[frequent.first]] = _largest_steps(frequent)
    return steps


def _largest_steps(counts: LabelCounts) -> Floats:
    """Return the step of the labels of each product with rows in hours, or zero.

    It is the larger one of two that nearly all labels are whole numbers of apart: the most
    frequent gap between neighbouring labels, and the greatest common divisor of all gaps.
    """
    number = counts.number
    is_gap = number[1:] == number[:-1]
    if not is_gap.any():
        return np.zeros(len(counts.first))
    gaps = count_labels(number[1:][is_gap], np.diff(counts.units)[is_gap])
    with_gaps = gaps.product[gaps.first]
    candidates = np.zeros((2, len(counts.first)), dtype=np.int64)
    candidates[0, with_gaps] = gaps.units[gaps.most_frequent]
    candidates[1, with_gaps] = np.gcd.reduceat(gaps.units, gaps.first)
    steps = np.array([np.where(_keep_to(counts, step), step, 0) for step in candidates])
    largest: Floats = steps.max(axis=0) * RESOLUTION
    return largest


def _keep_to(counts: LabelCounts, step: Units) -> npt.NDArray[np.bool_]:
    """Return which products have nearly all labels whole numbers of a step apart.

    Args:
        counts: of their labels.
        step: of each in units of the resolution; zero for none, shape (n_products_with_rows,).
    """
    of_label = np.maximum(step, 1)[counts.number]
    from_most_frequent = counts.units - counts.units[counts.most_frequent][counts.number]
    beside = np.abs(from_most_frequent - of_label * np.rint(from_most_frequent / of_label))
    on_steps = np.add.reduceat(np.where(beside <= 1, counts.rows, 0), counts.first)
    kept: npt.NDArray[np.bool_] = on_steps >= MIN_SHARE_ON_STEPS * counts.rows_of_product
    return kept
