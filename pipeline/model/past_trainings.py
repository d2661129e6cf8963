"""What became of each training of a store, as its objects tell: there is no other record.

A training that was published is a model under `models/`, one that was refused is one under
`refused/`, and one that was overtaken by another left a note beside its report. Of an artifact only
its facts are read, neither its graph nor its catalogue. What was read once is kept: objects do not
change. A training that ended before there was a model, such as one on a file that cannot be read,
left nothing here: it is in the log, and the webhook told of it.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any, Literal, NamedTuple

from pydantic import Field

from pipeline.model.artifact import MODELS, NOT_PUBLISHED, REFUSED, REPORTS, SUFFIX, hash_of_version
from pipeline.model.carried import read_properties, read_some_facts
from pipeline.model.decisions import Action, Decided, newest_usable_model, read_decisions
from pipeline.model.limits import Amount, Count, Moment, Share
from pipeline.model.metadata import (
    ChampionComparison,
    DatasetLineage,
    DriftMeasure,
    Failure,
    MetadataModel,
    Metrics,
    PredictionInterval,
    Skill,
    coverage_among,
)
from pipeline.model.reader import check_hash
from pipeline.stages.errors import ArtifactError, ObjectMissing
from pipeline.stages.messages import one_line
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import TimestampedKey, name_of, split_by_name

MAX_TRAININGS = 52
"""The newest ones: a year of weeks."""

Outcome = Literal["published", "refused", "overtaken"]


class Training(MetadataModel):
    """What became of one training; facts that nobody recorded, or that cannot be read, are null."""

    version: str = Field(description="name of the model that it made")
    outcome: Outcome = Field(
        description="published, refused by a rule, or overtaken by another training meanwhile"
    )
    decision: Action | None = Field(
        default=None, description="what people decided about the model last"
    )
    reason: str | None = Field(
        default=None,
        description="why it was refused or overtaken, or why it cannot be read",
    )
    trained_at: Moment = Field(description="start of the training")
    has_report: bool = Field(default=False, description="whether the store has a report on it")
    dataset_key: str | None = Field(default=None, description="where its dataset is in the store")
    delivered_at: Moment | None = Field(default=None, description="when that was delivered")
    rows: Count | None = Field(default=None, description="valid rows")
    rejected_rows: Count | None = Field(default=None, description="bad rows")
    error_hours: Amount | None = Field(
        default=None, description="mean absolute error on rows that it had not seen, in hours"
    )
    noise_floor_hours: Amount | None = Field(
        default=None, description="what that would be if the model were perfect"
    )
    r_squared: float | None = Field(default=None, description="R² on the same rows")
    skill: float | None = Field(
        default=None,
        description="by which share its error is below that of the best guess without a model",
    )
    interval_level: Share | None = Field(
        default=None, description="share of orders that its intervals promised to hold"
    )
    next_week_coverage: Share | None = Field(
        default=None,
        description="share of the orders of the week after, in which it was used, that they held; "
        "null until the next training has measured it",
    )


class History(NamedTuple):
    """The trainings of a store.

    Attributes:
        trainings: the newest ones, at most `MAX_TRAININGS`, the newest first.
        older: how many there are besides.
        usable_version: the model that a service would take now, or None.
    """

    trainings: Sequence[Training]
    older: int
    usable_version: str | None


class PastTrainings:
    """The trainings of a store, each of which is read once."""

    def __init__(self) -> None:
        """Begin without any."""
        self._read: dict[str, _Read] = {}

    def history(self, store: ObjectStore) -> History:
        """Return what became of the newest trainings.

        Raises:
            StoreError: the store cannot be listed or read.
        """
        reports = store.list_keys(REPORTS)
        artifacts = [*store.list_keys(MODELS), *store.list_keys(REFUSED)]
        notes = [key for key in reports if key.endswith(NOT_PUBLISHED)]
        dated, _ = split_by_name([*artifacts, *notes], (SUFFIX, NOT_PUBLISHED))
        read = [
            self._read_once(store, found) for found in sorted(dated, reverse=True)[:MAX_TRAININGS]
        ]
        self._read = {one.key: one for one in read if one.is_sound}
        usable = newest_usable_model(store)
        return History(
            _completed(read, read_decisions(store), set(reports)),
            max(0, len(dated) - MAX_TRAININGS),
            name_of(usable.key) if usable else None,
        )

    def _read_once(self, store: ObjectStore, found: TimestampedKey) -> "_Read":
        return self._read.get(found.key) or _read(store, found)


class _Facts(MetadataModel):
    """The part of a model's metadata that this needs, whose size does not grow with products."""

    trained_at: Moment
    dataset: DatasetLineage
    metrics: Metrics
    skill: Skill | None = None
    interval: PredictionInterval
    comparison: ChampionComparison | None = None
    drift: tuple[DriftMeasure, ...] = ()
    refused_because: tuple[Failure, ...] = ()


class _Read(NamedTuple):
    """What one object says of a training, and of the model before it.

    Attributes:
        key: of the object.
        training: what it says, without what other objects say.
        is_sound: whether it could be read.
        champion: the model that was in production then, of another dataset; or None.
        coverage: share of the training's week inside the intervals of that.
    """

    key: str
    training: Training
    is_sound: bool = True
    champion: str | None = None
    coverage: float | None = None


def _read(store: ObjectStore, found: TimestampedKey) -> _Read:
    """Return what an object says of a training; what is wrong with it takes the place of that."""
    key, moment = found.key, found.moment
    outcome: Outcome = "published" if key.startswith(f"{MODELS}/") else "refused"
    try:
        content = store.read(key)
        if key.endswith(NOT_PUBLISHED):
            version = key.removeprefix(f"{REPORTS}/").removesuffix(NOT_PUBLISHED)
            why = content.decode(errors="replace").partition("\n")[0]
            overtaken = Training(
                version=version, outcome="overtaken", trained_at=moment, reason=why
            )
            return _Read(key, overtaken)
        check_hash(key, name_of(key), content)
        facts = read_some_facts(key, read_properties(key, content), _Facts)
    except (ArtifactError, ObjectMissing) as error:
        why = one_line(error.message.headline)
        unsound = Training(version=name_of(key), outcome=outcome, trained_at=moment, reason=why)
        return _Read(key, unsound, is_sound=False)
    return _read_of(key, outcome, facts)


def _read_of(key: str, outcome: Outcome, facts: _Facts) -> _Read:
    dataset, metrics, skill, comparison = (
        facts.dataset,
        facts.metrics,
        facts.skill,
        facts.comparison,
    )
    training = Training(
        version=name_of(key),
        outcome=outcome,
        reason=facts.refused_because[0].summary if facts.refused_because else None,
        trained_at=facts.trained_at,
        dataset_key=dataset.key,
        delivered_at=dataset.delivered_at,
        rows=dataset.rows,
        rejected_rows=dataset.rejected_rows,
        error_hours=metrics.mean_absolute_error_hours,
        noise_floor_hours=metrics.noise_floor_hours,
        r_squared=metrics.r_squared,
        skill=1 - skill.error_hours / skill.baseline_error_hours
        if skill and skill.baseline_error_hours
        else None,
        interval_level=facts.interval.level,
    )
    if comparison is None or comparison.same_dataset:
        return _Read(key, training)
    return _Read(key, training, True, comparison.champion_version, coverage_among(facts.drift))


def _completed(
    read: Sequence[_Read], decided: Mapping[str, Decided[Action]], reports: Set[str]
) -> list[Training]:
    """Return trainings, the newest first, with what people and the week after say of them."""
    # A week that was refused may be wrong; of several, the first one after the model counts.
    published = [one for one in read if one.training.outcome == "published"]
    coverage = {one.champion: one.coverage for one in published if one.champion}
    trainings = []
    for training in (one.training for one in read):
        decision = decided.get(hash_of_version(training.version))
        more: dict[str, Any] = {
            "has_report": f"{REPORTS}/{training.version}.html" in reports,
            "next_week_coverage": coverage.get(training.version),
        }
        if training.outcome == "published" and decision and decision.action != Action.RESTORE:
            more["decision"] = decision.action
        trainings.append(training.model_copy(update=more))
    return trainings
