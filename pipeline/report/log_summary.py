"""What the log says of a trained model: a short table, and warnings of what deserves a look."""

from collections.abc import Iterator, Sequence

from pipeline.model.metadata import (
    CandidateScore,
    ChampionComparison,
    Metrics,
    ModelMetadata,
    PredictionInterval,
    ProductInSteps,
    RepeatedRows,
    Skill,
)
from pipeline.release.catalogue import rewritten_in_words
from pipeline.release.champion_rules import comparison_warnings, movement_in_words
from pipeline.release.drift_rules import drift_warnings
from pipeline.release.labels import first_week_warnings
from pipeline.release.trend import trend_warnings
from pipeline.report.formatting import count
from pipeline.report.several_weeks import several_weeks_in_words
from pipeline.stages.logs import LOG
from pipeline.stages.wording import first_few

MIN_ROWS_FOR_METRICS = 30
"""From fewer rows R² and errors are not told without a word of warning."""


def log_summary(metadata: ModelMetadata) -> None:
    """Log what was trained on what, how good it is, and how it compares with the champion."""
    for line in _table(metadata):
        LOG.info(line)
    for warning in _warnings(metadata):
        LOG.warning(warning)


def _table(metadata: ModelMetadata) -> Iterator[str]:
    metrics, interval = metadata.metrics, metadata.interval
    yield (
        f"Trained a {metadata.regressor} of {metadata.estimate} hours on "
        f"{metadata.dataset.rows:,} rows of {metadata.own_products:,} products."
    )
    if metadata.several_weeks is not None:
        yield several_weeks_in_words(metadata.several_weeks)
    if metadata.dataset.step_hours is not None:
        yield f"The hours come in steps of {metadata.dataset.step_hours:g}."
    yield from _own_steps(metadata.remarks.in_steps)
    for score in metadata.candidates:
        yield _candidate_row(score)
    yield from _errors(metrics)
    if metadata.skill is not None:
        yield _skill_row(metadata.skill)
    yield (
        f"Intervals of {interval.level:.0%}: {interval.lower_multiple:.2f} times the noise below "
        f"the estimate and {interval.upper_multiple:.2f} times above it; the noise is "
        f"{interval.noise_base_hours:.2f} h + {interval.noise_growth:.1%} of the estimate. "
        f"Outliers: {metadata.outliers.rows:,} rows ({metadata.outliers.share:.1%})."
    )
    yield _next_week_row(interval)
    if metadata.comparison is not None:
        yield _champion_row(metadata.comparison)
    held = metadata.remarks.held_back
    for week in metadata.earlier_weeks:
        why = (
            "their orders contradict it or there were none" if held else "without orders this week"
        )
        yield (
            f"Kept, {why}: {count(len(week.product_code), 'product')} with the "
            f"curve from {week.delivered_at:%Y-%m-%d}, until {week.kept_until:%Y-%m-%d}: "
            f"{first_few(week.product_code)}."
        )


def _next_week_row(interval: PredictionInterval) -> str:
    """Say what the intervals promise for the week in which they are used."""
    if not interval.weeks_after:
        return (
            "How far estimates move from one week to the next cannot be known yet: the intervals "
            "hold in their own week."
        )
    return (
        "For the next week the intervals allow for estimates that are off by "
        f"{interval.movement:.1%}, as {count(interval.weeks_after, 'earlier week')} showed."
    )


def _own_steps(products: Sequence[ProductInSteps]) -> Iterator[str]:
    by_step: dict[float, list[str]] = {}
    for product in products:
        by_step.setdefault(product.step_hours, []).append(product.product_code)
    for step, codes in by_step.items():
        yield f"The hours of {first_few(codes)} come in steps of {step:g}."


def _errors(metrics: Metrics) -> Iterator[str]:
    yield (
        f"R² {_r_squared(metrics.r_squared)}, mean absolute error "
        f"{metrics.mean_absolute_error_hours:.2f} h (noise floor "
        f"{metrics.noise_floor_hours:.2f} h): fitted on {metrics.train_rows:,} rows and tested on "
        f"{metrics.test_rows:,} others{_too_few(metrics)}."
    )
    if metrics.mean_absolute_error_with_outliers_hours is not None:
        yield (
            f"With outliers: R² {_r_squared(metrics.r_squared_with_outliers)}, mean absolute error "
            f"{metrics.mean_absolute_error_with_outliers_hours:.2f} h."
        )


def _r_squared(r_squared: float | None) -> str:
    return "undefined" if r_squared is None else f"{r_squared:.4f}"


def _too_few(metrics: Metrics) -> str:
    if metrics.test_rows >= MIN_ROWS_FOR_METRICS:
        return ""
    return ", which are too few to rely on"


def _skill_row(skill: Skill) -> str:
    return (
        f"The best guess without a model, the {skill.baseline}, has an error of "
        f"{skill.baseline_error_hours:.2f} h where the model has {skill.error_hours:.2f} h."
    )


def _candidate_row(score: CandidateScore) -> str:
    standing = "best"
    if score.excess_hours > 0:
        standing = f"+{score.excess_hours:.3f} h ± {score.standard_error_hours:.3f} h"
    chosen = ", chosen" if score.chosen else ""
    if score.passed_over_for:
        chosen = f", passed over for {' and '.join(score.passed_over_for)}"
    return (
        f"  {score.name:<20} cross-validated error {score.mean_absolute_error_hours:7.3f} h "
        f"({standing}{chosen})"
    )


def _champion_row(comparison: ChampionComparison) -> str:
    champion, challenger = comparison.champion_error_hours, comparison.challenger_error_hours
    if champion is None or challenger is None:
        return movement_in_words(comparison)
    where = "recorded" if comparison.same_dataset else "on the same rows"
    return (
        f"The model in production has an error of {champion:.2f} h {where}, the new one of "
        f"{challenger:.2f} h. {movement_in_words(comparison)}"
    )


def _warnings(metadata: ModelMetadata) -> Iterator[str]:
    remarks = {
        "few rows, or one order count (their curves lean on those of all products)": (
            metadata.remarks.few_rows
        ),
        "a slope of zero, since hours fall as orders rise": metadata.remarks.falling,
        "the same estimate for every number of orders": metadata.remarks.flat,
        "orders this week, though they were retired": metadata.remarks.retired,
        "hours spread far more widely than those of others, for which an estimate says little": (
            metadata.remarks.noisy
        ),
        "an interval that was widened, since fewer orders than promised were inside": (
            metadata.remarks.wide
        ),
        "too many outliers of their own, for which the estimates are far off": (
            metadata.remarks.unfit
        ),
        "a larger error than their own mean or median has": metadata.remarks.unskilled,
        "estimates that are too low or too high on average": metadata.remarks.biased,
        "an estimate of the model in production that was far off for most of the orders": (
            metadata.remarks.surprising
        ),
        "curves that changed places with one another, as if their codes were swapped": (
            metadata.remarks.swapped
        ),
    }
    for remark, products in remarks.items():
        if products:
            yield f"Products with {remark}: {first_few(products)}."
    if metadata.remarks.held_back:
        yield (
            "Held back, with the curve of the model in production: "
            f"{first_few(metadata.remarks.held_back)}."
        )
    if metadata.remarks.kinds:
        described = [
            f"{mixed.product_code!r} ({mixed.in_words})" for mixed in metadata.remarks.kinds
        ]
        yield (
            "Products with orders of two kinds, of which the estimates fit the one with more: "
            f"{first_few(described, str)}."
        )
    for dropped in metadata.dropped:
        yield (
            f"Dropped, with no estimates any more: {count(len(dropped.product_code), 'product')} "
            f"{dropped.reason}: {first_few(dropped.product_code)}."
        )
    repeated = metadata.dataset.repeated
    if repeated is not None and repeated.breached:
        yield _repeats_in_words(repeated)
    if metadata.comparison is not None:
        yield from comparison_warnings(metadata.comparison)
    if metadata.catalogue_change is not None:
        yield from rewritten_in_words(metadata.catalogue_change)
    yield from first_week_warnings(metadata)
    yield from drift_warnings(metadata.drift)
    yield from trend_warnings(metadata.trend)


def _repeats_in_words(repeated: RepeatedRows) -> str:
    if repeated.copies > 1:
        found = f"The week seems to be in the file {repeated.copies} times"
    else:
        found = "Rows seem to be in the file several times"
    return (
        f"{found}: {repeated.share:.1%} of the rows are exactly like an earlier one, and chance "
        f"explains {repeated.by_chance:.1%} at most. Equal rows were kept together, so that the "
        "error is honest. Look at how the file was put together."
    )
