"""Weeks whose rows one of the last models was trained on already."""

from collections.abc import Sequence

from pipeline.model.metadata import Failure
from pipeline.model.reader import DispatchModel
from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.stages.command_line import option_of


def seen_failures(
    history: Sequence[DispatchModel], champion: DispatchModel, dataset: WeeklyDataset
) -> list[Failure]:
    """Return that this week is one that an earlier model was trained on, or nothing.

    The rows count, in any order. The champion's own dataset may be trained on again, as after a
    change of the code, but not under another name. The caller asks only where weeks unlike the last
    are not accepted.

    Args:
        history: the last models, the newest last.
        champion: the model in production.
        dataset: this week.
    """
    for model in reversed(history):
        made = model.metadata.dataset
        is_its_own = model.version == champion.version and made.key == dataset.key
        is_same = dataset.sha256 == made.sha256 or dataset.rows_sha256 == made.rows_sha256
        if is_same and not is_its_own:
            return [_failure(model, dataset)]
    return []


def _failure(model: DispatchModel, dataset: WeeklyDataset) -> Failure:
    made = model.metadata.dataset
    return Failure(
        rule="seen_before",
        summary="this is no new week: a model was trained on the same "
        f"{dataset.week.n_rows:,} rows on {model.metadata.trained_at:%Y-%m-%d}",
        details=(
            f"The model is {model.version}, its dataset was {made.key}, this one is {dataset.key}.",
            "The new week may not have been exported, or an old file was delivered again.",
        ),
        remedy=f"If the old week is wanted, {option_of('accept_shift')} publishes a model of it.",
    )
