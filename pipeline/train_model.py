"""Stage 1: train a model on the newest weekly dataset of a store, and publish it if it is good."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

from pipeline.artifact_format import MODELS, REFUSED
from pipeline.artifact_writer import check_agreement, store_artifact, write_artifact
from pipeline.model_checks import (
    behaviour_failures,
    compute_metrics,
    estimate_on_grid,
    listed,
    r_squared_failures,
)
from pipeline.model_facts import gather_lineage
from pipeline.model_lineage import Lineage
from pipeline.model_selection import TRAIN_SHARE, fit_regressor, split_orders
from pipeline.object_store import ObjectStore, open_store
from pipeline.order_rows import HOURS
from pipeline.stage_errors import ModelRefused
from pipeline.stage_logging import LOG, configure_logging, exit_code_of
from pipeline.stage_progress import progress
from pipeline.stage_settings import TrainSettings
from pipeline.weekly_dataset import load_newest_dataset


@exit_code_of
def main(arguments: Sequence[str] = ()) -> None:
    """Run the whole stage and return its exit code: 0 published, 1 refused or failed.

    Args:
        arguments: command line arguments; wrong ones end the process with exit code 2.
    """
    settings = TrainSettings.from_arguments(arguments)
    configure_logging(settings.log_level, settings.log_format)
    LOG.info("Starting train-model stage.")
    trained_at = datetime.now(UTC)
    store = open_store(settings.store)
    with progress("Reading the newest dataset"):
        dataset = load_newest_dataset(store, settings.max_rejected_share)
    with progress("Fitting and judging the model"):
        split = split_orders(dataset.orders)
        metrics = compute_metrics(fit_regressor(split.train, TRAIN_SHARE), split)
        model = fit_regressor(dataset.orders)
        grid = estimate_on_grid(model, dataset.orders)
    failures = [
        *r_squared_failures(metrics, settings.r2_error_threshold, "--r2-error-threshold"),
        *behaviour_failures(grid, dataset.orders[HOURS].max()),
    ]
    lineage = gather_lineage(trained_at, dataset, model, metrics, grid, failures)
    _log_summary(lineage)
    with progress("Writing the artifact"):
        artifact = write_artifact(model, lineage)
        check_agreement(model, lineage, artifact, split.test)
    if failures:
        _refuse(store, lineage, artifact)
    _publish(store, lineage, artifact, settings.r2_warning_threshold)
    LOG.info("Finished train-model stage.")


def _log_summary(lineage: Lineage) -> None:
    """Log what was trained on what, how good it is, and which products deserve a second look."""
    metrics = lineage.metrics
    r_squared = "undefined" if metrics.r_squared is None else f"{metrics.r_squared:.4f}"
    LOG.info(
        f"Trained {lineage.regressor} on {lineage.dataset.rows:,} rows of "
        f"{len(lineage.catalogue.product_code):,} products."
    )
    LOG.info(
        f"R² {r_squared}, mean absolute error {metrics.mean_absolute_error_hours:.2f} h: fitted on "
        f"{metrics.train_rows:,} rows and judged on the {metrics.test_rows:,} others."
    )
    remarks = {
        "the slope of all products together (few rows, or one order count)": (
            lineage.remarks.borrowed_slope
        ),
        "a slope of zero (hours fall as orders rise)": lineage.remarks.clipped_slope,
        "the same estimate for every number of orders": lineage.remarks.flat,
    }
    for remark, products in remarks.items():
        if products:
            LOG.warning(f"Products with {remark}: {listed(products)}.")


def _refuse(store: ObjectStore, lineage: Lineage, artifact: bytes) -> NoReturn:
    """Keep a model that broke rules where nobody serves it, and end the stage."""
    key = store_artifact(store, REFUSED, lineage, artifact)
    raise ModelRefused(
        f"Refused the model trained on {store.url}/{lineage.dataset.key}: "
        f"{'; '.join(lineage.refused_because)}. Production is untouched; the refused model is kept "
        f"as {store.url}/{key}. Look at the dataset first."
    )


def _publish(
    store: ObjectStore, lineage: Lineage, artifact: bytes, r2_warning_threshold: float
) -> None:
    """Make a model the newest of the store."""
    option = "--r2-warning-threshold"
    for failure in r_squared_failures(lineage.metrics, r2_warning_threshold, option):
        LOG.warning(f"Publishing a model that is worse than it should be: {failure}.")
    key = store_artifact(store, MODELS, lineage, artifact)
    LOG.info(f"Published {store.url}/{key} ({len(artifact):,} bytes).")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
