"""Whether a new model may be released: every rule asked, every reason kept in the metadata."""

import numpy as np

from pipeline.model.metadata import ChampionComparison, ModelMetadata
from pipeline.model.reader import DispatchModel
from pipeline.orders.csv_rows import HOURS
from pipeline.orders.splits import every_nth
from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.release.champion import Challenger, compare_with_champion
from pipeline.release.champion_rules import comparison_failures, shift_failures
from pipeline.release.drift import measure_drift
from pipeline.release.rules import behaviour_failures, outlier_failures, r_squared_failures
from pipeline.stages.settings import TrainSettings
from pipeline.training.fitting import TrainedModel

MAX_COMPARED_ROWS = 100_000
"""So many rows tell the two models apart as well as all of them."""


def judge(
    metadata: ModelMetadata,
    model: TrainedModel,
    dataset: WeeklyDataset,
    champion: DispatchModel | None,
    settings: TrainSettings,
) -> ModelMetadata:
    """Return the metadata with comparison, drift, and the rules for which the model is refused.

    Args:
        metadata: of the new model.
        model: the new model, which is the challenger.
        dataset: what it was trained on.
        champion: the model in production, or None if there is none to compare with.
        settings: limits of the rules.
    """
    failures = [
        *r_squared_failures(metadata.metrics, settings.r2_error_threshold, "--r2-error-threshold"),
        *behaviour_failures(model.grid, _largest_label(model, dataset)),
        *outlier_failures(metadata.outliers, settings.max_outlier_share),
    ]
    if champion is None:
        return metadata.model_copy(update={"refused_because": tuple(failures)})
    comparison = _compare(metadata, model, champion, settings)
    some = dataset.orders[every_nth(len(dataset.orders), MAX_COMPARED_ROWS)]
    failures += comparison_failures(comparison, settings.champion_tolerance)
    if not settings.accept_shift:
        failures += shift_failures(comparison, settings.max_shift)
    return metadata.model_copy(
        update={
            "comparison": comparison,
            "drift": measure_drift(champion, dataset.orders, some, comparison),
            "refused_because": tuple(failures),
        }
    )


def _compare(
    metadata: ModelMetadata, model: TrainedModel, champion: DispatchModel, settings: TrainSettings
) -> ChampionComparison:
    test = model.test.where(every_nth(len(model.test.rows), MAX_COMPARED_ROWS))
    challenger = Challenger(
        test=test.rows,
        test_estimates=test.estimates,
        grid=model.grid,
        rows=np.array(metadata.catalogue.rows),
    )
    return compare_with_champion(champion, challenger, metadata.dataset.sha256, settings.max_shift)


def _largest_label(model: TrainedModel, dataset: WeeklyDataset) -> float:
    """Return the largest label in hours that is not an outlier."""
    return float(dataset.orders[HOURS].to_numpy()[~model.noise.is_outlier].max())
