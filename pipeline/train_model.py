"""Stage 1: train a model on the newest weekly dataset of a store, and publish it if it is good."""

if __name__ == "__main__":
    from pipeline.stages.interrupts import end_in_one_line
    from pipeline.stages.surroundings import (
        refuse_missing_requirements,
        refuse_poor_surroundings,
    )

    end_in_one_line()  # while modules load, too
    refuse_poor_surroundings(trains=True)
    refuse_missing_requirements("train")

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from pipeline.judged_week import doubts_of, judge_week, refusal_of, refuse_withdrawn
from pipeline.model.artifact import MODELS, NOT_PUBLISHED, REFUSED, REPORTS
from pipeline.model.decisions import has_decided_on_products
from pipeline.model.metadata import ModelMetadata
from pipeline.model.reader import DispatchModel
from pipeline.model.undelivered_alerts import tell_people
from pipeline.orders.deliveries import Delivery, given_delivery, newest_delivery
from pipeline.orders.past_weeks import PastWeeks, load_past_weeks
from pipeline.orders.weekly_dataset import WeeklyDataset, load_dataset
from pipeline.release.champion import load_champion, newest_beside
from pipeline.release.overtaking import (
    champion_now,
    production_of,
    refuse_overtaken,
    time_of_model,
)
from pipeline.release.publishing import store_artifact
from pipeline.release.rules import r_squared_failures
from pipeline.stages.alerts import alert_on_failure
from pipeline.stages.command_line import option_of
from pipeline.stages.errors import ModelRefused, Overtaken, Refusal
from pipeline.stages.logs import LOG, configure_logging, exit_code_of
from pipeline.stages.messages import Message
from pipeline.stages.progress import progress
from pipeline.stages.settings import TrainSettings, git_commit
from pipeline.stages.workers import Workers, open_workers
from pipeline.stores.base import ObjectStore, open_store
from pipeline.training.facts import library_versions


@exit_code_of
def main(arguments: Sequence[str] = ()) -> None:
    """Run the whole stage and return its exit code: 0 published or kept, 1 failed, 3 refused.

    Args:
        arguments: command line arguments; wrong ones end the process with exit code 2.
    """
    settings = TrainSettings.from_arguments(arguments)
    configure_logging(settings.log_level, settings.log_format)
    LOG.info("Starting train-model stage.")
    with alert_on_failure(partial(_tell, settings)):
        store = open_store(settings.store, settings.store_seconds)
        store.check_writes()
        champion = _champion(store, settings)
        try:
            with open_workers(settings.jobs, settings.scheduler, settings.scratch) as workers:
                _train_and_release(store, champion, settings, workers)
        except Refusal as refusal:
            kept = refusal.version if isinstance(refusal, Overtaken) else _version_of(champion)
            if kept is None or settings.on_refusal == "fail":
                raise
            _go_on_with(kept, refusal, settings)
    LOG.info("Finished train-model stage.")


def _champion(store: ObjectStore, settings: TrainSettings) -> DispatchModel | None:
    """Return the model in production, or None if there is none or it is not to be asked."""
    if settings.ignore_champion:
        LOG.warning(
            "The model in production is not compared with, and no curve is kept from it: "
            "--ignore-champion is set."
        )
        return None
    champion = load_champion(store)
    if champion is None:
        LOG.info("There is no model in production to compare with.")
    return champion


def _train_and_release(
    store: ObjectStore, champion: DispatchModel | None, settings: TrainSettings, workers: Workers
) -> None:
    """Train a model on the newest dataset, judge it, report on it, and publish or refuse it."""
    trained_at = settings.trained_at or _time_of_model(store, settings)
    dataset, past = _read_weeks(store, settings, workers)
    if not settings.ignore_champion:
        champion = champion_now(store, champion)
    production = production_of(store)
    if champion is not None and not settings.retrain:
        newest = newest_beside(store, champion)
        made = next((m for m in (champion, newest) if _would_be(m, dataset, past, settings)), None)
        if made and not has_decided_on_products(store, since=made.metadata.trained_at):
            _say_unchanged(made, dataset)
            return
    refuse_overtaken(store, trained_at, production)
    week = judge_week(dataset, store, champion, settings, trained_at, past, workers)
    refuse_overtaken(store, trained_at, production)
    report = f"{REPORTS}/{week.version}.html"
    store.write_new(report, week.page.encode())
    LOG.info(f"Reported in {store.url}/{report}.")
    if week.metadata.refused_because:
        refused = store_artifact(store, REFUSED, week.metadata, week.artifact)
        raise _refusal(week.metadata, settings, refused, report)
    try:
        _publish(store, week.metadata, week.artifact, settings.r2_warning_threshold)
    except Overtaken as error:
        note = f"{REPORTS}/{week.version}{NOT_PUBLISHED}"
        store.write_new(note, f"{error}\n".encode())
        raise
    _tell_of_doubts(week.metadata, settings, report)


def _tell(settings: TrainSettings, message: Message) -> None:
    tell_people(settings.webhook_url, settings.store, message)


def _time_of_model(store: ObjectStore, settings: TrainSettings) -> datetime:
    """Return the time that the model gets; people are told if it is not now."""
    trained_at, warning = time_of_model(store, datetime.now(UTC))
    if warning:
        _warn(warning, settings)
    return trained_at


class _Weeks(NamedTuple):
    """What a model is trained on: the week, and what is known of those before it."""

    dataset: WeeklyDataset
    past: PastWeeks | None


def _read_weeks(store: ObjectStore, settings: TrainSettings, workers: Workers) -> _Weeks:
    with progress("Reading the dataset"):
        delivery = _delivery(store, settings, datetime.now(UTC))
        for warning in delivery.warnings:
            _warn(warning, settings)
        dataset = load_dataset(store, delivery, settings.max_rejected_share, workers)
        refuse_withdrawn(store, dataset)
        past = load_past_weeks(store, dataset, settings.weeks, settings.max_rejected_share)
    return _Weeks(dataset, past)


def _delivery(store: ObjectStore, settings: TrainSettings, now: datetime) -> Delivery:
    """Return which file is the week: the newest, or the one that people ask for."""
    if settings.dataset_key is None:
        return newest_delivery(store, now)
    LOG.warning(f"Training on {settings.dataset_key}, newest or not: --dataset-key is set.")
    return given_delivery(settings.dataset_key, now)


def _warn(warning: Message, settings: TrainSettings) -> None:
    """Tell people of what does not end the stage."""
    LOG.warning(str(warning), extra=warning.facts)
    _tell(settings, warning)


def _tell_of_doubts(metadata: ModelMetadata, settings: TrainSettings, report: str) -> None:
    """Tell people of products that are published and cannot be trusted."""
    warning = doubts_of(metadata, {"Report": f"{_public_url(settings)}/{report}"})
    if warning:
        _warn(warning, settings)


def _would_be(
    model: DispatchModel,
    dataset: WeeklyDataset,
    past: PastWeeks | None,
    settings: TrainSettings,
) -> bool:
    """Tell whether a published model was made of these datasets by this code, as far as known.

    A commit that either run did not know may be the same. Curves that it held back are published by
    accepting the week.
    """
    made = model.metadata
    known_commits = {made.git_commit, git_commit()} - {None}
    return (
        made.dataset.sha256 == dataset.sha256
        and (made.several_weeks and made.several_weeks.sources) == (past and past.sources)
        and made.interval.level == settings.interval_level
        and made.estimate == settings.estimate
        and not (settings.accept_shift and made.remarks.held_back)
        and made.library_versions == library_versions()
        and len(known_commits) <= 1
    )


def _say_unchanged(made: DispatchModel, dataset: WeeklyDataset) -> None:
    """Log that there is nothing to publish; the same file under another name deserves a look."""
    text = (
        f"Nothing is published: {made.version} is published already, made of the same "
        f"dataset by the same code. --retrain trains all the same."
    )
    if dataset.key == made.metadata.dataset.key:
        LOG.info(text)
    else:
        LOG.warning(f"{text} {dataset.key} is a copy of {made.metadata.dataset.key}.")


def _refusal(
    metadata: ModelMetadata, settings: TrainSettings, refused: str, report: str
) -> ModelRefused:
    """Return the error that says which rules a model broke, and where to look.

    Args:
        metadata: of the model, with the verdict on it.
        settings: say where people reach the store.
        refused: key of the model, which is kept where nobody serves it.
        report: key of the report on it.
    """
    store = _public_url(settings)
    return refusal_of(
        metadata,
        links={
            "Report": f"{store}/{report}",
            "Dataset": f"{store}/{metadata.dataset.key}",
            "Refused model": f"{store}/{refused}",
        },
        facts={"report": report},
    )


def _public_url(settings: TrainSettings) -> str:
    """Return the URL under which people can open what is in the store."""
    return settings.public_url or settings.store.rstrip("/")


def _publish(
    store: ObjectStore, metadata: ModelMetadata, artifact: bytes, r2_warning_threshold: float
) -> None:
    """Make a model the newest of the store."""
    setting = "r2_warning_threshold"
    for failure in r_squared_failures(metadata.metrics, r2_warning_threshold, setting):
        reasons = " ".join([f"{failure.summary} ({option_of(setting)}).", *failure.explanation])
        LOG.warning(f"Publishing a model that is worse than it should be: {reasons}")
    key = store_artifact(store, MODELS, metadata, artifact)
    LOG.info(f"Published {store.url}/{key} ({len(artifact):,} bytes).")


def _version_of(model: DispatchModel | None) -> str | None:
    return None if model is None else model.version


def _go_on_with(version: str, refusal: Refusal, settings: TrainSettings) -> None:
    """Tell people of a refusal that does not stop the deployment, as `--on-refusal keep` says."""
    message = refusal.message.with_detail(f"Going on with {version}, since --on-refusal is keep.")
    LOG.error(str(message), extra=message.facts)
    _tell(settings, message)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
