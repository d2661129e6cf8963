"""Products on which the model in production is far off this week, judged one by one."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from pipeline.model.arrays import Floats
from pipeline.model.order import HOURS, PRODUCT
from pipeline.model.reader import DispatchModel

MAX_ERROR_IN_NOISE = 2.0
MAX_RELATIVE_ERROR = 1 / 3
"""Curves that wander by a tenth a week move by a third in one week of five hundred. A label is
twice its noise away by chance, and most labels never are."""
MIN_NOISE_SHARE = 1 / 8
"""Noise of the champion that is a smaller share of the challenger's is next to nothing."""
FALSE_ALARM_RATE = 0.01


def find_surprises(
    champion: DispatchModel, orders: pd.DataFrame, challenger_noise: Floats
) -> pd.DataFrame:
    """Return the products of which most orders are far from what the champion says.

    Far means by more than twice the champion's own noise of the product and a third of its
    estimate. A sign test tells whether it is most of the orders by more than chance, with the share
    of false alarms bounded over all products (Benjamini and Hochberg 1995).

    Args:
        champion: the model in production, which has not seen these rows.
        orders: rows of this week; those of products that the champion does not know are ignored.
        challenger_noise: of the new model, in hours, shape (n_rows,). It stands for the champion's
            where that is next to nothing, as after labels that were computed.

    Returns:
        For each product, by code: the median of the `hours` by which the champion is off, and of
        its `estimate`.
    """
    known = orders[PRODUCT].isin(list(champion.products)).to_numpy()
    rows = orders[known]
    codes = rows[PRODUCT].astype(str).to_numpy()
    estimates = champion.estimate(rows)
    own = noise_of(champion, codes, estimates)
    usual = challenger_noise[known]
    noise = np.where(own < MIN_NOISE_SHARE * usual, usual, own)
    error = np.abs(rows[HOURS].to_numpy() - estimates)
    is_far = error > MAX_ERROR_IN_NOISE * noise + MAX_RELATIVE_ERROR * estimates
    by_product = pd.DataFrame({"is_far": is_far, "hours": error, "estimate": estimates}).groupby(
        codes
    )
    far, total = by_product["is_far"].sum(), by_product.size()
    if far.empty:
        return pd.DataFrame(columns=["hours", "estimate"])
    # P(X >= far), X ~ Binomial(rows, 1/2)
    chance = stats.binom.sf(far - 1, total, 0.5)
    found = far.index[stats.false_discovery_control(chance) < FALSE_ALARM_RATE]
    surprises: pd.DataFrame = by_product[["hours", "estimate"]].median().loc[found]
    return surprises


def noise_of(model: DispatchModel, codes: npt.NDArray[np.object_], estimates: Floats) -> Floats:
    """Return the noise that a model recorded of its labels, in hours, shape (n_rows,).

    It is the smaller of the two sides: long tails are what its intervals are for.

    Args:
        model: any one.
        codes: products that it knows, shape (n_rows,).
        estimates: its own for them, shape (n_rows,).
    """
    facts = model.metadata
    positions = facts.catalogue.product_code.known_positions(codes)
    week = facts.week_of_products[positions]
    intervals = [facts.interval, *(week.interval for week in facts.earlier_weeks)]
    base = np.array([interval.noise_base_hours for interval in intervals])[week]
    growth = np.array([interval.noise_growth for interval in intervals])[week]
    relative = facts.catalogue.noise_of(positions).min(axis=0)
    noise: Floats = (base + growth * estimates) * relative
    return noise
