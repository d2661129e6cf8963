"""Judge a week before it is delivered: `ttd-check`.

`python -m pipeline.check_dataset` does the same. It goes the way of `train_model` with a new week,
but publishes nothing: no store is written to.
"""

if __name__ == "__main__":
    from pipeline.stages.interrupts import end_in_one_line
    from pipeline.stages.surroundings import refuse_poor_surroundings

    end_in_one_line()  # while modules load, too
    refuse_poor_surroundings(trains=True)

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pipeline.judged_week import JudgedWeek, judge_week, refusal_of, refuse_withdrawn
from pipeline.model.reader import DispatchModel
from pipeline.orders.deliveries import (
    DATASETS,
    NAME_ADVICE,
    Delivery,
    datasets_as_new_as,
    given_delivery,
    is_dataset,
)
from pipeline.orders.past_weeks import PastWeeks, load_past_weeks
from pipeline.orders.week_reader import WeekReader
from pipeline.orders.weekly_dataset import WeeklyDataset, judge_rows, read_dataset
from pipeline.release.champion import load_champion
from pipeline.stages.errors import StoreError
from pipeline.stages.logs import LOG, configure_logging, exit_code_of
from pipeline.stages.progress import progress
from pipeline.stages.settings import CheckSettings
from pipeline.stages.wording import first_few
from pipeline.stages.workers import Workers, open_workers
from pipeline.stores.base import ObjectStore, open_store


@exit_code_of
def main(arguments: Sequence[str] = ()) -> None:
    """Judge a file and return its exit code: 0 passed, 1 failed, 3 refused.

    Args:
        arguments: command line arguments; wrong ones end the process with exit code 2.
    """
    settings = CheckSettings.from_arguments(arguments)
    configure_logging(settings.log_level, settings.log_format)
    with open_workers(settings.jobs, settings.scheduler, settings.scratch) as workers:
        week = _judge(settings, workers)
    if settings.report:
        _write(settings.report, week.page)
    if week.metadata.refused_because:
        raise refusal_of(
            week.metadata, {"Report": settings.report} if settings.report else {}, facts={}
        )
    print(f"{settings.file} passes every check. Nothing was written to a store.")


def _judge(settings: CheckSettings, workers: Workers) -> JudgedWeek:
    """Read the file, and judge it beside the model of the store, if one is given."""
    now = datetime.now(UTC)
    with progress("Reading the file"):
        dataset = _dataset(settings, now, workers)
    store = open_store(settings.store) if settings.store else None
    champion = _champion(store, dataset)
    past = _past(store, dataset, settings)
    return judge_week(dataset, store, champion, settings, now, past, workers)


def _dataset(settings: CheckSettings, now: datetime, workers: Workers) -> WeeklyDataset:
    """Return the rows of the file, if its name and its bad rows let it be used."""
    path = Path(settings.file)
    if not path.exists():
        raise StoreError(f"Cannot read {path}: No such file or directory.")
    name = f"{path.name}/" if path.is_dir() else path.name
    week = WeekReader(open_store(str(path.absolute().parent)), _delivery(name, now), key=name)
    dataset = read_dataset(week, workers)
    judge_rows(dataset, settings.max_rejected_share, settings.file, bad_rows_at=None)
    return dataset


def _delivery(name: str, now: datetime) -> Delivery:
    """Return what the file would be in a store; a wrong name is a warning, since it may change."""
    key = f"{DATASETS}/{name}"
    if is_dataset(key):
        return given_delivery(key, now)
    LOG.warning(f"With this name the file would be overlooked in a store. {NAME_ADVICE}")
    return Delivery(key, now)


def _champion(store: ObjectStore | None, dataset: WeeklyDataset) -> DispatchModel | None:
    """Return the model in production to compare with, if a store is given and has one."""
    if store is None:
        LOG.warning("Compared with no model: name the store of the one in production with --store.")
        return None
    refuse_withdrawn(store, dataset)
    _warn_of_newer(store, dataset)
    return load_champion(store)


def _past(
    store: ObjectStore | None, dataset: WeeklyDataset, settings: CheckSettings
) -> PastWeeks | None:
    """Return the earlier weeks of the store, if a store is given and they are asked for."""
    if store is not None:
        return load_past_weeks(store, dataset, settings.weeks, settings.max_rejected_share)
    if settings.weeks > 1:
        LOG.warning("Trained on the file alone: --weeks finds earlier weeks only in a --store.")
    return None


def _warn_of_newer(store: ObjectStore, dataset: WeeklyDataset) -> None:
    """Tell of datasets in the store, if any, for which the file would not be trained on."""
    newer = datasets_as_new_as(store, Delivery(dataset.key, dataset.delivered_at))
    if is_dataset(dataset.key) and newer:
        LOG.warning(
            f"With this name the file would not be the newest in the store, which has "
            f"{first_few(newer, repr)}. {NAME_ADVICE}"
        )


def _write(report: str, page: str) -> None:
    try:
        Path(report).write_text(page, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"Cannot write {report}: {error.strerror}.") from error
    LOG.info(f"Reported in {report}.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
