"""What can be wrong with a week although every row of it looks sound."""

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from benchmarks.worlds.order_worlds import with_mis_keyed_labels
from pipeline.model.arrays import Floats
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.orders.simulator import BUSIEST_DAY, HOURS_PER_ORDER

MINUTES_PER_HOUR = 60
LATE_HOURS = 8
OUTLIER_SHARE = 0.3
MIN_UNLIKE_SLOPES_RATIO = 2.5
STOCK_SHARE = 0.6
TIED_SHARE, TIED_HOURS = 0.55, 4.0
DELAYED_SHARE, DELAY_HOURS = 0.3, 24.0
CAP_HOURS = 12.0
MAX_EXPORTED_HOURS = 10.0
ADDED_ORDERS = 50
FEW_ROWS = 30
THIRD, THRICE = "a third of the file", "a third delivered three times"
FEW = "30 rows after 1,000"
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


def leading_zeros_lost(
    week: pd.DataFrame, slopes: Floats, random: np.random.Generator
) -> pd.DataFrame:
    """Write the codes as a spreadsheet does that takes their digits for numbers."""
    return week.assign(**{PRODUCT: week[PRODUCT].str.replace(r"(?<=\D)0+", "", regex=True)})


def lower_case(week: pd.DataFrame, slopes: Floats, random: np.random.Generator) -> pd.DataFrame:
    """Write the codes in lower case."""
    return week.assign(**{PRODUCT: week[PRODUCT].str.lower()})


def two_products_missing(
    week: pd.DataFrame, slopes: Floats, random: np.random.Generator
) -> pd.DataFrame:
    """Leave out the orders of two products."""
    return week[~week[PRODUCT].isin(random.choice(list(HOURS_PER_ORDER), size=2, replace=False))]


def one_product_mostly_zero(
    week: pd.DataFrame, slopes: Floats, random: np.random.Generator
) -> pd.DataFrame:
    """Let 60 % of the orders of one product leave at once."""
    is_chosen = week[PRODUCT] == random.choice(list(HOURS_PER_ORDER))
    at_once = is_chosen & (random.random(len(week)) < STOCK_SHARE)
    return week.assign(**{HOURS: week[HOURS].mask(at_once, 0.0)})


def third_of_the_file(
    week: pd.DataFrame, slopes: Floats, random: np.random.Generator
) -> pd.DataFrame:
    """Take the first third of the rows."""
    return week.head(len(week) // 3)


def delivered_three_times(
    week: pd.DataFrame, slopes: Floats, random: np.random.Generator
) -> pd.DataFrame:
    """Take a third of the rows, three times each: a week as large as ever."""
    return pd.concat([week.head(len(week) // 3)] * 3)


def changed_hours(change: Callable[["pd.Series[float]"], "pd.Series[float]"]) -> Damage:
    """Return the damage that changes all labels."""
    return lambda week, slopes, random: week.assign(**{HOURS: change(week[HOURS])})


def changed_hours_of_one_product(
    change: Callable[["pd.Series[float]", np.random.Generator], "pd.Series[float]"],
) -> Damage:
    """Return the damage that changes the labels of one product."""

    def damage(week: pd.DataFrame, slopes: Floats, random: np.random.Generator) -> pd.DataFrame:
        chosen = week[PRODUCT] == random.choice(list(HOURS_PER_ORDER))
        return week.assign(**{HOURS: week[HOURS].mask(chosen, change(week[HOURS][chosen], random))})

    return damage


def late_orders_missing(
    week: pd.DataFrame, slopes: Floats, random: np.random.Generator
) -> pd.DataFrame:
    """Leave out all orders that took longer than ten hours, as an early export does."""
    return week[week[HOURS] <= MAX_EXPORTED_HOURS]


def quiet_half(week: pd.DataFrame, slopes: Floats, random: np.random.Generator) -> pd.DataFrame:
    """Leave only the smaller half of the order counts."""
    return week[week[ORDERS] <= BUSIEST_DAY / 2]


def counted_too_high(
    week: pd.DataFrame, slopes: Floats, random: np.random.Generator
) -> pd.DataFrame:
    """Count 50 orders too many in each row."""
    return week.assign(**{ORDERS: week[ORDERS] + ADDED_ORDERS})


def half_of_the_counts_halved(
    week: pd.DataFrame, slopes: Floats, random: np.random.Generator
) -> pd.DataFrame:
    """Halve the order counts of half of the rows."""
    is_chosen = random.random(len(week)) < 0.5
    return week.assign(**{ORDERS: week[ORDERS].mask(is_chosen, week[ORDERS] // 2)})


def few_rows(week: pd.DataFrame, slopes: Floats, random: np.random.Generator) -> pd.DataFrame:
    """Take the first rows only."""
    return week.head(FEW_ROWS)


def _partly(
    hours: "pd.Series[float]",
    share: float,
    others: "pd.Series[float] | float",
    random: np.random.Generator,
) -> "pd.Series[float]":
    return hours.mask(random.random(len(hours)) < share, others)


DAMAGES: Mapping[str, Damage] = {
    "all labels in minutes": labels_in_minutes,
    "labels of two products in minutes": two_products_in_minutes,
    "two unlike products swapped": unlike_products_swapped,
    "all labels 8 h too long": labels_too_long,
    "30 % outliers": many_outliers,
    "leading zeros of the codes lost": leading_zeros_lost,
    "codes in lower case": lower_case,
    "two of five products missing": two_products_missing,
    "one product 60 % zero": one_product_mostly_zero,
    "one product 55 % at 4 h": changed_hours_of_one_product(
        lambda hours, random: _partly(hours, TIED_SHARE, TIED_HOURS, random)
    ),
    "30 % of one product a day late": changed_hours_of_one_product(
        lambda hours, random: _partly(hours, DELAYED_SHARE, hours + DELAY_HOURS, random)
    ),
    "one product in minutes": changed_hours_of_one_product(
        lambda hours, random: hours * MINUTES_PER_HOUR
    ),
    "one product x 1.9": changed_hours_of_one_product(lambda hours, random: hours * 1.9),
    "one label for one product": changed_hours_of_one_product(
        lambda hours, random: hours * 0 + hours.median()
    ),
    "all labels x 1.5": changed_hours(lambda hours: hours * 1.5),
    "all labels x 0.55": changed_hours(lambda hours: hours * 0.55),
    "all labels 4 h too long": changed_hours(lambda hours: hours + 4),
    "labels capped at 12 h": changed_hours(lambda hours: hours.clip(upper=CAP_HOURS)),
    "orders above 10 h missing": late_orders_missing,
    "the quiet half of a week": quiet_half,
    "orders counted 50 too high": counted_too_high,
    "half of the counts halved": half_of_the_counts_halved,
    THIRD: third_of_the_file,
    FEW: few_rows,
    THRICE: delivered_three_times,
    ANY_SWAP: any_products_swapped,
}
WARNED_OF = (THIRD, FEW, THRICE)
"""Kinds that are sound but for their rows: they need not be refused, but people are told."""


def _swapped(week: pd.DataFrame, pair: tuple[int, ...]) -> pd.DataFrame:
    codes = list(HOURS_PER_ORDER)
    one, other = (codes[position] for position in pair)
    return week.assign(**{PRODUCT: week[PRODUCT].replace({one: other, other: one})})
