"""What can be wrong with a week although every row of it looks sound."""

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from benchmarks.worlds.order_worlds import with_mis_keyed_labels
from pipeline.model.arrays import Floats
from pipeline.model.order import HOURS, PRODUCT
from pipeline.orders.simulator import HOURS_PER_ORDER

MINUTES_PER_HOUR = 60
LATE_HOURS = 8
OUTLIER_SHARE = 0.3
MIN_UNLIKE_SLOPES_RATIO = 2.5
ANY_SWAP = "any two products swapped (no goal)"

Damage = Callable[[pd.DataFrame, Floats, np.random.Generator], pd.DataFrame | None]
"""Takes a sound week, its true slopes and random numbers; returns None if it needs another week."""


def labels_in_minutes(
    week: pd.DataFrame, slopes: Floats, random: np.random.Generator
) -> pd.DataFrame:
    """Give all hours in minutes."""
    return week.assign(**{HOURS: week[HOURS] * MINUTES_PER_HOUR})


def two_products_in_minutes(
    week: pd.DataFrame, slopes: Floats, random: np.random.Generator
) -> pd.DataFrame:
    """Give the hours of two products in minutes."""
    chosen = week[PRODUCT].isin(random.choice(list(HOURS_PER_ORDER), size=2, replace=False))
    return week.assign(**{HOURS: week[HOURS].where(~chosen, week[HOURS] * MINUTES_PER_HOUR)})


def unlike_products_swapped(
    week: pd.DataFrame, slopes: Floats, random: np.random.Generator
) -> pd.DataFrame | None:
    """Swap the codes of two products whose slopes are far apart, if there are two in this week."""
    pairs = [
        pair
        for pair in combinations(range(len(slopes)), 2)
        if max(slopes[list(pair)]) >= MIN_UNLIKE_SLOPES_RATIO * min(slopes[list(pair)])
    ]
    return _swapped(week, pairs[random.integers(len(pairs))]) if pairs else None


def any_products_swapped(
    week: pd.DataFrame, slopes: Floats, random: np.random.Generator
) -> pd.DataFrame:
    """Swap the codes of any two products."""
    pairs = list(combinations(range(len(slopes)), 2))
    return _swapped(week, pairs[random.integers(len(pairs))])


def labels_too_long(
    week: pd.DataFrame, slopes: Floats, random: np.random.Generator
) -> pd.DataFrame:
    """Add a shift of eight hours to all labels."""
    return week.assign(**{HOURS: week[HOURS] + LATE_HOURS})


def many_outliers(week: pd.DataFrame, slopes: Floats, random: np.random.Generator) -> pd.DataFrame:
    """Make 30 % of the labels ten times too large."""
    return with_mis_keyed_labels(week, OUTLIER_SHARE, random)


DAMAGES: Mapping[str, Damage] = {
    "all labels in minutes": labels_in_minutes,
    "labels of two products in minutes": two_products_in_minutes,
    "two unlike products swapped": unlike_products_swapped,
    "all labels 8 h too long": labels_too_long,
    "30 % outliers": many_outliers,
    ANY_SWAP: any_products_swapped,
}


def _swapped(week: pd.DataFrame, pair: tuple[int, ...]) -> pd.DataFrame:
    codes = list(HOURS_PER_ORDER)
    one, other = (codes[position] for position in pair)
    return week.assign(**{PRODUCT: week[PRODUCT].replace({one: other, other: one})})
