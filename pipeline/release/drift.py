"""How this week differs from the one that the model in production (the champion) was trained on.

Each measure has a limit of what is normal, and some have a second one, beyond which a week is
refused. What is said and done then is in `drift_rules`.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.model.arrays import Floats
from pipeline.model.metadata import (
    COVERAGE,
    CatalogueChange,
    ChampionComparison,
    DriftMeasure,
    Histogram,
    ProductsApart,
)
from pipeline.model.order import HOURS, PRODUCT
from pipeline.model.reader import DispatchModel
from pipeline.release.champion_rules import error_ratio, is_too_exact, usual_error
from pipeline.release.labels import find_constant_products, most_above_largest
from pipeline.release.stability import grouped_by_orders, stability_by_chance, stability_index

MAX_STABILITY_INDEX = 0.25
"""Rule of thumb for the population stability index: below 0.1 nothing has changed, from 0.25 on
much has (Siddiqi, Credit Risk Scorecards, 2006)."""
MAX_NEW_SHARE = 0.1
"""A tenth of the orders of products without any past is more than a catalogue grows in a week."""
MAX_VANISHED_SHARE = 0.1
"""The same, for products that are ordered no more."""
MIN_ROWS_RATIO, MAX_ROWS_RATIO = 0.5, 2.5
"""Fewer than half of the last rows: a part did not arrive. More than two and a half times as many:
some came several times. Between them lie weeks with holidays and sales."""
MAX_USUAL_ERROR_RATIO = 2.0
"""The champion's estimates are half as good as they were; the model may be renewed too rarely."""
MAX_OUTSIDE_SHARE = 0.1
"""Estimates beyond the range of order counts of a week are guesses; so many may be needed again."""
RANGE_QUANTILES = (0.01, 0.99)
"""A few rows beyond do not make a range."""
MAX_COVERAGE_SHORTFALL = 0.1
"""By how much fewer orders than promised may fall inside the champion's intervals."""
MAX_USUAL_GROWTH = 1.5
"""By how many times the error of a new model may exceed that of the champion in its own week."""

MAX_SOUND_OUTSIDE_SHARE = 0.4
"""Where the quiet or the busy half of a week is missing, or all counts are halved, it is a half; in
a week with counts that are a fifth smaller, a fifth."""
MIN_SOUND_COVERAGE = 1 / 3
"""Share of the promised coverage. With slopes that wander by a tenth, one sound week of 10,000
has less than half of it. All hours four too long leave 2 %."""
MIN_SOUND_COVERAGE_OF_MOVED_ORDERS = 0.55
"""The same where order counts moved as well: hours should have moved with them, along the
champion's curves. Counts that are 50 too high leave 12 to 44 % of it."""
MAX_SOUND_GROWTH = 2.0
"""Where half of the orders are halved, errors are 2.6 times as large and more. From week to week
of a year of flights they change by less than a half."""
MAX_CONSTANT_SHARE = 0.05
"""As many rows may be of products that the model does not fit."""

FALSE_ALARM_RATE = 0.01
"""Weeks with few rows differ by chance: a limit is widened to what chance exceeds this often."""
REFUSAL_FALSE_ALARM_RATE = 0.001
"""The same for limits of refusal: all of them together refuse less than one sound week of 100."""
MIN_ERROR_ROWS = 10
"""Errors on fewer rows say nothing of how they grow."""

ROWS_RATIO = "Number of rows relative to the week of the model in production"
ORDERS_STABILITY = "Population stability index of the orders placed"
OUTSIDE_RANGE = "Share of the last rows with orders placed outside this week's range"
PRODUCT_STABILITY = "Population stability index of the shares of the products"
NEW_SHARE = "Share of rows of new products"
VANISHED_SHARE = "Share of the last rows whose products have vanished"
ERROR_RATIO = "Error of the model in production relative to its own week"
COVERAGE_OF_SEEN_ROWS = f"{COVERAGE}, which was trained on them,"
ERROR_GROWTH = "Error of the new model relative to that of the last in its own week"
ABOVE_LARGEST = "Share of rows that should have a label above the largest one"
CONSTANT_SHARE = "Share of rows of products with one label whose hours used to rise"


class Week(NamedTuple):
    """What is measured.

    Attributes:
        rows: of each product this week, by its code.
        orders_placed: of this week's rows, or of a sample of them, shape (n_rows,).
        sample: rows to measure errors on, outliers included, with `hours_to_dispatch` too.
        share_above_largest: share of rows that should have a label above the largest one.
    """

    rows: "pd.Series[int]"
    orders_placed: Floats
    sample: pd.DataFrame
    share_above_largest: float


def measure_drift(
    champion: DispatchModel, week: Week, comparison: ChampionComparison, change: CatalogueChange
) -> tuple[DriftMeasure, ...]:
    """Measure how this week differs from the champion's.

    Args:
        champion: the model in production, with the facts about its own week.
        week: this week.
        comparison: of the new model with the champion.
        change: of the products since the champion's week.

    Returns:
        One measure for each thing that can drift; without a value if it cannot be measured.
    """
    products = _rows_by_product(champion, week.rows)
    outside_range = _outside_range(champion.metadata.orders_placed, week.orders_placed)
    common = (products.before > 0) & (products.now > 0)
    return (
        _measure(
            ROWS_RATIO,
            float(week.rows.sum()) / champion.metadata.dataset.rows,
            least=MIN_ROWS_RATIO,
            most=MAX_ROWS_RATIO,
        ),
        _stability(
            ORDERS_STABILITY,
            *grouped_by_orders(champion.metadata.orders_placed, week.orders_placed),
        ),
        outside_range,
        _stability(PRODUCT_STABILITY, products.before[common], products.now[common]),
        _share_apart(NEW_SHARE, change.new, MAX_NEW_SHARE),
        _share_apart(VANISHED_SHARE, change.vanished, MAX_VANISHED_SHARE),
        _measure(ERROR_RATIO, error_ratio(comparison), most=MAX_USUAL_ERROR_RATIO),
        _error_growth(champion, comparison),
        _coverage(champion, week.sample, comparison, have_orders_moved=outside_range.breached),
        _above_largest(champion, week),
        _constant_share(champion, week.sample),
    )


class _RowsByProduct(NamedTuple):
    """Rows of each product that is in either week; both of shape (n_products,)."""

    before: Floats
    now: Floats


def _rows_by_product(champion: DispatchModel, now: "pd.Series[int]") -> _RowsByProduct:
    before = pd.Series(champion.metadata.own_rows, dtype=float)
    rows = pd.DataFrame({"before": before, "now": now.astype(float)}).fillna(0.0)
    return _RowsByProduct(rows["before"].to_numpy(), rows["now"].to_numpy())


def _share_apart(name: str, products: ProductsApart, most: float) -> DriftMeasure:
    return _measure(name, products.share, most=most + products.by_chance)


def _outside_range(reference: Histogram, orders_placed: Floats) -> DriftMeasure:
    """Measure for how many of the champion's orders the new model has to extrapolate."""
    edges, counts = np.array(reference.edges), np.array(reference.counts)
    least, most = np.quantile(orders_placed, RANGE_QUANTILES)
    is_outside = (edges[1:] < least) | (edges[:-1] > most)
    # Of n values from the same distribution, the share beyond the smallest and the largest follows
    # Beta(2, n − 1) (Wilks 1941).
    normal, sound = (
        max(limit, float(stats.beta.isf(rate, 2, max(len(orders_placed) - 1, 1))))
        for limit, rate in (
            (MAX_OUTSIDE_SHARE, FALSE_ALARM_RATE),
            (MAX_SOUND_OUTSIDE_SHARE, REFUSAL_FALSE_ALARM_RATE),
        )
    )
    share = float(counts[is_outside].sum() / counts.sum())
    return _measure(OUTSIDE_RANGE, share, most=normal, refused_above=sound)


def _stability(name: str, reference: Floats, current: Floats) -> DriftMeasure:
    """Measure the stability of counts; of a single group there is nothing to measure."""
    if len(reference) < 2:
        return _measure(name, None, most=MAX_STABILITY_INDEX)
    by_chance = stability_by_chance(reference, current, FALSE_ALARM_RATE)
    most = max(MAX_STABILITY_INDEX, by_chance)
    return _measure(name, stability_index(reference, current), most=most)


def _error_growth(champion: DispatchModel, comparison: ChampionComparison) -> DriftMeasure:
    """Measure how much less the hours can be told from product and orders than in the last week."""
    error, rows = comparison.challenger_error_hours, comparison.compared_rows
    if error is None or comparison.same_dataset or rows < MIN_ERROR_ROWS:
        return _measure(ERROR_GROWTH, None, most=MAX_USUAL_GROWTH)
    # The mean of n absolute errors that vary as much as they are large, as those of a Laplace
    # distribution do, has a relative standard error of 1 / √n.
    relative_error = math.sqrt(1 / rows + 1 / champion.metadata.metrics.test_rows)
    usual, sound = (
        max(limit, math.exp(float(stats.norm.isf(rate)) * relative_error))
        for limit, rate in (
            (MAX_USUAL_GROWTH, FALSE_ALARM_RATE),
            (MAX_SOUND_GROWTH, REFUSAL_FALSE_ALARM_RATE),
        )
    )
    growth = error / usual_error(comparison)
    return _measure(ERROR_GROWTH, growth, most=usual, refused_above=sound)


def _above_largest(champion: DispatchModel, week: Week) -> DriftMeasure:
    """Measure whether labels end at a cap, or late orders are missing, unless it is always so."""
    before = champion.metadata.share_above_largest
    most = max(most_above_largest(int(week.rows.sum())), 2 * (before or 0.0))
    refused = None if before is None else most
    return _measure(ABOVE_LARGEST, week.share_above_largest, most=most, refused_above=refused)


def _constant_share(champion: DispatchModel, sample: pd.DataFrame) -> DriftMeasure:
    found = find_constant_products(champion, sample)
    measure = _measure(CONSTANT_SHARE, found.share, most=0.0, refused_above=MAX_CONSTANT_SHARE)
    return measure.model_copy(update={"product_code": found.codes})


def _coverage(
    champion: DispatchModel,
    test: pd.DataFrame,
    comparison: ChampionComparison,
    have_orders_moved: bool,
) -> DriftMeasure:
    """Measure which share of the rows that the champion can estimate is inside its intervals.

    Intervals that were learnt from computed labels hold nothing, and say nothing of this week.
    """
    name = COVERAGE_OF_SEEN_ROWS if comparison.same_dataset else COVERAGE
    level = champion.metadata.interval.level
    known = test[test[PRODUCT].isin(list(champion.products))]
    if known.empty or is_too_exact(comparison):
        return _measure(name, None, least=level - MAX_COVERAGE_SHORTFALL)
    codes = known[PRODUCT].astype(str).tolist()
    lower, upper = champion.bounds(codes, champion.estimate(known))
    inside = known[HOURS].between(lower, upper)
    # inside ~ Binomial(n_rows, level), if the level is right
    by_chance = float(stats.binom.ppf(FALSE_ALARM_RATE, len(known), level)) / len(known)
    least = min(level - MAX_COVERAGE_SHORTFALL, by_chance)
    share = MIN_SOUND_COVERAGE_OF_MOVED_ORDERS if have_orders_moved else MIN_SOUND_COVERAGE
    # Chance is that of a sound week at its worst, with half as many rows again inside.
    by_chance = float(stats.binom.ppf(REFUSAL_FALSE_ALARM_RATE, len(known), 1.5 * share * level))
    sound = min(share * level, by_chance / len(known))
    refused = None if comparison.same_dataset else sound
    return _measure(name, float(inside.mean()), least=least, refused_below=refused)


def _measure(
    name: str,
    value: float | None,
    least: float | None = None,
    most: float | None = None,
    refused_below: float | None = None,
    refused_above: float | None = None,
) -> DriftMeasure:
    """Put a measure together; what could not be measured is not breached."""
    too_small = value is not None and least is not None and value < least
    too_large = value is not None and most is not None and value > most
    return DriftMeasure(
        name=name,
        value=value,
        least=least,
        most=most,
        breached=too_small or too_large,
        refused_below=refused_below,
        refused_above=refused_above,
    )
