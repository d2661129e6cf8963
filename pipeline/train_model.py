"""Stage 1: train a model on the newest weekly dataset of a store, and publish it if it is good."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

from pipeline.model.artifact import MODELS, REFUSED, REPORTS, artifact_version
from pipeline.model.metadata import ModelMetadata
from pipeline.model.reader import DispatchModel
from pipeline.orders.weekly_dataset import WeeklyDataset, load_newest_dataset
from pipeline.release.champion import champion_on_grid, load_champion
from pipeline.release.gate import judge
from pipeline.release.publishing import check_agreement, store_artifact, write_artifact
from pipeline.release.rules import r_squared_failures
from pipeline.report.log_summary import log_summary
from pipeline.report.page import ReportFacts, render_report
from pipeline.stages.alerts import alert_on_failure, post_alert
from pipeline.stages.errors import DatasetError, ModelRefused, PipelineError
from pipeline.stages.logs import LOG, configure_logging, exit_code_of
from pipeline.stages.progress import progress
from pipeline.stages.settings import TrainSettings
from pipeline.stores.base import ObjectStore, open_store
from pipeline.training.facts import gather_metadata
from pipeline.training.fitting import TrainedModel, train_on


@exit_code_of
def main(arguments: Sequence[str] = ()) -> None:
    """Run the whole stage and return its exit code: 0 published or kept, 1 refused or failed.

    Args:
        arguments: command line arguments; wrong ones end the process with exit code 2.
    """
    settings = TrainSettings.from_arguments(arguments)
    configure_logging(settings.log_level, settings.log_format)
    LOG.info("Starting train-model stage.")
    with alert_on_failure(settings.webhook_url):
        store = open_store(settings.store)
        champion = _champion(store, settings)
        try:
            _train_and_release(store, champion, settings)
        except (DatasetError, ModelRefused) as refusal:
            if champion is None or settings.on_refusal == "fail":
                raise
            _go_on_with(champion, refusal, settings)
    LOG.info("Finished train-model stage.")


def _champion(store: ObjectStore, settings: TrainSettings) -> DispatchModel | None:
    """Return the model in production, or None if there is none or it is not to be asked."""
    if settings.ignore_champion:
        LOG.warning("The model in production is not compared with: --ignore-champion is set.")
        return None
    champion = load_champion(store)
    if champion is None:
        LOG.info("There is no model in production to compare with.")
    return champion


def _train_and_release(
    store: ObjectStore, champion: DispatchModel | None, settings: TrainSettings
) -> None:
    """Train a model on the newest dataset, judge it, report on it, and publish or refuse it."""
    trained_at = datetime.now(UTC)
    with progress("Reading the newest dataset"):
        dataset = load_newest_dataset(store, settings.max_rejected_share)
    with progress("Fitting and judging the model"):
        model = train_on(dataset.orders, settings.interval_level)
        facts = gather_metadata(trained_at, dataset, model)
        metadata = judge(facts, model, dataset, champion, settings)
    log_summary(metadata)
    with progress("Writing artifact and report"):
        artifact = write_artifact(model.regressor, metadata)
        check_agreement(model.regressor, metadata, artifact, model.points())
        report = _store_report(store, artifact, metadata, model, dataset, champion)
    if metadata.refused_because:
        _refuse(store, metadata, artifact, report)
    _publish(store, metadata, artifact, settings.r2_warning_threshold)


def _store_report(
    store: ObjectStore,
    artifact: bytes,
    metadata: ModelMetadata,
    model: TrainedModel,
    dataset: WeeklyDataset,
    champion: DispatchModel | None,
) -> str:
    """Store the report on a model and return where it is."""
    version = artifact_version(metadata.trained_at, artifact)
    champion_hours = champion_on_grid(champion, model.grid) if champion else None
    facts = ReportFacts(
        version=version,
        metadata=metadata,
        orders=dataset.orders,
        is_outlier=model.noise.is_outlier,
        rejected=dataset.rejected,
        grid=model.grid,
        champion_hours=champion_hours,
        test=model.test.rows,
        test_estimates=model.test.estimates,
    )
    key = f"{REPORTS}/{version}.html"
    store.write_new(key, render_report(facts).encode())
    LOG.info(f"Reported in {store.url}/{key}.")
    return f"{store.url}/{key}"


def _refuse(store: ObjectStore, metadata: ModelMetadata, artifact: bytes, report: str) -> NoReturn:
    """Keep a model that broke rules where nobody serves it, and end the run."""
    key = store_artifact(store, REFUSED, metadata, artifact)
    raise ModelRefused(
        f"Refused the model trained on {store.url}/{metadata.dataset.key}: "
        f"{'; '.join(metadata.refused_because)}. Production is untouched; the refused model is "
        f"kept as {store.url}/{key}. Look at its report first: {report}"
    )


def _publish(
    store: ObjectStore, metadata: ModelMetadata, artifact: bytes, r2_warning_threshold: float
) -> None:
    """Make a model the newest of the store."""
    option = "--r2-warning-threshold"
    for failure in r_squared_failures(metadata.metrics, r2_warning_threshold, option):
        LOG.warning(f"Publishing a model that is worse than it should be: {failure}.")
    key = store_artifact(store, MODELS, metadata, artifact)
    LOG.info(f"Published {store.url}/{key} ({len(artifact):,} bytes).")


def _go_on_with(champion: DispatchModel, refusal: PipelineError, settings: TrainSettings) -> None:
    """Tell people of a refusal that does not stop the deployment, as `--on-refusal keep` says."""
    message = f"{refusal} Going on with {champion.version}, since --on-refusal is keep."
    LOG.error(message)
    if settings.webhook_url:
        post_alert(settings.webhook_url, f"time-to-dispatch: {message}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
