"""Pairs of products whose curves changed places: their codes were swapped, or their labels."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from pipeline.curves.noise import MEDIAN_ABSOLUTE_NORMAL
from pipeline.model.arrays import Floats
from pipeline.model.reader import DispatchModel
from pipeline.release.champion import (
    Challenger,
    champion_on_grid,
    estimate_ratios,
)

FALSE_ALARM_RATE = 0.005
USUAL_SPREAD = 0.1
"""Standard deviation of the logarithm of a week's step of a product, as long as little is known."""
USUAL_SPREAD_FREEDOM = 8.0
"""It weighs as much as so many steps that were seen."""
EFFICIENCY_OF_MEDIANS = 0.37
"""A spread that is measured by the median of the distances is as sure as that of so many rows
(Rousseeuw and Croux 1993)."""
MAX_LOOKED_AT = 150
"""Products, those that moved farthest: their pairs can all be looked at."""
COMMON_ORDERS = 9
MIN_HOURS = 1e-3
"""Curves that are nearer to each other are the same."""


class Swap(NamedTuple):
    """Two products, each of which is now where the other was.

    Attributes:
        one: code of a product.
        other: code of the other.
    """

    one: str
    other: str


def find_swaps(
    champion: DispatchModel, challenger: Challenger, references: Sequence[DispatchModel]
) -> tuple[Swap, ...]:
    """Return the pairs of products that seem to have been swapped, the surest first.

    The new curve of each has to be nearer to the champion's curve of the other than to its own,
    by more than the noise of both weeks and the usual wandering of curves explain. How far curves
    wander is measured from the steps between the last models; among curves that wander by a tenth a
    week, nobody can tell whether neighbours were swapped.

    Args:
        champion: the model in production.
        challenger: the new model and its week.
        references: the last models, the champion among them, the newest last.
    """
    curves = _curves(champion, challenger)
    if len(curves.codes) < 2:
        return ()
    pairs = _exchanged(curves)
    if not len(pairs.one):
        return ()
    spread, freedom = _usual_step(references, challenger)
    # A swap moves both along the line between them: one by +1 of it, the other by -1. Chance and
    # wandering move them from where they were by a sum of mean zero and this variance.
    error = np.sqrt(pairs.noise_variance + spread**2 * pairs.variance_of_steps)
    chance = stats.t.sf(pairs.moved / error, freedom)
    n_products = np.count_nonzero(champion.products.positions(challenger.grid.products) >= 0)
    n_pairs = n_products * (n_products - 1) / 2
    # Benjamini and Hochberg 1995: the pairs that are not looked at have a chance of one.
    adjusted = stats.false_discovery_control(np.minimum(chance * n_pairs / len(chance), 1.0))
    found: list[Swap] = []
    taken: set[int] = set()
    for position in np.argsort(chance, kind="stable"):
        pair = {int(pairs.one[position]), int(pairs.other[position])}
        if adjusted[position] < FALSE_ALARM_RATE and not pair & taken:
            taken |= pair
            found.append(Swap(*(str(curves.codes[product]) for product in sorted(pair))))
    return tuple(found)


class _Curves(NamedTuple):
    """The products that moved farthest, with both models' curves from zero to `most` orders.

    Attributes:
        codes: of the products, shape (n,).
        most: orders, shape (n,).
        before: hours of the champion at evenly spaced orders, shape (n, n_points).
        after: those of the challenger.
        noise: standard deviation of a curve's mean height by the noise of its rows in both weeks,
            in hours, shape (n,).
    """

    codes: npt.NDArray[np.object_]
    most: Floats
    before: Floats
    after: Floats
    noise: Floats


class _Pairs(NamedTuple):
    """Pairs of products that are nearer to each other's place than to their own; shape (n_pairs,).

    Attributes:
        one: position of a product.
        other: position of the other.
        moved: how far both moved towards each other together; 2 if they changed places.
        noise_variance: of that, by noise.
        variance_of_steps: of that, if the logarithm of each curve moves by a normal step of 1.
    """

    one: npt.NDArray[np.intp]
    other: npt.NDArray[np.intp]
    moved: Floats
    noise_variance: Floats
    variance_of_steps: Floats


def _curves(champion: DispatchModel, challenger: Challenger) -> _Curves:
    grid = challenger.grid
    before = champion_on_grid(champion, grid)
    is_usable = np.isfinite(before).all(axis=1) & (grid.orders[:, -1] > 0)
    catalogue = champion.metadata.catalogue
    positions = catalogue.product_code.positions(grid.products)
    rows_before = np.where(positions < 0, 1, catalogue.rows[positions])
    noise = challenger.noise * np.sqrt(1 / challenger.rows + 1 / rows_before)
    distance = np.sqrt(((grid.hours - before) ** 2).mean(axis=1)) / noise
    farthest = np.argsort(np.where(is_usable, -distance, np.inf), kind="stable")
    chosen = np.sort(farthest[: min(MAX_LOOKED_AT, int(is_usable.sum()))])
    return _Curves(
        grid.products[chosen],
        grid.orders[chosen, -1],
        before[chosen],
        grid.hours[chosen],
        noise[chosen],
    )


def _exchanged(curves: _Curves) -> _Pairs:
    """Return the pairs of which each is more than half of the way to where the other was."""
    one, other = np.triu_indices(len(curves.codes), k=1)
    most = np.minimum(curves.most[one], curves.most[other])
    own, new = (
        (_at(hours, curves.most, one, most), _at(hours, curves.most, other, most))
        for hours in (curves.before, curves.after)
    )
    between = own[1] - own[0]
    length = (between**2).sum(axis=1)
    length = np.maximum(length, COMMON_ORDERS * MIN_HOURS**2)
    # How far each moved along the line from its own curve to the other's, as a share of it.
    share_one = ((new[0] - own[0]) * between).sum(axis=1) / length
    share_other = ((own[1] - new[1]) * between).sum(axis=1) / length
    found = (share_one > 0.5) & (share_other > 0.5)
    steps = [((curve * between).sum(axis=1) / length) ** 2 for curve in own]
    noise = (curves.noise[one] ** 2 + curves.noise[other] ** 2) * COMMON_ORDERS / length
    return _Pairs(
        one[found],
        other[found],
        (share_one + share_other)[found],
        noise[found],
        (steps[0] + steps[1])[found],
    )


def _at(hours: Floats, own_most: Floats, products: npt.NDArray[np.intp], most: Floats) -> Floats:
    """Return curves at order counts from zero to `most`, shape (n_pairs, 9)."""
    n_points = hours.shape[1]
    place = np.linspace(0.0, most / own_most[products] * (n_points - 1), COMMON_ORDERS, axis=1)
    left = np.minimum(place.astype(np.intp), n_points - 2)
    share = place - left
    rows = products[:, np.newaxis]
    at: Floats = hours[rows, left] * (1 - share) + hours[rows, left + 1] * share
    return at


def _usual_step(references: Sequence[DispatchModel], challenger: Challenger) -> tuple[float, float]:
    """Return the standard deviation of a product's step in a week, and its degrees of freedom.

    Steps are of the logarithm of the estimates, around the median step of their week. Of this
    week's the spread is measured by medians: a swap among them must not hide itself.
    """
    ratios = np.array([estimate_ratios(model, challenger.grid) for model in references])
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = -np.diff(np.log(ratios), axis=0, append=0.0)
    squares, freedom = USUAL_SPREAD_FREEDOM * USUAL_SPREAD**2, USUAL_SPREAD_FREEDOM
    for number, week in enumerate(steps, start=1):
        known = week[np.isfinite(week)]
        if len(known) <= 2:
            continue
        deviations = np.abs(known - np.median(known))
        if number == len(steps):
            variance = float(np.median(deviations) / MEDIAN_ABSOLUTE_NORMAL) ** 2
            added = EFFICIENCY_OF_MEDIANS * (len(known) - 1)
        else:
            variance = float((deviations**2).sum()) / (len(known) - 1)
            added = len(known) - 1
        squares, freedom = squares + added * variance, freedom + added
    return math.sqrt(squares / freedom), freedom
