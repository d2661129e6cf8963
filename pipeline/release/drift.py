"""How this week differs from the one that the model in production (the champion) was trained on.

Nothing here refuses a model: a breached measure is a warning to look at.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from pipeline.model.arrays import Floats
from pipeline.model.metadata import (
    CatalogueChange,
    ChampionComparison,
    DriftMeasure,
    Histogram,
    ProductsApart,
)
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.model.reader import DispatchModel
from pipeline.release.champion_rules import error_ratio

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
MAX_COVERAGE_SHORTFALL = 0.1
"""By how much fewer orders than promised may fall inside the champion's intervals."""

FALSE_ALARM_RATE = 0.01
"""Weeks with few rows differ by chance: a limit is widened to what chance exceeds this often."""
STABILITY_GROUPS = 10
PSEUDO_COUNT = 0.5
"""Added to every count, so that an empty group has a logarithm (Jeffreys' prior)."""

ROWS_RATIO = "Number of rows relative to the week of the model in production"
ORDERS_STABILITY = "Population stability index of the orders placed"
PRODUCT_STABILITY = "Population stability index of the shares of the products"
NEW_SHARE = "Share of rows of new products"
VANISHED_SHARE = "Share of the last rows whose products have vanished"
ERROR_RATIO = "Error of the model in production relative to its own week"
COVERAGE = "Share of rows inside the intervals of the model in production"
COVERAGE_OF_SEEN_ROWS = f"{COVERAGE}, which was trained on them,"

MEANINGS = {
    ROWS_RATIO: "part of the week is missing or was delivered more than once, or the week was "
    "unusually quiet or busy",
    ORDERS_STABILITY: "orders are spread over other counts than before, as in a season, or they "
    "are counted in another way",
    PRODUCT_STABILITY: "customers order other products than before, or orders of some are missing",
    NEW_SHARE: "the catalogue grew, or product codes are written in another way",
    VANISHED_SHARE: "products are sold no more, or their orders are missing from the dataset",
    ERROR_RATIO: "the hours to dispatch have changed, or their labels are wrong",
    COVERAGE: "the intervals that customers are told are too narrow for this week",
    COVERAGE_OF_SEEN_ROWS: "its intervals were too narrow from the start",
}
"""What a breach of each measure may mean, for the log."""


def measure_drift(
    champion: DispatchModel,
    orders: pd.DataFrame,
    test: pd.DataFrame,
    comparison: ChampionComparison,
    change: CatalogueChange,
) -> tuple[DriftMeasure, ...]:
    """Measure how this week differs from the champion's.

    Args:
        champion: the model in production, with the facts about its own week.
        orders: all valid rows of this week.
        test: rows of this week to measure errors on, outliers included, with
            `hours_to_dispatch` too.
        comparison: of the new model with the champion.
        change: of the products since the champion's week.

    Returns:
        One measure for each thing that can drift; without a value if it cannot be measured.
    """
    products = _rows_by_product(champion, orders)
    common = (products.before > 0) & (products.now > 0)
    return (
        _measure(
            ROWS_RATIO,
            len(orders) / champion.metadata.dataset.rows,
            least=MIN_ROWS_RATIO,
            most=MAX_ROWS_RATIO,
        ),
        _stability(ORDERS_STABILITY, *_grouped(champion.metadata.orders_placed, orders)),
        _stability(PRODUCT_STABILITY, products.before[common], products.now[common]),
        _share_apart(NEW_SHARE, change.new, MAX_NEW_SHARE),
        _share_apart(VANISHED_SHARE, change.vanished, MAX_VANISHED_SHARE),
        _measure(ERROR_RATIO, error_ratio(comparison), most=MAX_USUAL_ERROR_RATIO),
        _coverage(champion, test, comparison.same_dataset),
    )


def drift_warnings(measures: Sequence[DriftMeasure]) -> list[str]:
    """Return a sentence for each breached measure: its value, its limit, what it may mean."""
    return [
        f"{measure.name} is {measure.value:.3g}, {_limit_in_words(measure)}: "
        f"{MEANINGS[measure.name]}."
        for measure in measures
        if measure.breached
    ]


def stability_index(reference: Floats, current: Floats) -> float:
    """Return the population stability index of two samples that were counted in the same groups.

    It is zero for equal shares of the groups, and has no upper limit (Siddiqi, 2006).

    Args:
        reference: counts of the one sample, shape (n_groups,).
        current: counts of the other, of the same shape.
    """
    before, now = ((counts + PSEUDO_COUNT) for counts in (reference, current))
    p, q = before / before.sum(), now / now.sum()
    # PSI = Σ (q − p) · ln(q / p) over the groups
    return float(((q - p) * np.log(q / p)).sum())


class _RowsByProduct(NamedTuple):
    """Rows of each product that is in either week; both of shape (n_products,)."""

    before: Floats
    now: Floats


def _rows_by_product(champion: DispatchModel, orders: pd.DataFrame) -> _RowsByProduct:
    before = champion.metadata.own_rows
    now = orders.groupby(PRODUCT, observed=True).size()
    rows = pd.DataFrame(
        {
            "before": pd.Series(before, dtype=float),
            "now": pd.Series(now.to_numpy(), index=list(map(str, now.index)), dtype=float),
        }
    ).fillna(0.0)
    return _RowsByProduct(rows["before"].to_numpy(), rows["now"].to_numpy())


def _share_apart(name: str, products: ProductsApart, most: float) -> DriftMeasure:
    return _measure(name, products.share, most=most + products.by_chance)


def _grouped(reference: Histogram, orders: pd.DataFrame) -> tuple[Floats, Floats]:
    """Count the champion's orders and this week's in about ten groups of equal shares of the first.

    A bin belongs to the tenth that the middle of its orders falls into when all are lined up.
    Order counts beyond the outermost edges are counted in the outermost bins.
    """
    edges = np.array(reference.edges)
    before = np.array(reference.counts, dtype=float)
    within = np.clip(orders[ORDERS].to_numpy(dtype=float), edges[0], edges[-1])
    now = np.histogram(within, bins=edges)[0].astype(float)
    middle = (np.cumsum(before) - before / 2) / before.sum()
    tenth = (middle * STABILITY_GROUPS).astype(int)
    _, group = np.unique(tenth, return_inverse=True)
    return _sums(group, before), _sums(group, now)


def _sums(group: npt.NDArray[np.intp], counts: Floats) -> Floats:
    return np.bincount(group, weights=counts).astype(float)


def _stability(name: str, reference: Floats, current: Floats) -> DriftMeasure:
    """Measure the stability of counts; of a single group there is nothing to measure."""
    if len(reference) < 2:
        return _measure(name, None, most=MAX_STABILITY_INDEX)
    # For two samples of n and m rows from the same distribution, PSI / (1/n + 1/m) follows χ² with
    # n_groups − 1 degrees of freedom (Yurdakul, Statistical Properties of Population Stability
    # Index, 2018).
    scale = 1 / reference.sum() + 1 / current.sum()
    by_chance = float(stats.chi2.isf(FALSE_ALARM_RATE, len(reference) - 1)) * scale
    most = max(MAX_STABILITY_INDEX, by_chance)
    return _measure(name, stability_index(reference, current), most=most)


def _coverage(champion: DispatchModel, test: pd.DataFrame, same_dataset: bool) -> DriftMeasure:
    """Measure which share of the rows that the champion can estimate is inside its intervals."""
    name = COVERAGE_OF_SEEN_ROWS if same_dataset else COVERAGE
    level = champion.metadata.interval.level
    known = test[test[PRODUCT].isin(list(champion.products))]
    if known.empty:
        return _measure(name, None, least=level - MAX_COVERAGE_SHORTFALL)
    codes = known[PRODUCT].astype(str).tolist()
    lower, upper = champion.bounds(codes, champion.estimate(known))
    inside = known[HOURS].between(lower, upper)
    # inside ~ Binomial(n_rows, level), if the level is right
    by_chance = float(stats.binom.ppf(FALSE_ALARM_RATE, len(known), level)) / len(known)
    least = min(level - MAX_COVERAGE_SHORTFALL, by_chance)
    return _measure(name, float(inside.mean()), least=least)


def _measure(
    name: str, value: float | None, least: float | None = None, most: float | None = None
) -> DriftMeasure:
    """Put a measure together; what could not be measured is not breached."""
    too_small = value is not None and least is not None and value < least
    too_large = value is not None and most is not None and value > most
    return DriftMeasure(
        name=name, value=value, least=least, most=most, breached=too_small or too_large
    )


def _limit_in_words(measure: DriftMeasure) -> str:
    """Return which limit a breached measure is beyond."""
    if measure.least is not None and measure.value is not None and measure.value < measure.least:
        return f"below {measure.least:.3g}"
    return f"above {measure.most:.3g}"
