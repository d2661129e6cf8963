"""What the log says of a trained model: a short table, and warnings of what deserves a look."""

from collections.abc import Iterator

from pipeline.model.metadata import CandidateScore, ChampionComparison, Lineage
from pipeline.release.champion_rules import comparison_warnings, movement_in_words
from pipeline.release.drift import drift_warnings
from pipeline.stages.logs import LOG
from pipeline.training.evaluation import listed


def log_summary(lineage: Lineage) -> None:
    """Log what was trained on what, how good it is, and how it compares with the champion."""
    for line in _table(lineage):
        LOG.info(line)
    for warning in _warnings(lineage):
        LOG.warning(warning)


def _table(lineage: Lineage) -> Iterator[str]:
    metrics, interval = lineage.metrics, lineage.interval
    r_squared = "undefined" if metrics.r_squared is None else f"{metrics.r_squared:.4f}"
    error = metrics.mean_absolute_error_hours
    yield (
        f"Trained a {lineage.regressor} on {lineage.dataset.rows:,} rows of "
        f"{len(lineage.catalogue.product_code):,} products."
    )
    for score in lineage.candidates:
        yield _candidate_row(score)
    yield (
        f"R² {r_squared}, mean absolute error {error:.2f} h (noise floor "
        f"{metrics.noise_floor_hours:.2f} h): fitted on {metrics.train_rows:,} rows and judged on "
        f"{metrics.test_rows:,} others."
    )
    yield (
        f"Intervals of {interval.level:.0%}: {interval.multiple:.2f} times the noise of "
        f"{interval.noise_base_hours:.2f} h + {interval.noise_growth:.1%} of the estimate. "
        f"Outliers: {lineage.outliers.rows:,} rows ({lineage.outliers.share:.1%})."
    )
    if lineage.comparison is not None:
        yield _champion_row(lineage.comparison)


def _candidate_row(score: CandidateScore) -> str:
    standing = "best"
    if score.excess_hours > 0:
        standing = f"+{score.excess_hours:.3f} h ± {score.standard_error_hours:.3f} h"
    chosen = ", chosen" if score.chosen else ""
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


def _warnings(lineage: Lineage) -> Iterator[str]:
    remarks = {
        "few rows, or one order count (their curves lean on those of all products)": (
            lineage.remarks.few_rows
        ),
        "a slope of zero, since hours fall as orders rise": lineage.remarks.falling,
        "the same estimate for every number of orders": lineage.remarks.flat,
    }
    for remark, products in remarks.items():
        if products:
            yield f"Products with {remark}: {listed(products)}."
    if lineage.comparison is not None:
        yield from comparison_warnings(lineage.comparison)
    yield from drift_warnings(lineage.drift)
