"""A week -> a model, the verdict on it and its report: all that can be told before it is published.

`train_model` publishes or refuses the model, `check_dataset` only tells. Nothing here is written to
a store.
"""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from pipeline.model.artifact import artifact_version
from pipeline.model.decisions import retired_products, withdrawn_datasets
from pipeline.model.metadata import (
    DOUBTS,
    ChampionComparison,
    Estimate,
    ModelMetadata,
    WeekAfter,
)
from pipeline.model.order import normalised_code
from pipeline.model.reader import DispatchModel
from pipeline.orders.past_weeks import PastWeeks
from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.release.carrying import carry_products
from pipeline.release.gate import Limits, judge
from pipeline.release.history import load_history
from pipeline.release.next_week import allow_for_movement, observe_week_after, weeks_after
from pipeline.release.publishing import check_agreement, write_artifact
from pipeline.report.log_summary import log_summary
from pipeline.report.page import render_report
from pipeline.stages.command_line import option_of
from pipeline.stages.errors import DatasetError, ModelRefused
from pipeline.stages.logs import LOG
from pipeline.stages.messages import Message
from pipeline.stages.progress import progress
from pipeline.stages.settings import LimitSettings
from pipeline.stages.wording import first_few
from pipeline.stages.workers import HERE, Workers
from pipeline.stores.base import ObjectStore
from pipeline.training.facts import gather_metadata
from pipeline.training.fitting import TrainedModel, train_on

GUIDE = "docs/how-to/refused_weeks.md"
MAX_DOUBTS_IN_MESSAGE = 100
"""Products that a message names for programs; the model's metadata name all."""


class JudgedWeek(NamedTuple):
    """A model of a week, and what there is to say of it.

    Attributes:
        version: name of the model.
        metadata: of the model, with the verdict on it.
        artifact: the model as an ONNX file.
        page: the report, in HTML.
    """

    version: str
    metadata: ModelMetadata
    artifact: bytes
    page: str


def judge_week(
    dataset: WeeklyDataset,
    store: ObjectStore | None,
    champion: DispatchModel | None,
    settings: LimitSettings,
    trained_at: datetime,
    past: PastWeeks | None = None,
    workers: Workers = HERE,
) -> JudgedWeek:
    """Train a model on a week, judge it, log how good it is, and write its report.

    Args:
        dataset: the week.
        store: of the model in production, or None if none is known.
        champion: the model in production, or None if there is none to compare with.
        settings: the limits.
        trained_at: now.
        past: earlier weeks that the model may learn from, or None.
        workers: fit a large week.

    Raises:
        ArtifactError: the model cannot be written as an artifact that agrees with it, or a decision
            to retire a product cannot be read.
        DatasetError: the week cannot be trained on.
        StoreError: the store cannot be listed or read.
        WorkersError: the workers are lost.
    """
    with progress("Fitting and judging the model"):
        model = _train(dataset, settings, settings.estimate, past, workers)
        alike = _like_champion(dataset, settings, champion, past, workers)
        retired = set(map(normalised_code, retired_products(store) if store else ()))
        history = load_history(store, champion) if store and champion else ()
        verdict = judge(model, dataset, champion, _limits(settings), retired, history, alike)
        facts = gather_metadata(trained_at, dataset, model)
        week_after = _week_after(champion, dataset, verdict.comparison, settings.accept_shift)
        weeks = weeks_after(history, champion, week_after) if champion else ()
        interval = allow_for_movement(facts.interval, weeks)
        metadata = facts.model_copy(
            update={
                "remarks": facts.remarks.model_copy(
                    update={doubt.remark: tuple(doubt.products) for doubt in verdict.doubts}
                ),
                "interval": interval,
                "several_weeks": model.several_weeks(interval),
                "week_after": week_after,
                "comparison": verdict.comparison,
                "catalogue_change": verdict.catalogue_change,
                "drift": verdict.drift,
                "share_above_largest": verdict.share_above_largest,
                "trend": verdict.trend,
                "shift_accepted": settings.accept_shift,
                "refused_because": verdict.failures,
            }
        )
        final = carry_products(store, champion, model, metadata, settings.keep_weeks, retired)
        metadata = final.metadata
    log_summary(metadata)
    with progress("Writing artifact and report"):
        artifact = write_artifact(final.regressor, metadata)
        check_agreement(final.regressor, metadata, artifact, final.points)
        version = artifact_version(trained_at, artifact)
        page = render_report(version, metadata, dataset, model, champion)
    return JudgedWeek(version, metadata, artifact, page)


def _week_after(
    champion: DispatchModel | None,
    dataset: WeeklyDataset,
    comparison: ChampionComparison | None,
    accept_shift: bool,
) -> WeekAfter | None:
    """Return what this week says of the champion's intervals.

    A week that people accept although it is unlike the last is no movement that comes again.
    """
    if champion is None or comparison is None or accept_shift:
        return None
    return observe_week_after(champion, dataset, comparison)


def _like_champion(
    dataset: WeeklyDataset,
    settings: LimitSettings,
    champion: DispatchModel | None,
    past: PastWeeks | None,
    workers: Workers,
) -> TrainedModel | None:
    """Return a model of the week that estimates what the champion does, if ours does not.

    Where orders are skewed, typical and mean hours differ although the week is like the last, and
    a week that is not could hide behind that.
    """
    if champion is None or champion.metadata.estimate == settings.estimate:
        return None
    theirs = champion.metadata.estimate
    LOG.warning(
        f"From now on {settings.estimate} hours are estimated, as {option_of('estimate')} says, "
        f"and {theirs} hours until now. A model of {theirs} hours of this week is compared with "
        "the model in production in place of the new one."
    )
    return _train(dataset, settings, theirs, past, workers)


def _train(
    dataset: WeeklyDataset,
    settings: LimitSettings,
    estimate: Estimate,
    past: PastWeeks | None,
    workers: Workers,
) -> TrainedModel:
    """Train a model on a week; an error says which week it is."""
    try:
        level = settings.interval_level
        return train_on(dataset.week, level, estimate=estimate, past=past, workers=workers)
    except DatasetError as error:
        raise DatasetError(
            error.message.headline,
            *error.message.details,
            f"The dataset is {dataset.key}.",
            facts={"dataset": dataset.key},
        ) from error


def refuse_withdrawn(store: ObjectStore, dataset: WeeklyDataset) -> None:
    """Refuse a dataset whose model people have withdrawn: training would publish the same again.

    Raises:
        DatasetError: it is such a dataset.
        StoreError: the store cannot be listed or read.
    """
    decision = withdrawn_datasets(store).get(dataset.sha256)
    if decision is not None:
        words = " ".join(decision.reason.split())
        reason = f" ({words})" if words else ""
        raise DatasetError(
            f"Refused {dataset.key}: the model of this week was withdrawn{reason}.",
            f"The model is {decision.model_version}.",
            "Deliver a corrected week, or restore the model with ttd-models.",
            facts={"dataset": dataset.key},
        )


def refusal_of(
    metadata: ModelMetadata, links: Mapping[str, str], facts: Mapping[str, Any]
) -> ModelRefused:
    """Return the error that says which rules a model broke, and where to look.

    Args:
        metadata: of the model, with the verdict on it.
        links: where to look, beside the guide.
        facts: what a machine may want to know, beside the broken rules and the dataset.
    """
    first, *others = metadata.refused_because
    more = f" ({len(others):,} more below)" if others else ""
    return ModelRefused(
        f"Refused: {first.summary}{more}.",
        *first.explanation,
        *(line for each in others for line in (f"{each.summary}.", *each.explanation)),
        "Production is untouched.",
        links={**links, "What to do": GUIDE},
        facts={
            "refused_because": [
                failure.model_dump(include={"rule", "value", "limit"})
                for failure in metadata.refused_because
            ],
            "dataset": metadata.dataset.key,
            **facts,
        },
    )


def doubts_of(metadata: ModelMetadata, links: Mapping[str, str]) -> Message | None:
    """Return what people should know of a published model some of whose products are doubted.

    A model of the champion's own dataset says nothing new.

    Args:
        metadata: of the model, with the verdict on it.
        links: where to look.
    """
    remarks, comparison = metadata.remarks, metadata.comparison
    doubted = list(remarks.doubts)
    if not doubted or (comparison is not None and comparison.same_dataset):
        return None
    return Message(
        f"Published, with {len(doubted):,} of {len(metadata.catalogue.rows):,} products that "
        f"cannot be trusted: {first_few(doubted)}.",
        (
            *(
                f"{remark.capitalize()}: {first_few(getattr(remarks, remark))}."
                for remark in DOUBTS
                if getattr(remarks, remark)
            ),
            *(
                [f"These keep the curve of an earlier model: {first_few(remarks.held_back)}."]
                if remarks.held_back
                else []
            ),
            "v0.2 of the API answers for them with trusted: false.",
        ),
        links={**links, "What to do": f"{GUIDE}#products-that-cannot-be-trusted"},
        facts={
            "doubts": dict(islice(remarks.doubts.items(), MAX_DOUBTS_IN_MESSAGE)),
            "doubted_products": len(doubted),
            "dataset": metadata.dataset.key,
        },
    ).with_short_headline()


def _limits(settings: LimitSettings) -> Limits:
    return Limits(
        r2_error_threshold=settings.r2_error_threshold,
        max_outlier_share=settings.max_outlier_share,
        max_unfit_share=settings.max_unfit_share,
        champion_tolerance=settings.champion_tolerance,
        max_shift=settings.max_shift,
        max_trend=settings.max_trend,
        max_vanished_share=settings.max_vanished_share,
        max_new_share=settings.max_new_share,
        on_drift=settings.on_drift,
        accept_shift=settings.accept_shift,
    )
