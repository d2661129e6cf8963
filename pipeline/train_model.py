"""Stage 1: train a model on the newest weekly dataset of a store, and publish it if it is good."""

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NoReturn

from pipeline.model.artifact import MODELS, REFUSED, REPORTS, artifact_version
from pipeline.model.decisions import withdrawn_datasets
from pipeline.model.metadata import ModelMetadata
from pipeline.model.reader import DispatchModel
from pipeline.orders.weekly_dataset import WeeklyDataset, load_newest_dataset
from pipeline.release.champion import load_champion
from pipeline.release.gate import Limits, Verdict, judge
from pipeline.release.publishing import check_agreement, store_artifact, write_artifact
from pipeline.release.rules import r_squared_failures
from pipeline.report.log_summary import log_summary
from pipeline.report.page import render_report
from pipeline.stages.alerts import alert_on_failure, post_alert
from pipeline.stages.errors import DatasetError, ModelRefused, PipelineError
from pipeline.stages.logs import LOG, configure_logging, exit_code_of
from pipeline.stages.progress import progress
from pipeline.stages.settings import TrainSettings
from pipeline.stores.base import ObjectStore, open_store
from pipeline.training.facts import gather_metadata
from pipeline.training.fitting import train_on

OPTIONS = {
    "min_r_squared": "--r2-error-threshold",
    "max_outlier_share": "--max-outlier-share",
    "champion_tolerance": "--champion-tolerance",
    "max_shift": "--max-shift",
    "accept_shift": "--accept-shift",
}
"""How people set the limits of the rules."""
WARNING_OPTIONS = {"min_r_squared": "--r2-warning-threshold"}


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
        _refuse_withdrawn(store, dataset)
    with progress("Fitting and judging the model"):
        model = train_on(dataset.orders, settings.interval_level)
        verdict = judge(model, dataset, champion, _limits(settings))
        metadata = _with_verdict(gather_metadata(trained_at, dataset, model), verdict)
    log_summary(metadata)
    with progress("Writing artifact and report"):
        artifact = write_artifact(model.regressor, metadata)
        check_agreement(model.regressor, metadata, artifact, model.points())
        version = artifact_version(trained_at, artifact)
        page = render_report(version, metadata, dataset, model, champion)
        report = _store_report(store, version, page)
    if metadata.refused_because:
        _refuse(store, metadata, artifact, report)
    _publish(store, metadata, artifact, settings.r2_warning_threshold)


def _refuse_withdrawn(store: ObjectStore, dataset: WeeklyDataset) -> None:
    """Refuse a dataset whose model people have withdrawn: training would publish the same again."""
    decision = withdrawn_datasets(store).get(dataset.sha256)
    if decision is not None:
        reason = f" ({decision.reason})" if decision.reason else ""
        raise DatasetError(
            f"Cannot train on {store.url}/{dataset.key}: its model {decision.model_version} was "
            f"withdrawn{reason}. Deliver a corrected week, or restore the model with ttd-models."
        )


def _limits(settings: TrainSettings) -> Limits:
    return Limits(
        min_r_squared=settings.r2_error_threshold,
        max_outlier_share=settings.max_outlier_share,
        champion_tolerance=settings.champion_tolerance,
        max_shift=settings.max_shift,
        accept_shift=settings.accept_shift,
    )


def _with_verdict(metadata: ModelMetadata, verdict: Verdict) -> ModelMetadata:
    """Return the metadata with the verdict, whose failures name options."""
    return metadata.model_copy(
        update={
            "comparison": verdict.comparison,
            "drift": verdict.drift,
            "refused_because": tuple(_name_options(text, OPTIONS) for text in verdict.failures),
        }
    )


def _name_options(failure: str, options: Mapping[str, str]) -> str:
    """Put the options in place of the limits that they set; what stands in quotes is data."""
    quoted = r"(?<!\w)(?P<quote>['\"])(?:\\.|(?!(?P=quote)).)*(?P=quote)"
    limit = rf"{quoted}|\b(?:{'|'.join(options)})\b"
    return re.sub(limit, lambda found: options.get(found[0], found[0]), failure)


def _store_report(store: ObjectStore, version: str, page: str) -> str:
    """Store the report on a model and return where it is."""
    key = f"{REPORTS}/{version}.html"
    store.write_new(key, page.encode())
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
    for failure in r_squared_failures(metadata.metrics, r2_warning_threshold):
        reason = _name_options(failure, WARNING_OPTIONS)
        LOG.warning(f"Publishing a model that is worse than it should be: {reason}.")
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
