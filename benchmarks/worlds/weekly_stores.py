"""Temporary stores with weeks in them, and runs of the training stage on them."""

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from pipeline.model.artifact import MODELS, REFUSED, SUFFIX
from pipeline.model.metadata import ModelMetadata
from pipeline.model.reader import DispatchModel, load_model
from pipeline.orders.deliveries import DATASETS
from pipeline.orders.simulator import FIRST_FRIDAY
from pipeline.stages.command_line import ENVIRONMENT_PREFIX
from pipeline.stores.base import open_store
from pipeline.stores.timestamped_keys import NAME_PREFIX, find_newest
from pipeline.train_model import main as train_model


class TrainingRun(NamedTuple):
    """How a run of the training stage ended.

    Attributes:
        exit_code: 0 published, 1 failed, 3 refused.
        log: its errors in words.
    """

    exit_code: int
    log: str

    @property
    def crashed(self) -> bool:
        """Whether it ended with an unexpected error; only then there is a traceback."""
        return "Traceback" in self.log


@contextmanager
def temporary_store() -> Iterator[Path]:
    """Make an empty store in a folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="time_to_dispatch_") as folder:
        yield Path(folder)


def week_path(store: Path, week: int) -> Path:
    """Return where the CSV of a week belongs, in a folder that exists.

    Args:
        store: the folder of the store.
        week: its number; the higher it is, the newer is the dataset.
    """
    delivered_at = FIRST_FRIDAY + timedelta(weeks=week)
    path = store / DATASETS / f"{NAME_PREFIX}_{delivered_at:%Y-%m-%dT%H-%M-%S}.csv"
    path.parent.mkdir(exist_ok=True)
    return path


def run_training(store: Path, *options: str) -> TrainingRun:
    """Run the training stage in this process, with default settings but for these options."""
    for name in [name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX)]:
        del os.environ[name]
    with redirect_stderr(io.StringIO()) as log:
        exit_code = train_model([str(store), "--log-level", "ERROR", *options])
    return TrainingRun(exit_code, log.getvalue())


def newest_metadata(store: Path) -> ModelMetadata:
    """Return the facts about the newest model of a store, be it published or refused."""
    model = newest_model(store)
    assert model is not None, f"no model was made in {store}"
    return model.metadata


def newest_model(store: Path) -> DispatchModel | None:
    """Return the newest model of a store, be it published or refused, or None without any."""
    opened = open_store(str(store))
    newest = find_newest([*opened.list_keys(REFUSED), *opened.list_keys(MODELS)], SUFFIX)
    return load_model(opened, newest.key) if newest else None
