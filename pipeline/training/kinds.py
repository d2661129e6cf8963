"""Which products have orders of two kinds, by tests that name few products by chance."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.curves.kinds import MIN_ROWS, Ties
from pipeline.curves.noise import MIN_OUTLIER_HOURS, OUTLIER_DISTANCE
from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats
from pipeline.model.metadata import MixedProduct

TOLERATED_SHARE = 0.05
"""So many rows of a product may be of another kind, as mis-keyed ones are."""
FALSE_ALARM_RATE = 0.01
NEAR_DISTANCE = 3.0
"""Rows from here on, in units of the noise, are the tail of what is near; there are more of them
than outliers, unless outliers are a kind of their own."""


def find_mixed(
    product: Positions, ties: Ties, distances: Floats, residuals: Floats, codes: Sequence[str]
) -> tuple[MixedProduct, ...]:
    """Return the products with orders of two kinds, those with most rows first.

    There are two kinds of kinds. Many rows may be at one label, far from the curve of the others;
    or they are outliers, with next to no rows between them and the others. Of either there are more
    than is tolerated, beyond chance. The share of products that are named by chance is bounded
    (Benjamini and Hochberg 1995).

    Args:
        product: position of each row's product, shape (n_rows,).
        ties: frequent labels of these rows.
        distances: of the rows from their estimates in units of the noise, negative below, shape
            (n_rows,).
        residuals: the same in hours, shape (n_rows,).
        codes: of the products.
    """
    rows = np.bincount(product, minlength=len(codes))
    by_label = np.ones(len(codes))
    by_label[ties.product] = np.maximum(
        _chance(ties.far, ties.rows), _chance(ties.rows - ties.at, ties.rows)
    )
    # Where labels were computed, seconds are far in units of the noise, and no other kind.
    distances = np.where(np.abs(residuals) < MIN_OUTLIER_HOURS, 0.0, distances)
    by_distance = _chance_of_distances(product, distances, rows)
    enough = np.flatnonzero(rows >= MIN_ROWS)
    if not len(enough):
        return ()
    chances = np.minimum(2 * np.minimum(by_label, by_distance), 1.0)[enough]
    named = enough[stats.false_discovery_control(chances) < FALSE_ALARM_RATE]
    facts = _facts(product, ties, distances, residuals).reindex(named)
    facts["hours"] = facts["hours"].where(by_label[named] < FALSE_ALARM_RATE)
    facts = facts.assign(rows=rows[named]).sort_values("rows", ascending=False, kind="stable")
    return tuple(
        MixedProduct(
            product_code=codes[position],
            rows=rows,
            share=(far if np.isnan(hours) else at) / rows,
            label_hours=None if np.isnan(hours) else hours,
            distance_hours=distance if np.isnan(hours) else None,
        )
        for position, hours, at, far, distance, rows in facts.itertuples()
    )


def _facts(product: Positions, ties: Ties, distances: Floats, residuals: Floats) -> pd.DataFrame:
    """Return the frequent label of each product, and how many outliers it has, and how far."""
    is_far = np.abs(distances) > OUTLIER_DISTANCE
    outliers = pd.Series(residuals[is_far]).groupby(product[is_far]).agg(["size", "median"])
    labels = pd.DataFrame({"hours": ties.hours, "at": ties.at}, index=ties.product)
    return labels.join(outliers, how="outer")


def _chance_of_distances(product: Positions, distances: Floats, rows: Positions) -> Floats:
    """Return how probable it is that the outliers of each product are the tail of the others."""
    sizes = np.abs(distances)
    is_far = sizes > OUTLIER_DISTANCE
    far, between = (
        np.bincount(product[some], minlength=len(rows))
        for some in (is_far, ~is_far & (sizes > NEAR_DISTANCE))
    )
    # A tail has as many rows between as far, or more: P(X >= far), X ~ Binomial(far + between, 1/2)
    apart = stats.binom.sf(far - 1, far + between, 0.5)
    chance: Floats = np.maximum(_chance(far, rows), apart)
    return chance


def _chance(rows: Positions, of: Positions) -> Floats:
    """Return how probable so many rows or more are, if no more than is tolerated are to be."""
    # P(X >= rows), X ~ Binomial(of, tolerated)
    chance: Floats = stats.binom.sf(rows - 1, of, TOLERATED_SHARE)
    return chance
