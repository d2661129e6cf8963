"""Simulated worlds: weeks of orders whose true mean is known.

In a world, a product takes `intercept + slope · x / (1 - x / capacity)` hours for x orders placed,
plus normal noise; the sum is floored at zero. Without a capacity that is a straight line.
Some orders of the first product may be of another kind, and hours may be rounded to steps.
Everything follows from the world's seed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from benchmarks.worlds.products import (
    MANY_PRODUCTS_PRIOR,
    Integers,
    LinePrior,
    Products,
    drawn_products,
    sample_products,
)
from pipeline.model.arrays import Floats
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.orders.row_rules import COLUMNS
from pipeline.orders.simulator import BUSIEST_DAY, NOISE_HOURS

FRESH_ROWS = 5_000
BAD_SHARE = 0.005
PRODUCT_STREAM, TRAINING_STREAM, FRESH_STREAM, DIRT_STREAM = range(4)
"""Second part of the seeds, so that no two draws of a world share their random numbers."""

MIN_PRODUCT_ROWS, MANY_PRODUCT_ROWS = 2, 8
"""Of the many small products, half have rows from the first up to, but without, the second."""


class OtherKind(NamedTuple):
    """Orders of the first product that are not like its others.

    Attributes:
        share: of the orders of this product, the fresh ones too.
        late_hours: by how much they take longer; None if they are dispatched at once.
    """

    share: float
    late_hours: float | None = None


@dataclass(frozen=True)
class World:
    """Products and noise.

    Attributes:
        products: of the world.
        seed: of its weeks.
        capacity: orders placed at which hours grow without end.
        noise_base_hours: standard deviation of the noise where the mean is zero.
        noise_growth: by how many hours it grows with each hour of the mean.
        mis_keyed_share: share of the training labels that are ten times too large.
        prior: what intercepts and slopes were drawn from, if nobody can know them better.
        fresh_is_even: whether the week to judge on has all products equally often, instead of as
            often as the training week, so that small products weigh more.
        other_kind: orders of the first product that are not like its others, if there are any.
        step_hours: the hours are rounded to whole numbers of these; 0 if they are exact.
    """

    products: Products
    seed: int
    capacity: float = np.inf
    noise_base_hours: float = NOISE_HOURS
    noise_growth: float = 0.0
    mis_keyed_share: float = 0.0
    prior: LinePrior | None = None
    fresh_is_even: bool = False
    other_kind: OtherKind | None = None
    step_hours: float = 0.0

    def training_week(self) -> pd.DataFrame:
        """Draw the valid rows of the week to train on."""
        random = self.random(TRAINING_STREAM)
        rows = self.products.rows
        week = self._week(random.permutation(np.repeat(np.arange(len(rows)), rows)), random)
        return with_mis_keyed_labels(week, self.mis_keyed_share, random)

    def fresh_week(self) -> pd.DataFrame:
        """Draw the week to judge on: other orders of the same products, without mistakes."""
        weights = np.ones_like(self.products.rows) if self.fresh_is_even else self.products.rows
        return self.draw_week(FRESH_ROWS, self.random(FRESH_STREAM), weights)

    def draw_week(self, rows: int, random: np.random.Generator, weights: Integers) -> pd.DataFrame:
        """Draw rows of a week: product codes, orders placed and hours to dispatch.

        Args:
            rows: how many.
            random: the random numbers.
            weights: how frequent each product is.
        """
        product = random.choice(len(weights), size=rows, p=weights / weights.sum())
        return self._week(product, random)

    def best_hours(self, week: pd.DataFrame) -> Floats:
        """Return the best estimates given product and orders, shape (n_rows,).

        They are the true means, which are the medians but for the floor. Where these differ, it is
        the median, which has the least absolute error: of the first product with orders of another
        kind, and of rounded hours, where it is the rounded median.
        """
        product = pd.Index(self.products.codes).get_indexer(pd.Index(week[PRODUCT]))
        level = self._level(product, week[ORDERS].to_numpy())
        noise = self._noise(level)
        best = floored_mean(level, noise)
        if self.other_kind is not None:
            mixed = product == 0
            best[mixed] = _median_of_mixture(level[mixed], noise[mixed], self.other_kind)
        return self._rounded(best)

    def random(self, stream: int) -> np.random.Generator:
        """Return the random numbers of one of this world's draws."""
        return np.random.default_rng([self.seed, stream])

    def _week(self, product: Integers, random: np.random.Generator) -> pd.DataFrame:
        orders = random.integers(BUSIEST_DAY + 1, size=len(product))
        level = self._level(product, orders)
        hours = np.maximum(random.normal(level, self._noise(level)), 0.0)
        if self.other_kind is not None:
            is_other = (product == 0) & (random.random(len(product)) < self.other_kind.share)
            late = self.other_kind.late_hours
            hours[is_other] = 0.0 if late is None else hours[is_other] + late
        hours = self._rounded(hours)
        return pd.DataFrame({PRODUCT: self.products.codes[product], ORDERS: orders, HOURS: hours})

    def _rounded(self, hours: Floats) -> Floats:
        """Return the nearest hours that are written down."""
        step = self.step_hours
        return step * np.rint(hours / step) if step else hours

    def _level(self, product: Integers, orders: Integers) -> Floats:
        """Return the mean hours before the floor at zero."""
        congested = orders / (1 - orders / self.capacity)
        intercepts, slopes = self.products.intercepts[product], self.products.slopes[product]
        hours: Floats = intercepts + slopes * congested
        return hours

    def _noise(self, level: Floats) -> Floats:
        return self.noise_base_hours + self.noise_growth * level


def _median_of_mixture(level: Floats, noise: Floats, other_kind: OtherKind) -> Floats:
    """Return the medians of floored normal variables, some of which are of another kind.

    Args:
        level: means of the ordinary ones without the floor.
        noise: their standard deviations, small beside the hours by which others are late.
        other_kind: what the others are like.
    """
    share = other_kind.share
    # Others are all below the median, or all above it, and ordinary ones make up one half:
    # share + (1 - share) · Φ(z) = 1/2, or (1 - share) · Φ(z) = 1/2
    below = 0.5 - share if other_kind.late_hours is None else 0.5
    if below <= 0:
        return np.zeros_like(level)
    median: Floats = np.maximum(level + noise * ndtri(below / (1 - share)), 0.0)
    return median


def floored_mean(level: Floats, noise: Floats | float) -> Floats:
    """Return the mean of normal variables that are floored at zero.

    Args:
        level: their means without the floor.
        noise: their standard deviations.
    """
    z = level / noise
    mean: Floats = level * ndtr(z) + noise * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return mean


def with_mis_keyed_labels(
    week: pd.DataFrame, share: float, random: np.random.Generator
) -> pd.DataFrame:
    """Return a week in which this share of the labels is ten times too large."""
    rows = random.choice(len(week), size=round(share * len(week)), replace=False)
    factors = np.ones(len(week))
    factors[rows] = 10
    return week.assign(**{HOURS: week[HOURS] * factors})


def dirty_csv(world: World, week: pd.DataFrame) -> bytes:
    """Return a week as CSV, with a few bad rows appended: one of each kind in turn."""
    bad_rows = week.sample(round(BAD_SHARE * len(week)), random_state=world.random(DIRT_STREAM))
    damages = [(HOURS, ""), (ORDERS, "-5"), (HOURS, "about ten"), (PRODUCT, "")]
    bad_text = bad_rows[COLUMNS].astype(str).reset_index(drop=True)
    for row in bad_text.index:
        column, text = damages[row % len(damages)]
        bad_text.loc[row, column] = text
    return week_csv(week) + bad_text.to_csv(index=False, header=False).encode()


def week_csv(week: pd.DataFrame) -> bytes:
    """Return a week as the CSV in which it is delivered."""
    return week.to_csv(index=False, lineterminator="\n").encode()


def straight(seed: int, slopes: Floats | None = None) -> World:
    """Return the world of the sample data, or the same with other slopes."""
    return World(sample_products(1_000, _product_random(seed), slopes), seed)


def congestion(seed: int) -> World:
    """Return a world in which hours rise ever faster, up to 80 % of the capacity."""
    products = sample_products(1_500, _product_random(seed))
    return World(products, seed, capacity=BUSIEST_DAY / 0.8)


def growing_noise(seed: int) -> World:
    """Return a world in which long waits are less certain than short ones."""
    products = sample_products(1_500, _product_random(seed))
    return World(products, seed, noise_base_hours=0.2, noise_growth=0.15)


def mis_keyed(seed: int) -> World:
    """Return a world in which somebody forgets the decimal point."""
    products = sample_products(1_000, _product_random(seed))
    return World(products, seed, mis_keyed_share=0.03)


def many_small_products(seed: int, fresh_is_even: bool = False) -> World:
    """Return a world of 300 products, half of which have too few rows for a line of their own."""
    random = _product_random(seed)
    few = random.integers(MIN_PRODUCT_ROWS, MANY_PRODUCT_ROWS, size=150)
    remaining = 3_000 - int(few.sum()) - 150 * MANY_PRODUCT_ROWS
    more = MANY_PRODUCT_ROWS + random.multinomial(remaining, np.full(150, 1 / 150))
    products = drawn_products(np.concatenate([few, more]), random)
    return World(products, seed, prior=MANY_PRODUCTS_PRIOR, fresh_is_even=fresh_is_even)


def bimodal(seed: int, other_kind: OtherKind) -> World:
    """Return a world of 25 products with 100 rows each, of which one has orders of two kinds."""
    products = drawn_products(np.full(25, 100), _product_random(seed))
    return World(products, seed, other_kind=other_kind)


def rounded(seed: int) -> World:
    """Return the world of the sample data where hours are written down in shifts of eight."""
    return World(sample_products(1_000, _product_random(seed)), seed, step_hours=8.0)


WORLDS: Mapping[str, Callable[[int], World]] = {
    "straight": straight,
    "congestion": congestion,
    "growing noise": growing_noise,
    "mis-keyed": mis_keyed,
    "many small products": many_small_products,
    "the same, judged evenly": partial(many_small_products, fresh_is_even=True),
    "bimodal, 60 % at once": partial(bimodal, other_kind=OtherKind(0.6)),
    "bimodal, 30 % a day late": partial(bimodal, other_kind=OtherKind(0.3, late_hours=24.0)),
    "rounded": rounded,
}
"""How to make each world from a seed."""


def _product_random(seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, PRODUCT_STREAM])
