"""Which candidate a week gets, and by what comparison."""

import numpy as np
import pandas as pd
import pytest

from pipeline.model.arrays import Floats
from pipeline.model.order import FEATURES
from pipeline.orders.simulator import simulate_orders
from pipeline.training.selection import CANDIDATES, Choice, choose_candidate

pytestmark = pytest.mark.statistics

MEAN, LINE, CURVE = (candidate.name for candidate in CANDIDATES)
CAPACITY = 400


def congested_orders(rows: int, seed: int) -> pd.DataFrame:
    """Return orders of five products that take ever longer the nearer the works are to capacity."""
    random = np.random.default_rng(seed)
    orders = random.integers(0, 321, rows).astype(float)
    product = random.choice([f"SKU{i}" for i in range(5)], rows)
    frame = pd.DataFrame({"product_code": product, "orders_placed": orders})
    noise = random.normal(scale=0.8, size=rows)
    return frame.assign(hours_to_dispatch=np.maximum(congestion(frame) + noise, 0))


def congestion(orders: pd.DataFrame) -> Floats:
    """Return the true hours of congested orders."""
    slope = 0.03 + 0.015 * orders["product_code"].str[-1].astype(int)
    placed = orders["orders_placed"]
    hours: Floats = (slope * placed / (1 - placed / CAPACITY)).to_numpy()
    return hours


def level_orders(rows: int, seed: int) -> pd.DataFrame:
    """Return orders whose hours have nothing to do with orders placed."""
    random = np.random.default_rng(seed)
    orders = simulate_orders(rows, seed)
    return orders.assign(hours_to_dispatch=random.normal(10, 1, rows))


def mistyped(orders: pd.DataFrame) -> pd.DataFrame:
    """Multiply 3 % of the labels by ten."""
    wrong = np.random.default_rng(99).random(len(orders)) < 0.03
    hours = orders["hours_to_dispatch"]
    return orders.assign(hours_to_dispatch=hours.where(~wrong, 10 * hours))


def choose(orders: pd.DataFrame) -> Choice:
    return choose_candidate(orders, CANDIDATES)


@pytest.mark.parametrize("seed", range(4))
def test_a_straight_world_gets_the_line(seed: int) -> None:
    assert choose(simulate_orders(1000, seed)).candidate.name == LINE


@pytest.mark.parametrize("seed", range(4))
def test_a_congested_world_gets_the_curve_and_it_is_near_the_truth(seed: int) -> None:
    orders = congested_orders(2000, seed)

    candidate = choose(orders).candidate

    assert candidate.name == CURVE
    grid = pd.DataFrame({"product_code": "SKU2", "orders_placed": np.arange(0.0, 321)})
    error = np.abs(candidate.fit(orders).predict(grid) - congestion(grid))
    assert error.mean() < 0.35
    line_error = np.abs(CANDIDATES[1].fit(orders).predict(grid) - congestion(grid))
    assert line_error.mean() > 8 * error.mean()


@pytest.mark.parametrize("seed", range(4))
def test_pure_noise_gets_the_mean(seed: int) -> None:
    assert choose(level_orders(1000, seed)).candidate.name == MEAN


@pytest.mark.parametrize("seed", range(2))
def test_wrong_labels_do_not_decide(seed: int) -> None:
    assert choose(mistyped(simulate_orders(1000, seed))).candidate.name == LINE
    assert choose(mistyped(congested_orders(2000, seed))).candidate.name == CURVE
    assert choose(mistyped(level_orders(1000, seed))).candidate.name == MEAN


def test_wrong_labels_are_left_out_of_the_errors() -> None:
    clean = choose(simulate_orders(2000, seed=5)).scores[1]
    damaged = choose(mistyped(simulate_orders(2000, seed=5))).scores[1]

    assert clean.mean_absolute_error_hours == pytest.approx(0.8 * np.sqrt(2 / np.pi), rel=0.1)
    assert damaged.mean_absolute_error_hours < 1.5 * clean.mean_absolute_error_hours


@pytest.mark.parametrize("world", [simulate_orders, congested_orders, level_orders])
def test_the_simplest_candidate_within_one_standard_error_is_chosen(world: object) -> None:
    assert callable(world)
    for seed in range(3):
        scores = choose(world(600, seed)).scores

        assert [score.name for score in scores] == [MEAN, LINE, CURVE]
        good = [score.excess_hours <= score.standard_error_hours for score in scores]
        assert [score.chosen for score in scores].index(True) == good.index(True)
        assert sum(score.chosen for score in scores) == 1
        best = min(score.mean_absolute_error_hours for score in scores)
        for score in scores:
            excess = score.mean_absolute_error_hours - best
            assert score.excess_hours == pytest.approx(excess, abs=1e-12)


def test_a_candidate_that_is_equally_good_does_not_beat_a_simpler_one() -> None:
    twice = (CANDIDATES[0], CANDIDATES[1], CANDIDATES[1]._replace(name="the same line again"))

    choice = choose_candidate(simulate_orders(500, seed=6), twice)

    assert choice.candidate.name == LINE
    assert choice.scores[1].excess_hours == choice.scores[2].excess_hours == 0.0


def test_labels_that_a_line_explains_to_the_last_digit_get_the_line() -> None:
    orders = simulate_orders(500, seed=7)
    orders["hours_to_dispatch"] = 1 + 0.05 * orders["orders_placed"]

    assert choose(orders).candidate.name == LINE


def test_every_row_is_judged_once_by_fits_that_had_not_seen_it() -> None:
    orders = simulate_orders(400, seed=8)
    odd = orders["orders_placed"].index[17]
    orders.loc[odd, "hours_to_dispatch"] = 5000.0

    judged = choose(orders).out_of_fold

    assert sorted(judged.rows.index) == list(orders.index)
    assert judged.residuals[judged.rows.index.get_loc(odd)] > 4900
    own = judged.rows["hours_to_dispatch"].to_numpy() - judged.estimates
    assert judged.residuals.tolist() == own.tolist()


def test_the_only_row_of_a_product_is_not_judged() -> None:
    orders = simulate_orders(200, seed=9)
    alone = orders.iloc[[0]].assign(product_code="ALONE")

    judged = choose(pd.concat([orders, alone], ignore_index=True)).out_of_fold

    assert set(judged.rows["product_code"]) == set(orders["product_code"])
    assert len(judged.rows) == 200


def test_a_part_of_the_judged_rows_keeps_their_estimates() -> None:
    judged = choose(simulate_orders(100, seed=10)).out_of_fold

    part = judged.where(slice(None, None, 7))

    assert part.rows.equals(judged.rows.iloc[::7])
    assert part.estimates.tolist() == judged.estimates[::7].tolist()


def test_the_same_week_gets_the_same_scores() -> None:
    orders = simulate_orders(300, seed=11)

    assert choose(orders).scores == choose(orders.copy()).scores


def test_fitting_a_candidate_leaves_it_as_it_was() -> None:
    orders = simulate_orders(100, seed=12)

    fitted = CANDIDATES[1].fit(orders)

    assert fitted is not CANDIDATES[1].regressor
    assert not hasattr(CANDIDATES[1].regressor, "coefficients_")
    assert len(fitted.predict(orders[FEATURES])) == 100


def test_more_rows_than_are_needed_give_the_same_choice() -> None:
    orders = congested_orders(120_000, seed=13)

    choice = choose(orders)

    assert choice.candidate.name == CURVE
    assert len(choice.out_of_fold.rows) < 51_000
