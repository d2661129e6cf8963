"""Rows that are in a week several times, told apart from those that agree by chance."""

import numpy as np
import pandas as pd
import pytest

from pipeline.model.order import HOURS
from pipeline.orders.hashes import hash_rows
from pipeline.orders.repeats import find_repeats
from pipeline.orders.simulator import simulate_orders


def rounded(rows: int, decimals: int, seed: int = 1) -> pd.DataFrame:
    """Return a sound week whose labels have so many decimals."""
    return simulate_orders(rows, seed).round({HOURS: decimals})


def some_zero(rows: int, seed: int) -> pd.DataFrame:
    """Return a sound week in which 60 % of the orders leave at once."""
    is_zero = np.random.default_rng(seed).random(rows) < 0.6
    return rounded(rows, 3, seed).assign(
        hours_to_dispatch=lambda week: week[HOURS].mask(is_zero, 0)
    )


def delivered(week: pd.DataFrame, times: float) -> pd.DataFrame:
    """Return a week that is there so many times; of a fraction, its first rows."""
    whole, rest = int(times), round((times - int(times)) * len(week))
    return pd.concat([*[week] * whole, week.head(rest)], ignore_index=True)


@pytest.mark.parametrize("decimals", [0, 1, 3])
@pytest.mark.parametrize("rows", [30, 200, 1_000, 20_000])
def test_rows_that_agree_by_chance_are_no_repeats(rows: int, decimals: int) -> None:
    for seed in range(3):
        assert not find_repeats(rounded(rows, decimals, seed)).breached
        assert not find_repeats(some_zero(rows, seed)).breached


@pytest.mark.parametrize(
    ("week", "times", "copies"),
    [
        (rounded(200, 3), 3, 3),
        (rounded(1_000, 3), 2, 2),
        (rounded(1_000, 3), 1.1, 1),
        (rounded(1_000, 0), 1.5, 1),
        (rounded(20_000, 0), 2, 2),
    ],
    ids=["thrice", "twice", "a tenth again", "half of whole hours again", "whole hours twice"],
)
def test_rows_that_were_delivered_again_are_repeats(
    week: pd.DataFrame, times: float, copies: int
) -> None:
    found = find_repeats(delivered(week, times).sample(frac=1, random_state=1))

    assert found.breached
    assert found.copies == copies
    assert found.share >= 1 - 1 / times - 0.001


def test_a_few_repeats_are_borne() -> None:
    week = rounded(1_000, 3)

    assert not find_repeats(delivered(week, 1.03)).breached
    assert find_repeats(delivered(week, 1.1)).share == pytest.approx(0.1 / 1.1, abs=0.003)


def test_of_many_rows_the_largest_products_are_looked_at() -> None:
    large = simulate_orders(1_200_000, seed=1, hours_per_order={"LARGE": 0.05})
    large[HOURS] = np.arange(len(large)) / 50_000  # no two are equal
    small = delivered(rounded(2_000, 3), 4)

    assert find_repeats(pd.concat([small, large], ignore_index=True)).share == 0.0


def test_rows_share_a_number_if_all_their_fields_are_equal() -> None:
    week = pd.DataFrame(
        {
            "product_code": ["A", "A", "B", "A", "A"],
            "orders_placed": [1.0, 1.0, 1.0, 2.0, 1.0],
            "hours_to_dispatch": [3.0, 3.0, 3.0, 3.0, 4.0],
        }
    )

    assert pd.factorize(hash_rows(week))[0].tolist() == [0, 0, 1, 2, 3]
