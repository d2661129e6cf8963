"""Labels that many rows of a product share."""

from typing import NamedTuple

import numpy as np

from pipeline.curves.segments import Positions
from pipeline.model.arrays import Floats

MIN_TIED_ROWS = 20
MIN_TIED_SHARE = 0.2
MIN_RATIO_TO_NEXT = 3


class TiedValues(NamedTuple):
    product: Positions
    hours: Floats
    share: Floats


def tied_values(product: Positions, hours: Floats, n_products: int) -> TiedValues:
    """Return the products of which one label is far more frequent than any other."""
    order = np.lexsort((hours, product))
    by_product, by_hours = product[order], hours[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (np.diff(by_hours) != 0) | (np.diff(by_product) != 0)
    firsts = np.flatnonzero(is_first)
    times = np.diff(np.append(firsts, len(order)))
    owner = by_product[firsts]
    rows = np.bincount(product, minlength=n_products)
    ranked = np.lexsort((-times, owner))
    best = np.flatnonzero(np.diff(owner[ranked], prepend=-1))
    top = ranked[best]
    found = owner[top]
    second_place = np.minimum(best + 1, len(ranked) - 1)
    has_second = (best + 1 < len(ranked)) & (owner[ranked[second_place]] == found)
    second = np.where(has_second, times[ranked[second_place]], 0)
    is_tied = (
        (rows[found] >= MIN_TIED_ROWS)
        & (times[top] >= MIN_TIED_SHARE * rows[found])
        & (times[top] >= MIN_RATIO_TO_NEXT * second)
        & has_second
    )
    top, found = top[is_tied], found[is_tied]
    return TiedValues(found, by_hours[firsts[top]], times[top] / rows[found])
