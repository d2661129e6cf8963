"""The weeks before this one, as far as a model may learn from them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pipeline.model.artifact import REFUSED, SUFFIX
from pipeline.model.decisions import keys_not_withdrawn, withdrawn_datasets
from pipeline.model.metadata import PastSources
from pipeline.model.reader import read_artifact
from pipeline.orders.deliveries import MAX_AHEAD, Delivery, deliveries_before
from pipeline.orders.week_reader import WeekReader
from pipeline.orders.week_rows import MAX_SAMPLE_ROWS
from pipeline.orders.weekly_dataset import WeeklyDataset, read_dataset
from pipeline.stages.command_line import option_of
from pipeline.stages.errors import ArtifactError, DatasetError
from pipeline.stages.logs import LOG
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import split_by_name

TOO_LARGE = f"weeks of more than {MAX_SAMPLE_ROWS:,} rows are not learnt from together"


class PastWeek(NamedTuple):
    """An earlier week.

    Attributes:
        age: how many datasets ago it was delivered; that of this week is zero.
        dataset: its rows.
    """

    age: int
    dataset: WeeklyDataset


class PastWeeks(NamedTuple):
    """What is known of the weeks before this one.

    Attributes:
        delivered_at: when this week was delivered.
        asked: so many weeks may be trained on, this one among them.
        weeks: the sound ones among as many earlier ones, the newest first. The last one is too old
            to be trained on: it shows how well the weeks after it would have been known.
    """

    delivered_at: datetime
    asked: int
    weeks: tuple[PastWeek, ...]

    @property
    def sources(self) -> PastSources:
        """What a model that may learn from these weeks depends on."""
        hashes = {week.age: week.dataset.sha256 for week in self.weeks}
        return PastSources(self.asked, hashes)


def load_past_weeks(
    store: ObjectStore, dataset: WeeklyDataset, asked: int, max_rejected_share: float
) -> PastWeeks | None:
    """Read the datasets before this one, and leave out those that no model should learn from.

    Each that is left out is named in the log, and leaves a gap: no older one takes its place.

    Args:
        store: holds them, and what was decided about their models.
        dataset: this week.
        asked: how many weeks may be trained on, this one among them.
        max_rejected_share: a larger share of bad rows makes a week unsound.

    Returns:
        None if only this week is to be trained on.

    Raises:
        ArtifactError: a decision about a model cannot be read.
        StoreError: the store cannot be listed or read.
    """
    if asked == 1:
        return None
    if dataset.week.is_sampled:
        LOG.warning(f"Trained on this week alone: {TOO_LARGE} ({option_of('weeks')}).")
        return None
    this = Delivery(dataset.key, dataset.delivered_at)
    deliveries = deliveries_before(store, this, most=asked)
    weeks = tuple(_sound_weeks(store, dataset, deliveries, max_rejected_share))
    to_train_on = 1 + sum(week.age < asked for week in weeks)
    if to_train_on < asked:
        LOG.warning(
            f"There are {to_train_on:,} of the {asked:,} weeks that {option_of('weeks')} asks for."
        )
    return PastWeeks(dataset.delivered_at, asked, weeks)


def _sound_weeks(
    store: ObjectStore,
    dataset: WeeklyDataset,
    deliveries: Sequence[Sequence[Delivery]],
    max_rejected_share: float,
) -> Iterator[PastWeek]:
    """Yield the earlier weeks that a model may learn from, and log why others are left out."""
    if not deliveries:
        return
    judged_badly = _judged_badly(store, since=deliveries[-1][0].delivered_at - MAX_AHEAD)
    known = {dataset.sha256: dataset.key, dataset.rows_sha256: dataset.key}
    for age, of_a_time in enumerate(deliveries, start=1):
        found = _read(store, of_a_time)
        if found is None:
            continue
        copied = known.get(found.sha256) or known.get(found.rows_sha256)
        if copied is not None:
            _leave_out(f"{found.key} has the rows of {copied}.")
        elif found.rejected_share > max_rejected_share:
            _leave_out(
                f"{found.rejected_share:.2%} of the rows of {found.key} are bad, more than the "
                f"limit of {max_rejected_share:.3g}."
            )
        elif found.week.is_sampled:
            _leave_out(f"{found.key}: {TOO_LARGE}.")
        elif found.sha256 in judged_badly:
            _leave_out(f"the model of {found.key} was {judged_badly[found.sha256]}.")
        else:
            known |= {found.sha256: found.key, found.rows_sha256: found.key}
            LOG.info(f"Read {len(found.orders):,} valid rows of the earlier week {found.key}.")
            yield PastWeek(age, found)


def _read(store: ObjectStore, of_a_time: Sequence[Delivery]) -> WeeklyDataset | None:
    """Return the only dataset of a time, or None, and a line in the log, if it cannot be read."""
    first, *others = of_a_time
    if others:
        keys = " and ".join(delivery.key for delivery in of_a_time)
        _leave_out(f"{keys} have the same time.")
        return None
    try:
        return read_dataset(WeekReader(store, first))
    except DatasetError as error:
        _leave_out(error.message.headline)
        return None


def _leave_out(reason: str) -> None:
    LOG.warning(f"An earlier week is left out: {reason}")


def _judged_badly(store: ObjectStore, since: datetime) -> Mapping[str, str]:
    """Return what became of models that nobody should use, by the hash of their dataset.

    They were withdrawn, or refused since some time; but a week of which another model was published
    is as sound as others.
    """
    withdrawn = {
        sha256: f"withdrawn ({decision.model_version})"
        for sha256, decision in withdrawn_datasets(store).items()
    }
    refused = dict(_made_of(store, store.list_keys(REFUSED), since))
    published = dict(_made_of(store, keys_not_withdrawn(store), since)) if refused else {}
    return withdrawn | {
        sha256: f"refused ({version})"
        for sha256, version in refused.items()
        if sha256 not in published
    }


def _made_of(store: ObjectStore, keys: Sequence[str], since: datetime) -> Iterator[tuple[str, str]]:
    """Yield the hash of the dataset and the version of each model that can be read."""
    dated, _ = split_by_name(keys, (SUFFIX,))
    for moment, key in dated:
        if moment < since:
            continue
        try:
            model = read_artifact(key, store.read(key))
        except ArtifactError as error:
            LOG.warning(f"Not asked for the dataset that it was made of: {error}")
            continue
        yield model.metadata.dataset.sha256, model.version
