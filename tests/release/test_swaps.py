"""Pairs that were swapped, told from pairs that wandered."""

import numpy as np
import pandas as pd
import pytest

from pipeline.orders.simulator import BUSIEST_DAY
from pipeline.release.champion import Challenger
from pipeline.release.swaps import find_swaps
from pipeline.training.evaluation import estimate_on_grid
from pipeline.training.selection import OutOfSample
from tests.support.builders import Line, LineModel, LineRegressor, estimate, model, most_orders

CALM, RESTLESS = 0.02, 0.1


def lines(n_products: int = 5) -> dict[str, Line]:
    return {f"P{i:04}": (1.0, 0.02 * 1.4**i) for i in range(n_products)}


def wandered(of: dict[str, Line], spread: float, seed: int) -> dict[str, Line]:
    steps = np.random.default_rng(seed).normal(scale=spread, size=(len(of), 1))
    return dict(zip(of, map(tuple, np.array(list(of.values())) * np.exp(steps))))


def swapped(of: dict[str, Line], one: str = "P0001", other: str = "P0002") -> dict[str, Line]:
    return of | {one: of[other], other: of[one]}


def challenger_of(of: dict[str, Line], noise: float = 0.8) -> Challenger:
    orders = pd.DataFrame({"product_code": sorted(of), "orders_placed": float(BUSIEST_DAY)})
    test = OutOfSample(orders, estimate(of, orders))
    grid = estimate_on_grid(LineRegressor(of), most_orders(orders))
    return Challenger(test, grid, np.full(len(of), 200), np.full(len(of), noise), test)


def champion_of(of: dict[str, Line], rows: int = 200) -> LineModel:
    return model(of, of, catalogue={"rows": [rows] * len(of)})


def found(
    weeks: list[dict[str, Line]], this_week: dict[str, Line], noise: float = 0.8
) -> list[tuple[str, ...]]:
    """Return the pairs that are found after weeks with these lines."""
    models = [champion_of(week) for week in weeks]
    return [tuple(swap) for swap in find_swaps(models[-1], challenger_of(this_week, noise), models)]


def weeks_of(spread: float, n_weeks: int, n_products: int = 5) -> list[dict[str, Line]]:
    weeks = [lines(n_products)]
    for seed in range(n_weeks - 1):
        weeks.append(wandered(weeks[-1], spread, seed))
    return weeks


@pytest.mark.parametrize(("n_weeks", "is_found"), [(8, True), (1, False)])
def test_a_swap_is_found_once_the_curves_are_known_to_wander_little(
    n_weeks: int, is_found: bool
) -> None:
    weeks = weeks_of(CALM, n_weeks)

    assert found(weeks, swapped(weeks[-1])) == [("P0001", "P0002")] * is_found


def test_among_curves_that_wander_far_neighbours_are_not_told_apart_and_others_are() -> None:
    weeks = weeks_of(RESTLESS, 8)
    of = lines()
    weeks[-1] = of

    assert found(weeks, swapped(of)) == []
    assert found(weeks, swapped(of, "P0000", "P0004")) == [("P0000", "P0004")]


@pytest.mark.parametrize(("noise", "is_found"), [(4.0, True), (20.0, False)])
def test_curves_that_are_not_known_well_are_not_told_apart(noise: float, is_found: bool) -> None:
    weeks = weeks_of(CALM, 8)

    # Curves 1.8 h apart, whose heights have errors of 0.4 and 2 h.
    assert found(weeks, swapped(weeks[-1]), noise) == [("P0001", "P0002")] * is_found


def test_a_product_that_takes_the_place_of_another_is_no_swap() -> None:
    weeks = weeks_of(CALM, 8)

    assert found(weeks, weeks[-1] | {"P0001": weeks[-1]["P0002"]}) == []


@pytest.mark.parametrize("seed", range(20))
def test_sound_weeks_have_no_swaps(seed: int) -> None:
    weeks = weeks_of(RESTLESS, 4, n_products=40)

    assert found(weeks, wandered(weeks[-1], RESTLESS, 1_000 + seed)) == []


def test_two_among_thousands_are_found() -> None:
    many = {f"P{i:04}": (1.0 + i % 7, 0.02 + 0.00002 * i) for i in range(4_000)}
    this_week = wandered(many, 0.001, seed=1)

    assert found([many], swapped(this_week, "P0010", "P2000")) == [("P0010", "P2000")]


@pytest.mark.parametrize("known", [0, 1])
def test_it_takes_two_products_that_both_models_know(known: int) -> None:
    of = lines(2)
    champion = champion_of(dict(list(of.items())[:known]) | {"OLD": (1.0, 0.1)})

    assert find_swaps(champion, challenger_of(of), [champion]) == ()
