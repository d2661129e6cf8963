"""The verdict on a model: which rules are asked, and with what."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from pipeline.model.metadata import MixedProduct
from pipeline.model.order import HOURS
from pipeline.orders.simulator import simulate_orders
from pipeline.release.gate import Limits, Verdict, judge
from tests.support.builders import (
    LineModel,
    dataset,
    fit_lines,
    metadata_of,
    trained_model,
)

LIMITS = Limits(
    r2_error_threshold=0.8,
    max_outlier_share=0.05,
    max_unfit_share=0.05,
    champion_tolerance=0.05,
    max_shift=2.0,
    max_trend=1.5,
    max_vanished_share=0.1,
    max_new_share=0.3,
    on_drift="warn",
    accept_shift=False,
)
LAST_WEEK = simulate_orders(500, seed=1)
THIS_WEEK = simulate_orders(500, seed=2)
TRIPLED = THIS_WEEK.assign(hours_to_dispatch=3 * THIS_WEEK[HOURS])


def champion_of(orders: pd.DataFrame) -> LineModel:
    metadata = metadata_of(orders, dataset={"sha256": "cd34" * 16})
    return LineModel("champion", metadata, fit_lines(orders))


def test_a_week_like_the_last_has_a_comparison_and_drift_and_no_failures() -> None:
    verdict = judge(trained_model(THIS_WEEK), dataset(THIS_WEEK), champion_of(LAST_WEEK), LIMITS)

    assert verdict.failures == ()
    assert verdict.comparison is not None
    assert verdict.comparison.median_ratio == pytest.approx(1.0, abs=0.05)
    by_code = {shift.product_code: shift.rows for shift in verdict.comparison.shifts}
    assert by_code == THIS_WEEK["product_code"].value_counts().to_dict()
    assert [measure.breached for measure in verdict.drift] == [False] * 11


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({}, ["vanished_products", "new_products"]),
        ({"max_vanished_share": 1.0}, ["new_products"]),
        ({"max_new_share": 1.0}, ["vanished_products"]),
        ({"accept_shift": True}, []),
    ],
)
def test_a_week_of_other_products_is_refused_until_people_accept_it(
    changes: dict[str, Any], rules: list[str]
) -> None:
    week = THIS_WEEK.assign(product_code=THIS_WEEK["product_code"].str.lower())

    verdict = judge(
        trained_model(week), dataset(week), champion_of(LAST_WEEK), LIMITS._replace(**changes)
    )

    assert [failure.rule for failure in verdict.failures] == rules
    assert verdict.catalogue_change is not None
    assert verdict.catalogue_change.new.share == 1.0


def test_without_champion_there_is_nothing_to_compare() -> None:
    verdict = judge(trained_model(TRIPLED), dataset(TRIPLED), None, LIMITS)

    assert [doubt.remark for doubt in verdict.doubts] == ["unfit", "mixed", "unskilled", "biased"]
    assert verdict == Verdict((), verdict.share_above_largest, verdict.doubts)


def test_every_limit_is_that_of_its_rule_and_stands_in_its_failure() -> None:
    outliers = TRIPLED.assign(hours_to_dispatch=TRIPLED[HOURS].where(TRIPLED.index % 10 > 0, 1e3))
    model = trained_model(outliers, fit_lines(TRIPLED))
    strict = LIMITS._replace(r2_error_threshold=0.999, champion_tolerance=0, max_shift=1.5)

    failures = judge(model, dataset(outliers), champion_of(LAST_WEEK), strict).failures

    limits = {failure.rule: failure.limit for failure in failures}
    assert limits["r_squared"] == 0.999
    assert limits["outlier_share"] == 0.05
    assert "factor of 1.5" in " ".join(failure.summary for failure in failures)


@pytest.mark.parametrize(("max_unfit_share", "refused"), [(0.05, True), (0.3, False)])
def test_a_product_that_the_model_does_not_fit_is_named_and_refused(
    max_unfit_share: float, refused: bool
) -> None:
    is_late = (THIS_WEEK["product_code"] == "SKU003") & (THIS_WEEK.index % 5 == 0)
    week = THIS_WEEK.assign(hours_to_dispatch=THIS_WEEK[HOURS].mask(is_late, THIS_WEEK[HOURS] + 9))
    model = trained_model(week, fit_lines(THIS_WEEK))

    verdict = judge(model, dataset(week), None, LIMITS._replace(max_unfit_share=max_unfit_share))

    found = {doubt.remark: list(doubt.products) for doubt in verdict.doubts}
    assert found == {"unfit": ["SKU003"], "mixed": [], "unskilled": [], "biased": []}
    assert [failure.rule for failure in verdict.failures] == refused * ["untrusted_products"]


def test_a_product_with_orders_of_two_kinds_is_named_and_refused() -> None:
    at_once = MixedProduct(product_code="SKU002", rows=60, share=0.6, label_hours=0.0)
    model = trained_model(THIS_WEEK, mixed=(at_once,))

    (failure,) = judge(model, dataset(THIS_WEEK), None, LIMITS).failures

    assert failure.rule == "untrusted_products"
    assert "60% of its 60 rows are at 0 h" in failure.details[0]


@pytest.mark.parametrize(
    ("changes", "refused"),
    [({}, True), ({"accept_shift": True}, False), ({"max_unfit_share": 0.3}, False)],
)
def test_a_product_on_which_the_champion_is_far_off_is_refused_until_people_accept_it(
    changes: dict[str, Any], refused: bool
) -> None:
    is_one = THIS_WEEK["product_code"] == "SKU003"
    week = THIS_WEEK.assign(hours_to_dispatch=THIS_WEEK[HOURS].mask(is_one, 1.9 * THIS_WEEK[HOURS]))

    verdict = judge(
        trained_model(week), dataset(week), champion_of(LAST_WEEK), LIMITS._replace(**changes)
    )

    assert [failure.rule for failure in verdict.failures] == refused * ["untrusted_products"]


def test_products_that_were_swapped_are_named_and_refused() -> None:
    codes = {"SKU001": "SKU005", "SKU005": "SKU001"}
    week = THIS_WEEK.assign(product_code=THIS_WEEK["product_code"].replace(codes))

    verdict = judge(trained_model(week), dataset(week), champion_of(LAST_WEEK), LIMITS)

    found = {doubt.remark: list(doubt.products) for doubt in verdict.doubts}
    assert found["swapped"] == ["SKU001", "SKU005"]
    assert [failure.rule for failure in verdict.failures] == ["untrusted_products"]


def test_the_champion_s_own_week_is_doubted_as_before() -> None:
    remarks = {"surprising": ["SKU001", "GONE"], "swapped": ["SKU002", "SKU003"]}
    facts = metadata_of(LAST_WEEK, remarks=remarks)
    champion = LineModel("champion", facts, fit_lines(LAST_WEEK))

    verdict = judge(trained_model(TRIPLED), dataset(TRIPLED), champion, LIMITS)

    assert {doubt.remark: list(doubt.products) for doubt in verdict.doubts} == {
        "unfit": [],
        "mixed": [],
        "unskilled": [],
        "biased": [],
        "surprising": ["SKU001"],
        "swapped": ["SKU002", "SKU003"],
    }


def test_estimates_are_held_to_the_largest_label_that_is_no_outlier() -> None:
    mis_keyed = THIS_WEEK.assign(hours_to_dispatch=THIS_WEEK[HOURS].mask(THIS_WEEK.index == 0, 1e3))
    model = trained_model(mis_keyed, fit_lines(THIS_WEEK))
    doubled = replace(model, grid=model.grid._replace(hours=2 * model.grid.hours))

    (failure,) = judge(doubled, dataset(mis_keyed), None, LIMITS).failures

    assert failure.rule == "too_high_estimates"


@pytest.mark.parametrize(("accept_shift", "failures"), [(False, 4), (True, 0)])
def test_a_week_unlike_the_last_may_be_accepted(accept_shift: bool, failures: int) -> None:
    limits = LIMITS._replace(accept_shift=accept_shift)

    verdict = judge(trained_model(TRIPLED), dataset(TRIPLED), champion_of(LAST_WEEK), limits)

    assert len(verdict.failures) == failures
    assert verdict.comparison is not None
    assert verdict.comparison.shifted_share == 1.0


@pytest.mark.parametrize(("tolerance", "refused"), [(0.1, True), (9.0, False)])
def test_the_tolerance_is_that_of_the_limits(tolerance: float, refused: bool) -> None:
    champion = champion_of(THIS_WEEK)
    worse = {code: (level + 0.7, slope) for code, (level, slope) in champion.lines.items()}
    limits = LIMITS._replace(champion_tolerance=tolerance)

    failures = judge(trained_model(THIS_WEEK, worse), dataset(THIS_WEEK), champion, limits).failures

    assert [failure.rule for failure in failures] == ["champion_error"] * refused
