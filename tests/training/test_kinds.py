"""Products with orders of two kinds are named, and hardly any by chance."""

import numpy as np
import pandas as pd
import pytest

from pipeline.curves.kinds import Ties
from pipeline.model.arrays import Floats
from pipeline.model.metadata import MixedProduct
from pipeline.orders.simulator import simulate_orders
from pipeline.training.fitting import train_on
from pipeline.training.kinds import find_mixed

NOISE_HOURS = 2.0


def ties(rows: int, at: int, far: int) -> Ties:
    """Return that so many rows of the first product are at three hours."""
    columns = (np.array([number]) for number in (rows, at, far))
    return Ties(np.array([0]), np.array([3.0]), *columns)


NO_TIES = ties(0, 0, 0).where(np.array([False]))


def named(
    distances: Floats, found: Ties = NO_TIES, others: int = 9, noise_hours: float = NOISE_HOURS
) -> tuple[MixedProduct, ...]:
    """Return what is found out about a product among others that are ordinary."""
    ordinary = np.zeros(50 * others)
    product = np.repeat(np.arange(others + 1), [len(distances), *[50] * others])
    all_distances = np.append(distances, ordinary)
    codes = [f"P{number}" for number in range(others + 1)]
    return find_mixed(product, found, all_distances, noise_hours * all_distances, codes)


def distances_of(rows: int, far: int, between: int = 0) -> Floats:
    """Return distances of rows of which so many are twelve, and so many five, noises away."""
    return np.repeat([12.0, 5.0, 0.0], [far, between, rows - far - between])


@pytest.mark.parametrize(
    ("rows", "far", "between", "is_named"),
    [
        (100, 25, 0, True),
        (100, 15, 0, True),  # P(X >= 15) = 0.00014, below 0.01 / 10 products / 2 tests
        (100, 13, 0, False),  # P(X >= 13) = 0.0015
        (100, 25, 6, True),  # P(X >= 25 of 31) = 0.0004
        (100, 25, 8, False),  # P(X >= 25 of 33) = 0.0023
        (20, 14, 0, True),
        (19, 14, 0, False),
    ],
)
def test_outliers_are_a_kind_if_there_are_many_and_none_between(
    rows: int, far: int, between: int, is_named: bool
) -> None:
    found = named(distances_of(rows, far, between))

    assert [mixed.product_code for mixed in found] == (["P0"] if is_named else [])
    if is_named:
        assert found[0].share == far / rows and found[0].label_hours is None
        assert found[0].distance_hours == 12 * NOISE_HOURS


@pytest.mark.parametrize(("hours", "is_named"), [(0.0101, True), (0.0099, False)])
def test_outliers_by_seconds_are_no_kind(hours: float, is_named: bool) -> None:
    assert bool(named(distances_of(100, 25), noise_hours=hours / 12)) == is_named


@pytest.mark.parametrize(
    ("at", "far", "is_named"),
    [(60, 15, True), (60, 13, False), (85, 80, True), (87, 80, False)],
)
def test_a_label_is_a_kind_if_there_are_many_of_both(at: int, far: int, is_named: bool) -> None:
    found = named(np.zeros(100), ties(100, at, far))

    assert [mixed.label_hours for mixed in found] == ([3.0] if is_named else [])
    if is_named:
        assert (found[0].share, found[0].distance_hours) == (at / 100, None)


def test_the_more_products_there_are_the_more_it_takes() -> None:
    assert named(distances_of(100, 15), others=9)
    assert not named(distances_of(100, 15), others=99)


def mixed_week(kind: str, rows: int, seed: int) -> pd.DataFrame:
    """Return a simulated week of which one of five products is damaged."""
    orders = simulate_orders(rows, seed)
    random = np.random.default_rng(seed)
    chosen = orders["product_code"] == f"SKU00{seed % 5 + 1}"
    share = {"at once": 0.6, "less than half at once": 0.45, "at 4 h": 0.55, "a day late": 0.3}
    some = chosen & (random.random(rows) < share.get(kind, 0.0))
    hours = orders["hours_to_dispatch"]
    other = {"at 4 h": hours * 0 + 4, "a day late": hours + 24}.get(kind, hours * 0)
    return orders.assign(hours_to_dispatch=hours.mask(some, other))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["at once", "less than half at once", "at 4 h", "a day late"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_product_with_orders_of_two_kinds_is_named(kind: str, seed: int) -> None:
    model = train_on(mixed_week(kind, 700, seed), 0.9)

    (mixed,) = model.mixed

    assert mixed.product_code == f"SKU00{seed % 5 + 1}"
    if kind == "a day late":
        assert mixed.distance_hours == pytest.approx(24, abs=1)
    else:
        assert mixed.label_hours == (4 if kind == "at 4 h" else 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_product_of_an_ordinary_week_is_named(seed: int) -> None:
    assert train_on(mixed_week("ordinary", 700, seed), 0.9).mixed == ()
