"""Which candidate a week gets, and by what comparison."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.orders.features import features_of
from pipeline.orders.simulator import simulate_orders
from pipeline.training.selection import CANDIDATES, Choice, choose_candidate

pytestmark = pytest.mark.slow

MEAN, LINE, CURVE = "mean per product", "line per product", "curve per product"
THREE = tuple(each for each in CANDIDATES if each.name in (MEAN, LINE, CURVE))
World = Callable[[int, int], pd.DataFrame]


def congested_orders(rows: int, seed: int) -> pd.DataFrame:
    """Return orders that take ever longer the nearer the works are to capacity."""
    orders = simulate_orders(rows, seed)
    slow_down = 1 / (1 - orders["orders_placed"] / 400)
    return orders.assign(hours_to_dispatch=orders["hours_to_dispatch"] * slow_down)


def level_orders(rows: int, seed: int) -> pd.DataFrame:
    """Return orders whose hours have nothing to do with orders placed."""
    hours = np.random.default_rng(seed).normal(10, 1, rows)
    return simulate_orders(rows, seed).assign(hours_to_dispatch=hours)


def mistyped(orders: pd.DataFrame) -> pd.DataFrame:
    """Multiply 3 % of the labels by ten."""
    wrong = np.random.default_rng(99).random(len(orders)) < 0.03
    hours = orders["hours_to_dispatch"]
    return orders.assign(hours_to_dispatch=hours.where(~wrong, 10 * hours))


def choose(orders: pd.DataFrame) -> Choice:
    return choose_candidate(orders, THREE)


@pytest.mark.parametrize("damage", [lambda orders: orders, mistyped], ids=["clean", "mistyped"])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("world", "name"),
    [(simulate_orders, LINE), (congested_orders, CURVE), (level_orders, MEAN)],
)
def test_a_world_gets_the_simplest_candidate_within_one_standard_error(
    world: World, name: str, seed: int, damage: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    scores = choose(damage(world(1000, seed))).scores

    assert [score.name for score in scores] == [MEAN, LINE, CURVE]
    assert [score.name for score in scores if score.chosen] == [name]
    good = [score.name for score in scores if score.excess_hours <= score.standard_error_hours]
    assert good[0] == name
    best = min(score.mean_absolute_error_hours for score in scores)
    for score in scores:
        excess = score.mean_absolute_error_hours - best
        assert score.excess_hours == pytest.approx(excess, abs=1e-12)


def test_chance_does_not_let_the_best_candidate_beat_a_simpler_one() -> None:
    mean, _, curve = choose(level_orders(600, seed=9)).scores

    assert curve.excess_hours == 0.0 < mean.excess_hours
    assert mean.chosen


def test_wrong_labels_are_left_out_of_the_errors() -> None:
    clean = choose(simulate_orders(1000, seed=5)).scores[1]
    damaged = choose(mistyped(simulate_orders(1000, seed=5))).scores[1]

    assert clean.mean_absolute_error_hours == pytest.approx(0.8 * np.sqrt(2 / np.pi), rel=0.1)
    assert damaged.mean_absolute_error_hours < 1.5 * clean.mean_absolute_error_hours


def test_a_candidate_that_is_equally_good_does_not_beat_a_simpler_one() -> None:
    twice = (THREE[0], THREE[1], THREE[1]._replace(name="the same line again"))

    choice = choose_candidate(simulate_orders(300, seed=6), twice)

    assert choice.ranked[0].candidate.name == LINE
    assert choice.scores[1].excess_hours == choice.scores[2].excess_hours == 0.0


def test_every_row_is_predicted_once_by_a_fit_without_it() -> None:
    orders = simulate_orders(300, seed=8)
    orders.loc[17, "hours_to_dispatch"] = 5000.0
    orders.loc[299, "product_code"] = "ALONE"  # no fit without this row knows the product

    out_of_fold = choose(orders).ranked[0].out_of_fold

    rows = out_of_fold.rows
    assert sorted(rows.index) == list(range(299))
    assert out_of_fold.residuals[rows.index.get_loc(17)] > 4900
    own = rows["hours_to_dispatch"].to_numpy() - out_of_fold.estimates
    assert out_of_fold.residuals.tolist() == own.tolist()


def test_fitting_a_candidate_leaves_it_as_it_was() -> None:
    orders = simulate_orders(100, seed=12)

    assert len(THREE[1].fit(orders).predict(features_of(orders))) == 100
    assert not hasattr(THREE[1].regressor, "coefficients_")


def test_of_more_rows_than_are_needed_some_decide() -> None:
    choice = choose(congested_orders(55_000, seed=13))

    assert choice.ranked[0].candidate.name == CURVE
    assert len(choice.ranked[0].out_of_fold.rows) < 51_000
