"""Weeks that nothing is wrong with, and the champions before them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd

from pipeline.model.order import HOURS, ORDERS, PRODUCT

SMALL_ROWS = 60
CHAMPION_ROWS = 40
WHOLE_HOURS, SHIFT_HOURS = 1, 8
RETIRED, RENEWED, NEW = "SKU003", "SKU001", "SKU900"
RETIRED_SHARE, NEW_SHARE = 0.25, 0.8
"""Shares of the rows of a product: it has a twentieth of all rows or so before it is retired, and
the new one has less than a fifth."""

Change = Callable[[pd.DataFrame], pd.DataFrame]


class SoundKind(NamedTuple):
    """How the weeks of a kind differ from the straight world's.

    Attributes:
        champion: change of the champion's week.
        next_week: change of the weeks after it.
    """

    champion: Change
    next_week: Change


def as_it_is(week: pd.DataFrame) -> pd.DataFrame:
    """Change nothing."""
    return week


def few(rows: int) -> Change:
    """Return the change that takes the first rows."""
    return lambda week: week.head(rows)


def in_steps(hours: int) -> Change:
    """Return the change that rounds labels to whole numbers of so many hours."""
    return lambda week: week.assign(**{HOURS: (week[HOURS] / hours).round() * hours})


def before_a_retirement(week: pd.DataFrame) -> pd.DataFrame:
    """Give one product few rows."""
    return week.drop(_some(week, RETIRED, 1 - RETIRED_SHARE))


def retired_and_new(week: pd.DataFrame) -> pd.DataFrame:
    """Leave one product out, and give most orders of another one to a new product."""
    codes = week[PRODUCT].copy()
    codes[_some(week, RENEWED, NEW_SHARE)] = NEW
    return week.assign(**{PRODUCT: codes})[codes != RETIRED]


def without_noise(week: pd.DataFrame) -> pd.DataFrame:
    """Put every label on the line of its product, as labels that were computed are."""
    slopes = week[HOURS].groupby(week[PRODUCT]).sum() / week[ORDERS].groupby(week[PRODUCT]).sum()
    return week.assign(**{HOURS: week[PRODUCT].map(slopes) * week[ORDERS]})


SOUND_KINDS: Mapping[str, SoundKind] = {
    "sound: slopes wander": SoundKind(as_it_is, as_it_is),
    "sound: 60 rows": SoundKind(few(SMALL_ROWS), few(SMALL_ROWS)),
    "sound: after a week of 40 rows": SoundKind(few(CHAMPION_ROWS), as_it_is),
    "sound: whole hours": SoundKind(in_steps(WHOLE_HOURS), in_steps(WHOLE_HOURS)),
    "sound: shifts of 8 h": SoundKind(in_steps(SHIFT_HOURS), in_steps(SHIFT_HOURS)),
    "sound: a product retired, one new": SoundKind(before_a_retirement, retired_and_new),
    "sound: after labels without noise": SoundKind(without_noise, as_it_is),
}
"""By name. Slopes wander in all of them."""
WANDERING = "sound: slopes wander"
"""The kind that is damaged."""


def _some(week: pd.DataFrame, code: str, share: float) -> pd.Index:
    """Return the first rows of a product, this share of them."""
    rows = week.index[week[PRODUCT] == code]
    return rows[: round(share * len(rows))]
