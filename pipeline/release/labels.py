"""What the labels of a week show by themselves: an end that cuts them off, products that all agree.

Each row may look sound. It is all labels together that an export which was cut off gives away.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.curves.steps import step_of
from pipeline.model.arrays import Floats
from pipeline.model.metadata import ModelMetadata
from pipeline.model.order import HOURS, PRODUCT
from pipeline.model.reader import DispatchModel
from pipeline.orders.splits import systematic_sample
from pipeline.training.fitting import ModelNoise

MAX_LABEL_ROWS = 100_000
MAX_ROWS_ABOVE_LARGEST = 10.0
"""So many rows above the largest label chance explains in 0.005 % of weeks (see below). Flight
times of a year of weeks, whose noise is not quite normal, reach 6."""
MAX_SHARE_ABOVE_LARGEST = 0.005
"""Of many rows even a noise that is not quite normal makes more than ten."""
MIN_SHARE_OF_ONE_LABEL = 0.95
MIN_CONSTANT_ROWS = 20
"""Of fewer rows nearly all may have the same label by chance, where labels are rounded."""


class ConstantProducts(NamedTuple):
    """Products of which all orders took equally long, although it depended on orders placed.

    Attributes:
        codes: of the products.
        share: of all rows that are theirs.
    """

    codes: tuple[str, ...]
    share: float


def share_above_largest(hours: "pd.Series[float]", noise: ModelNoise) -> float:
    """Return the share of rows that should have a label above the largest one, but for chance.

    For independent labels Y with survival functions S, Σ S(max Y) follows the exponential
    distribution with a mean of about one row (probability integral transform, Fisher 1932). Where
    labels end at a cap, or late orders are missing, rows near that end expect many more.

    Args:
        hours: labels of the week, shape (n_rows,).
        noise: of these rows around the model, taken for normal.
    """
    some = systematic_sample(len(hours), MAX_LABEL_ROWS)
    labels: Floats = np.asarray(hours, dtype=np.float64)[some]
    scale = noise.hours[some]
    inliers = labels[~noise.is_outlier[some]]
    # Rounded labels may be a step higher than they are.
    largest = (inliers if len(inliers) else labels).max() + step_of(labels)
    estimates = labels - noise.distances[some] * scale
    return float(stats.norm.sf((largest - estimates) / scale).mean())


def most_above_largest(rows: int) -> float:
    """Return up to which share rows above the largest label may be expected.

    Args:
        rows: of the week.
    """
    return max(MAX_ROWS_ABOVE_LARGEST / min(rows, MAX_LABEL_ROWS), MAX_SHARE_ABOVE_LARGEST)


def first_week_warnings(metadata: ModelMetadata) -> list[str]:
    """Return that labels seem cut off where there is no champion to measure drift from, or nothing.

    Args:
        metadata: of the new model.
    """
    share = metadata.share_above_largest
    is_usual = share is None or share <= most_above_largest(metadata.dataset.rows)
    if metadata.comparison is not None or is_usual:
        return []
    return [
        f"{share:.1%} of the rows should have a label above the largest one: labels seem to end at "
        "a cap, or late orders are missing. Make sure that they really end there, since later "
        "weeks are compared with this one."
    ]


def find_constant_products(champion: DispatchModel, orders: pd.DataFrame) -> ConstantProducts:
    """Return products with one label, where the model in production says that hours rise.

    It says so where its interval at most of the orders placed is above that at fewest.

    Args:
        champion: the model in production.
        orders: rows of the week.
    """
    by_product = orders.groupby(PRODUCT, observed=True)
    rows = by_product.size()
    same = orders.groupby([PRODUCT, HOURS], observed=True).size().groupby(level=0).max()
    is_one_label = (same >= MIN_SHARE_OF_ONE_LABEL * rows) & (rows >= MIN_CONSTANT_ROWS)
    codes = [str(code) for code in rows.index[is_one_label] if _rises(champion, orders, str(code))]
    return ConstantProducts(tuple(codes), float(rows[codes].sum() / len(orders)))


def _rises(champion: DispatchModel, orders: pd.DataFrame, code: str) -> bool:
    """Tell whether the champion's intervals for these orders of a product lie apart.

    Where hours come in steps, by more than a step: less would be rounded away.
    """
    if code not in champion.products:
        return False
    rows = orders[orders[PRODUCT] == code]
    lower, upper = champion.bounds([code] * len(rows), champion.estimate(rows))
    step = champion.metadata.dataset.step_hours or 0.0
    return bool(np.max(lower) > np.min(upper) + step)
