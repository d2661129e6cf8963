"""Products on which the champion is far off, told from those that wander or are few."""

import numpy as np
import pandas as pd
import pytest

from pipeline.release.surprises import find_surprises, noise_of
from tests.support.builders import KEPT, LineModel, model

NOISE = 0.251 + 0.05 * 6.0
"""Of the champion where it says six hours: that of its metadata."""
LIMIT = 2 * NOISE + 6.0 / 3


def champion() -> LineModel:
    codes = [f"P{i}" for i in range(5)]
    return model(codes, {code: (6.0, 0.0) for code in codes})


def week_of(rows: int, far: int, error: float, code: str = "P0") -> pd.DataFrame:
    """Return a week in which one product has so many rows, and so many of them are off."""
    off = np.where(np.arange(rows) < far, error, 0.0)
    hours = np.concatenate([6.0 + off, np.full(400, 6.0)])
    codes = [code] * rows + [f"P{1 + i % 4}" for i in range(400)]
    return pd.DataFrame({"product_code": codes, "orders_placed": 9.0, "hours_to_dispatch": hours})


def found(week: pd.DataFrame, challenger_noise: float = NOISE) -> list[str]:
    return list(find_surprises(champion(), week, np.full(len(week), challenger_noise)).index)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("share", "is_found"), [(1.01, True), (0.99, False)])
def test_far_is_beyond_twice_the_noise_and_a_third(sign: int, share: float, is_found: bool) -> None:
    assert found(week_of(20, 20, sign * share * LIMIT)) == ["P0"] * is_found


@pytest.mark.parametrize(
    ("far", "rows", "is_found"),
    [
        (9, 9, True),  # 0.5 ** 9 = 0.00195, below 0.01 / 5 products
        (8, 8, False),
        (68, 100, True),  # P(X >= 68) = 0.0002
        (60, 100, False),  # P(X >= 60) = 0.028
    ],
)
def test_it_is_most_of_the_orders_by_more_than_chance(far: int, rows: int, is_found: bool) -> None:
    assert found(week_of(rows, far, 5.0)) == ["P0"] * is_found


@pytest.mark.parametrize(("ratio", "is_found"), [(8.1, False), (7.9, True)])
def test_next_to_no_noise_of_the_champion_is_no_yardstick(ratio: float, is_found: bool) -> None:
    week = week_of(20, 20, 1.1 * LIMIT)

    assert found(week, ratio * NOISE) == ["P0"] * is_found


@pytest.mark.parametrize("rows", [0, 20])
def test_products_that_the_champion_does_not_know_are_no_surprise(rows: int) -> None:
    week = week_of(20, 20, 9.0, code="NEW").head(20 + rows)

    assert found(week) == []


def test_the_noise_of_a_kept_product_is_that_of_its_week_and_the_smaller_side_counts() -> None:
    interval = KEPT["interval"] | {"noise_base_hours": 1.0, "noise_growth": 0.5}
    noises = {"relative_lower_noise": [1, 2, 3], "relative_upper_noise": [2, 1, 3]}
    old = model(earlier_weeks=[KEPT | {"interval": interval}], catalogue=noises)

    noise = noise_of(old, np.array(["SKU003", "SKU002", "SKU001"]), np.array([1.0, 2.0, 3.0]))

    assert noise == pytest.approx([3 * 0.301, 2.0, 0.401])
