"""Movement over many weeks: warned of, refused, and measured from where people said."""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from pipeline.model.metadata import Failure, Trend
from pipeline.release.champion import Challenger
from pipeline.release.history import references
from pipeline.release.trend import measure_trend, trend_failures, trend_warnings
from pipeline.training.selection import OutOfSample
from tests.support.builders import (
    DELIVERED_AT,
    TRAINED_AT,
    LineModel,
    comparison,
    grid,
    model,
)

MAX_TREND = 1.5
PRODUCTS = [f"SKU{position}" for position in range(5)]
WEEK = timedelta(weeks=1)


def earlier(weeks_ago: int, hours: Mapping[str, float] | float = 4.0, **facts: object) -> LineModel:
    """Return a model of some weeks ago that gives each product so many hours."""
    by_product = hours if isinstance(hours, Mapping) else dict.fromkeys(PRODUCTS, hours)
    return model(
        by_product,
        {code: (level, 0.0) for code, level in by_product.items()},
        f"weeks_ago_{weeks_ago}",
        trained_at=TRAINED_AT - weeks_ago * WEEK,
        dataset={"delivered_at": DELIVERED_AT - weeks_ago * WEEK},
        **{"comparison": comparison()} | facts,
    )


def challenger_of(hours: Sequence[float], rows: Sequence[int] | None = None) -> Challenger:
    """Return a new model that gives each product so many hours."""
    no_rows = OutOfSample(pd.DataFrame(), np.array([]))
    return Challenger(
        no_rows,
        grid(*([each] * 3 for each in hours)),
        np.array(rows or [100] * len(hours)),
        np.ones(len(hours)),
        no_rows,
    )


def trend_of(
    models: Sequence[LineModel], hours: Sequence[float], rows: Sequence[int] | None = None
) -> Trend:
    found = measure_trend(models, challenger_of(hours, rows), MAX_TREND)
    assert found is not None
    return found


# Limits


@pytest.mark.parametrize(
    ("ratio", "warned", "refused"),
    [
        (1.22, False, False),
        (1.23, True, False),
        (1.499, True, False),
        (1.501, True, True),
        (1 / 1.22, False, False),
        (1 / 1.23, True, False),
        (1 / 1.501, True, True),
    ],
)
def test_movement_is_warned_of_before_it_is_refused(
    ratio: float, warned: bool, refused: bool
) -> None:
    models = [earlier(2, 4.0), earlier(1, 4.0 * math.sqrt(ratio))]

    found = trend_of(models, [4.0 * ratio] * 5)

    assert (found.since_version, found.models) == ("weeks_ago_2", 2)
    assert found.ratio == pytest.approx(ratio)
    assert len(trend_warnings(found)) == warned
    assert len(trend_failures(found)) == refused


def test_the_limits_allow_for_products_that_wander_by_themselves() -> None:
    a = 0.5
    codes = PRODUCTS[:2]
    models = [earlier(week, dict.fromkeys(codes, 4.0)) for week in (2, 1)]

    found = trend_of(models, [4 * math.exp(-a), 4 * math.exp(a)])

    # The last step spreads by ±a, the one before by nothing: σ² = (2a² + 0) / 2.
    error = math.sqrt(a**2 * math.pi / 2 * found.models / 2)
    assert found.limit == found.warning_limit == pytest.approx(math.exp(2.968 * error), rel=1e-3)
    assert [*trend_failures(found), *trend_warnings(found)] == []


def test_a_single_product_has_no_wandering_of_its_own() -> None:
    hours = (4.1, 3.7, 4.3)
    models = [earlier(3 - week, {PRODUCTS[0]: each}) for week, each in enumerate(hours)]

    # With 7 rows, rounding makes it wander by next to nothing instead of nothing.
    assert trend_of(models, [3.9], [7]).limit == MAX_TREND


@pytest.mark.parametrize(("rows", "ratio"), [([10, 10, 21], 1.0), ([10, 10, 19], 100.0)])
def test_products_with_few_rows_do_not_decide(rows: list[int], ratio: float) -> None:
    assert trend_of([earlier(1)], [400.0, 400.0, 4.0], rows).ratio == pytest.approx(ratio)


def test_products_that_a_model_did_not_know_do_not_count_for_it() -> None:
    models = [earlier(2, {"SKU0": 4.0}), earlier(1)]

    found = trend_of(models, [8.0, 4.0, 4.0])

    assert found.since_version == "weeks_ago_2"
    assert found.ratio == pytest.approx(2.0)


def test_estimates_of_zero_have_moved_far() -> None:
    assert trend_of([earlier(1)], [0.0] * 5).ratio == pytest.approx(1e-3)


@pytest.mark.parametrize("models", [[], [earlier(1, {"X": 4.0})], [earlier(1, 0.5)]])
def test_without_a_model_to_compare_with_there_is_no_trend(models: list[LineModel]) -> None:
    assert measure_trend(models, challenger_of([4.0]), MAX_TREND) is None
    assert [*trend_failures(None), *trend_warnings(None)] == []


# References


def test_a_trend_is_measured_from_the_last_model_that_people_accepted() -> None:
    history = [earlier(4), earlier(3), earlier(2, shift_accepted=True), earlier(1)]

    assert references(history, history[-1]) == tuple(history[2:])


def test_a_trend_is_measured_from_the_last_model_that_was_compared_with_none() -> None:
    history = [earlier(3), earlier(2, comparison=None), earlier(1)]

    assert references(history, history[-1]) == tuple(history[1:])


def test_models_newer_than_the_one_in_production_are_no_references() -> None:
    history = [earlier(3), earlier(2), earlier(1, shift_accepted=True)]

    assert references(history, history[1]) == tuple(history[:2])


# Words


def test_models_of_mean_hours_are_no_references_for_typical_ones() -> None:
    history = [earlier(3), earlier(2, estimate="mean"), earlier(1)]

    assert references(history, history[2]) == (history[0], history[2])


def test_a_refusal_and_a_warning_name_the_model_and_the_way_out() -> None:
    found = trend_of([earlier(3)], [8.0] * 5)

    assert trend_failures(found) == [
        Failure(
            rule="trend",
            summary="the estimates are 2 times those of the model of 2026-10-30 in the median over "
            "products (limit 1.5)",
            value=found.ratio,
            limit=1.5,
            details=(
                "That model is weeks_ago_3. No week since then need have been unlike the one "
                "before it: labels that grow or shrink a little each week move estimates like "
                "this.",
            ),
            remedy="If the hours really changed, --accept-shift publishes the new model, and later "
            "ones are compared with that; a larger --max-trend accepts every such trend.",
        )
    ]
    (warning,) = trend_warnings(found)
    assert "2 times those of the model of 2026-10-30" in warning
    assert "farther than by a factor of 1.22; a factor of 1.5 is refused" in warning
