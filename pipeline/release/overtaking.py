"""Several trainings in one store: which time a model gets, and whether another one was faster.

The newest time in a name counts, so no model may be published behind a newer one, and none that was
compared with another model than the one in production.
"""

from datetime import datetime, timedelta

from pipeline.model.decisions import newest_not_withdrawn, newest_usable_model
from pipeline.model.reader import DispatchModel
from pipeline.release.champion import load_champion
from pipeline.stages.errors import Overtaken
from pipeline.stages.logs import LOG
from pipeline.stages.messages import Message
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import name_of


def time_of_model(store: ObjectStore, now: datetime) -> tuple[datetime, Message | None]:
    """Return the time that a model gets whose training starts now, and what is odd about it.

    It is now, or just after the newest model if that is dated ahead: one run with a wrong clock
    must not end all that come after it.

    Raises:
        StoreError: the store cannot be listed.
    """
    newest = newest_not_withdrawn(store)
    if newest is None or newest.moment < now:
        return now, None
    return newest.moment + timedelta(microseconds=1), Message(
        f"The newest model is dated ahead of the clock: {name_of(newest.key)}.",
        (
            f"The clock says {now:%Y-%m-%d %H:%M:%S} UTC. The model of this training is dated just "
            "after the newest one, so that it counts.",
            "Set the clock right: of this machine, or of the one that trained that model. To date "
            "models by the clock again, withdraw the models that are dated ahead with ttd-models.",
        ),
        facts={"newest": newest.key},
    ).with_short_headline()


def production_of(store: ObjectStore) -> str | None:
    """Return the name of the model in production, or None if there is none.

    Raises:
        StoreError: the store cannot be listed.
    """
    usable = newest_usable_model(store)
    return usable and name_of(usable.key)


def champion_now(store: ObjectStore, champion: DispatchModel | None) -> DispatchModel | None:
    """Return the model in production, which may be another one by now.

    Args:
        store: of the models.
        champion: the model in production some time ago.

    Raises:
        ArtifactError: it cannot be read or does not pass a check.
        StoreError: the store cannot be listed.
    """
    if production_of(store) == (champion and champion.version):
        return champion
    newer = load_champion(store)
    LOG.info(f"Meanwhile there is another model in production: {newer and newer.version}.")
    return newer


def refuse_overtaken(store: ObjectStore, trained_at: datetime, production: str | None) -> None:
    """Refuse to go on with a training whose model would be no use.

    Args:
        store: of the models.
        trained_at: time of the model of this training.
        production: name of the model in production when this training looked, or None.

    Raises:
        Overtaken: there is a newer model, or another one in production.
        StoreError: the store cannot be listed.
    """
    newest = newest_not_withdrawn(store)
    if newest is not None and newest.moment > trained_at:
        raise Overtaken(name_of(newest.key))
    current = production_of(store)
    if current is not None and current != production:
        raise Overtaken(current)
