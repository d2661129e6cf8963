"""Earlier weeks help where products stay as they are, and are left out where they do not."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from pipeline.model.metadata import SeveralWeeks
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.orders.past_weeks import PastWeek, PastWeeks
from pipeline.orders.simulator import simulate_orders
from pipeline.training.fitting import TrainedModel, train_on
from pipeline.training.selection import CANDIDATES, WEIGHT, Candidate, OutOfSample
from pipeline.training.several_weeks import is_worse, weigh_weeks
from tests.support.builders import DELIVERED_AT, dataset

pytestmark = pytest.mark.slow

LINE = CANDIDATES[1]
SLOPES = {f"SKU{i:03}": 0.03 + 0.002 * i for i in range(20)}


def week(age: int, factor: float = 1.0) -> pd.DataFrame:
    """Return about five orders of each product, which take so many times as long as usual."""
    orders = simulate_orders(100, seed=age, hours_per_order=SLOPES)
    return orders.assign(**{HOURS: orders[HOURS] * factor})


def moving(age: int) -> pd.DataFrame:
    """Return a week of products that get slower or quicker by half each week."""
    factors = {code: (1.5 if i % 2 else 1 / 1.5) ** age for i, code in enumerate(SLOPES)}
    orders = week(age)
    return orders.assign(**{HOURS: orders[HOURS] * orders[PRODUCT].map(factors)})


def past(asked: int, *weeks: pd.DataFrame) -> PastWeeks:
    found = [
        PastWeek(
            age,
            dataset(orders, key=f"{age}.csv", delivered_at=DELIVERED_AT - timedelta(weeks=age)),
        )
        for age, orders in enumerate(weeks, start=1)
    ]
    return PastWeeks(DELIVERED_AT, asked, tuple(found))


def train(
    make: Callable[[int], pd.DataFrame], asked: int, earlier: int, candidate: Candidate = LINE
) -> tuple[TrainedModel, SeveralWeeks]:
    weeks = past(asked, *(make(age) for age in range(1, earlier + 1)))
    model = train_on(make(0), 0.8, (candidate,), past=weeks)
    facts = model.several_weeks(model.interval)
    assert facts is not None
    return model, facts


def error(model: TrainedModel) -> float:
    """Return the mean absolute error in another week of the same products."""
    other = simulate_orders(2_000, seed=99, hours_per_order=SLOPES)
    return float(np.abs(model.regressor.predict(other) - other[HOURS]).mean())


def test_weeks_that_are_alike_are_learnt_from_together_and_the_error_is_smaller() -> None:
    model, weeks = train(week, asked=3, earlier=3)

    assert weeks.decay == 1
    assert weeks.trained_on == 3
    assert [past.weight for past in weeks.datasets] == [1, 1, 0]
    assert model.weighed is not None
    learnt_from = model.weighed.rows()
    assert learnt_from is not None and len(learnt_from) == 200
    assert [score.decay for score in weeks.scores if score.chosen] == [1]
    alone = train_on(week(0), 0.8, (LINE,))
    assert error(model) < error(alone)
    assert alone.several_weeks(alone.interval) is None
    assert model.metrics.test_rows == alone.metrics.test_rows


def test_weeks_that_are_unlike_are_left_out_and_the_model_is_that_of_one_week() -> None:
    model, weeks = train(moving, asked=3, earlier=3)

    assert (weeks.decay, weeks.trained_on, weeks.hurts_this_week) == (0, 1, False)
    assert error(model) == error(train_on(moving(0), 0.8, (LINE,)))


def test_what_helps_by_less_than_a_standard_error_is_left_out() -> None:
    _, weeks = train(lambda age: week(age, 1.3 if age == 0 else 1), asked=3, earlier=3)

    one_week, *_, best = weeks.scores
    assert 0 < one_week.excess_hours <= one_week.standard_error_hours
    assert (best.decay, best.excess_hours) == (1, 0)
    assert one_week.chosen


def test_a_step_in_this_week_leaves_out_what_helped_before() -> None:
    _, weeks = train(lambda age: week(age, 1.3 if age == 0 else 1), asked=8, earlier=8)

    assert (weeks.decay, weeks.trained_on, weeks.hurts_this_week) == (0, 1, True)
    assert [score.decay for score in weeks.scores if score.chosen] != [0]


@pytest.mark.parametrize(("earlier", "is_told"), [(1, False), (2, True)])
def test_it_takes_two_weeks_and_the_one_after_them_to_tell(earlier: int, is_told: bool) -> None:
    _, weeks = train(week, asked=2, earlier=earlier)

    assert bool(weeks.scores) == is_told
    assert (weeks.decay > 0) == is_told


def test_each_week_is_told_of_as_it_would_have_been_known_beforehand() -> None:
    _, weeks = train(week, asked=3, earlier=3)

    assert [found.delivered_at for found in weeks.by_week] == [
        DELIVERED_AT - timedelta(weeks=age) for age in (2, 1, 0)
    ]
    assert [found.rows for found in weeks.by_week] == pytest.approx([100] * 3, abs=5)
    assert np.mean([found.coverage for found in weeks.by_week]) == pytest.approx(0.8, abs=0.1)
    first, *others = weeks.by_week
    assert first.error_hours == first.one_week_error_hours
    assert all(found.error_hours < found.one_week_error_hours for found in others)


def test_products_without_orders_this_week_are_not_learnt_from_earlier_ones() -> None:
    gone = week(1).assign(**{PRODUCT: "GONE"})
    weeks = past(2, pd.concat([week(1), gone]), week(2))

    model = train_on(week(0).astype({PRODUCT: "category"}), 0.8, (LINE,), past=weeks)

    assert model.weighed is not None and model.weighed.decay > 0
    assert "GONE" not in model.grid.products
    with pytest.raises(ValueError, match="Unknown product codes"):
        model.regressor.predict(gone)


def test_a_candidate_that_takes_no_weights_learns_from_this_week_alone() -> None:
    codes = make_column_transformer((OneHotEncoder(), [PRODUCT]), remainder="passthrough")
    forest = make_pipeline(codes, RandomForestRegressor(5, random_state=0))

    _, weeks = train(week, asked=2, earlier=2, candidate=Candidate("forest", forest))

    assert weeks.decay == 0


def test_of_many_rows_some_are_enough_in_each_week() -> None:
    this, last, before = (simulate_orders(60_000, age, SLOPES) for age in range(3))

    weighed = weigh_weeks(LINE, this, past(2, last, before))

    counted = [len(forecast.rows) for forecast in weighed.forecasts]
    assert counted == pytest.approx([30_000] * 2, rel=0.01)


def test_rows_of_a_product_count_together_where_estimates_are_compared() -> None:
    codes = np.repeat(["A", "B", "C", "D"], 100)
    rows = pd.DataFrame({PRODUCT: codes, ORDERS: 1.0, HOURS: 10.0})
    off_in_b = OutOfSample(rows, np.where(codes == "B", 11.0, 10.0))
    farther_off_in_a = OutOfSample(rows, np.where(codes == "A", 12.0, 10.0))
    farther_off_in_all = off_in_b._replace(estimates=off_in_b.estimates + 0.25)

    assert not is_worse(farther_off_in_a, beside=off_in_b)
    assert is_worse(farther_off_in_all, beside=off_in_b)
    assert not is_worse(off_in_b, beside=off_in_b)


def test_what_counts_less_has_less_of_a_say() -> None:
    hours = []
    for weight in (0.01, 0.3, 1.0):
        model = LINE.fit(week(0), week(1, factor=1.2).assign(**{WEIGHT: weight}))
        hours.append(model.predict(week(0)).mean())

    assert hours == sorted(hours)
    assert hours[0] == pytest.approx(LINE.fit(week(0)).predict(week(0)).mean(), rel=0.01)
    assert hours[2] > 1.05 * hours[0]
