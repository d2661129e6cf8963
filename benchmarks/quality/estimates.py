"""What typical and mean hours are worth on weeks of real data, on rows that no fit had seen.

`python -m benchmarks.quality.estimates FILE…`, each the CSV of a week.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.model.artifact import MODELS, artifact_key
from pipeline.model.metadata import Estimate
from pipeline.model.order import HOURS, PRODUCT
from pipeline.model.reader import read_artifact
from pipeline.orders.deliveries import given_delivery
from pipeline.orders.repeats import find_repeats
from pipeline.orders.splits import FOLDS, assign_folds
from pipeline.orders.week_reader import WeekReader
from pipeline.orders.week_rows import WeekRows
from pipeline.orders.weekly_dataset import WeeklyDataset, read_dataset
from pipeline.release.publishing import write_artifact
from pipeline.stores.base import open_store
from pipeline.training.facts import gather_metadata
from pipeline.training.fitting import train_on

ESTIMATES: tuple[Estimate, ...] = ("typical", "mean")
KEY = "datasets/time_to_dispatch_2026-11-20T23-00-00.csv"


def main(files: Sequence[str]) -> int:
    """Print a table of both settings for each file, and return 0."""
    print("| file | estimate | label minus estimate | off by | below the estimate | within |")
    print("|---|---|---|---|---|---|")
    for file in map(Path, files):
        delivery = given_delivery(KEY, datetime.now(UTC))
        week = WeekReader(open_store(str(file.parent)), delivery, key=file.name)
        dataset = read_dataset(week)
        for estimate in ESTIMATES:
            residuals, within = _unseen(dataset, estimate)
            print(
                f"| {file.stem} | {estimate} | {residuals.mean():+.3f} h | "
                f"{np.abs(residuals).mean():.3f} h | {(residuals < 0).mean():.1%} | "
                f"{within.mean():.1%} |",
                flush=True,
            )
    return 0


def _unseen(
    dataset: WeeklyDataset, estimate: Estimate
) -> tuple["pd.Series[float]", "pd.Series[bool]"]:
    """Return residuals, and whether rows are within the upper bound, each fold by the others."""
    orders = dataset.orders
    folds = assign_folds(orders, find_repeats(orders))
    residuals, within = [], []
    for fold in range(FOLDS):
        train, held_out = orders[folds != fold], orders[folds == fold]
        held_out = held_out[held_out[PRODUCT].isin(train[PRODUCT].unique())]
        model = train_on(train, 0.9, estimate=estimate)
        now = datetime.now(UTC)
        metadata = gather_metadata(now, replace(dataset, week=WeekRows.of(train)), model)
        content = write_artifact(model.regressor, metadata)
        loaded = read_artifact(artifact_key(MODELS, now, content), content)
        predicted = loaded.predict(held_out)
        residuals.append(held_out[HOURS] - predicted.hours)
        within.append(held_out[HOURS] <= predicted.upper)
    return pd.concat(residuals), pd.concat(within)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
