"""The last models of the store: the references for what is slower than a week."""

from collections.abc import Sequence

from pipeline.model.artifact import SUFFIX
from pipeline.model.decisions import keys_not_withdrawn
from pipeline.model.reader import DispatchModel, read_artifact
from pipeline.stages.errors import ArtifactError
from pipeline.stages.logs import LOG
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import name_of, split_by_name

MAX_MODELS = 13
"""A quarter of a year of weeks."""


def load_history(store: ObjectStore, champion: DispatchModel) -> tuple[DispatchModel, ...]:
    """Return the last models that are not withdrawn, the champion among them, the newest last.

    A model that this code cannot read is left out, with a warning.

    Args:
        store: has the models.
        champion: the model in production, which is not read again.

    Raises:
        StoreError: the store cannot be listed or read.
    """
    dated, _ = split_by_name(keys_not_withdrawn(store), (SUFFIX,))
    models = []
    for found in sorted(dated)[-MAX_MODELS:]:
        if name_of(found.key) == champion.version:
            models.append(champion)
            continue
        try:
            models.append(read_artifact(found.key, store.read(found.key)))
        except ArtifactError as error:
            LOG.warning(f"Not compared with an earlier model: {error}")
    return tuple(models)


def references(
    history: Sequence[DispatchModel], champion: DispatchModel
) -> tuple[DispatchModel, ...]:
    """Return the models that a trend is measured from, the newest last.

    They begin with the last one that people took for right whatever came before, and end with the
    champion: newer ones are there only if people went back to it. Models of typical and of mean
    hours are not compared with each other.
    """
    until = [
        model
        for model in history
        if model.metadata.trained_at <= champion.metadata.trained_at
        and model.metadata.estimate == champion.metadata.estimate
    ]
    starts = [position for position, model in enumerate(until) if _is_start(model)]
    return tuple(until[max(starts, default=0) :])


def _is_start(model: DispatchModel) -> bool:
    """Tell whether a model was published with --accept-shift, or compared with none before it."""
    return model.metadata.shift_accepted or model.metadata.comparison is None
