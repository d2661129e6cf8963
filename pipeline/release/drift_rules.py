"""What drift means: warnings, refusals, and words for them."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pipeline.model.metadata import COVERAGE, DriftMeasure, Failure
from pipeline.release.champion_rules import UNLIKE_THE_LAST
from pipeline.release.drift import (
    ABOVE_LARGEST,
    CONSTANT_SHARE,
    COVERAGE_OF_SEEN_ROWS,
    ERROR_GROWTH,
    ERROR_RATIO,
    NEW_SHARE,
    ORDERS_STABILITY,
    OUTSIDE_RANGE,
    PRODUCT_STABILITY,
    ROWS_RATIO,
    VANISHED_SHARE,
)
from pipeline.stages.command_line import option_of
from pipeline.stages.wording import first_few


class _Meaning(NamedTuple):
    """What a breach of a measure is called, and what it may mean."""

    rule: str
    words: str


MEANINGS = {
    ROWS_RATIO: _Meaning(
        "drift_rows",
        "part of the week is missing or was delivered more than once, or the week was "
        "unusually quiet or busy",
    ),
    ORDERS_STABILITY: _Meaning(
        "drift_orders",
        "orders are spread over other counts than before, as in a season, or they are counted in "
        "another way",
    ),
    OUTSIDE_RANGE: _Meaning(
        "drift_range",
        "the busy or the quiet part of the week is missing, or orders are counted in another way; "
        "for such counts estimates of the new model are guesses",
    ),
    PRODUCT_STABILITY: _Meaning(
        "drift_products",
        "customers order other products than before, or orders of some are missing",
    ),
    NEW_SHARE: _Meaning(
        "drift_new", "the catalogue grew, or product codes are written in another way"
    ),
    VANISHED_SHARE: _Meaning(
        "drift_vanished",
        "products are sold no more, or their orders are missing from the dataset",
    ),
    ERROR_RATIO: _Meaning(
        "drift_error", "the hours to dispatch have changed, or their labels are wrong"
    ),
    ERROR_GROWTH: _Meaning(
        "drift_noise",
        "the hours depend less on product and orders placed than before, or part of the labels "
        "or of the order counts is wrong",
    ),
    COVERAGE: _Meaning(
        "drift_coverage",
        "the intervals that customers are told are too narrow for this week, or all hours or "
        "order counts are shifted",
    ),
    COVERAGE_OF_SEEN_ROWS: _Meaning(
        "drift_coverage", "its intervals were too narrow from the start"
    ),
    ABOVE_LARGEST: _Meaning(
        "drift_cut_off", "late orders are missing from the dataset, or labels end at a cap"
    ),
    CONSTANT_SHARE: _Meaning(
        "drift_constant", "a default stands in the place of the hours of these products"
    ),
}
"""What a breach of each measure may mean."""


def drift_warnings(measures: Sequence[DriftMeasure]) -> list[str]:
    """Return a sentence for each breached measure: its value, its limit, what it may mean."""
    return [
        f"{measure.name} is {measure.value:.3g}, {_limit_in_words(measure)}: "
        f"{MEANINGS[measure.name].words}.{_products(measure)}"
        for measure in measures
        if measure.breached
    ]


def drift_failures(
    measures: Sequence[DriftMeasure], on_drift: Literal["fail", "warn"]
) -> list[Failure]:
    """Return which measures refuse the week, those far outside and, if asked for, all outside.

    The caller asks only where weeks unlike the last are not accepted.

    Args:
        measures: of this week.
        on_drift: whether those that are not far outside refuse it too.
    """
    return [
        _failure(measure)
        for measure in measures
        if measure.is_refused or (measure.breached and on_drift == "fail")
    ]


def _failure(measure: DriftMeasure) -> Failure:
    meaning = MEANINGS[measure.name]
    if measure.is_refused:
        far = measure.model_copy(
            update={"least": measure.refused_below, "most": measure.refused_above}
        )
        remedy = ""
    else:
        far = measure
        remedy = f" {option_of('on_drift')} warn publishes with a warning."
    return Failure(
        rule=meaning.rule,
        summary=f"{UNLIKE_THE_LAST}: {measure.name[0].lower()}{measure.name[1:]} is "
        f"{measure.value:.3g}, {_limit_in_words(far)}",
        value=measure.value,
        limit=_limit(far),
        details=(f"It may be that {meaning.words}.{_products(measure)}",),
        remedy=f"If the week really was like that, {option_of('accept_shift')} publishes the new "
        f"model.{remedy}",
    )


def _limit_in_words(measure: DriftMeasure) -> str:
    """Return which limit a breached measure is beyond."""
    side = "below" if _is_below(measure) else "above"
    return f"{side} {_limit(measure):.3g}"


def _limit(measure: DriftMeasure) -> float | None:
    return measure.least if _is_below(measure) else measure.most


def _is_below(measure: DriftMeasure) -> bool:
    return measure.least is not None and measure.value is not None and measure.value < measure.least


def _products(measure: DriftMeasure) -> str:
    return f" Products: {first_few(measure.product_code)}." if measure.product_code else ""
