"""Alerts that no webhook took: kept in the store, where people and the service find them.

Each is an object `alerts/time_to_dispatch_<time>_<hash>.json`. Whoever has read it deletes it.
"""

from datetime import UTC, datetime

from pydantic import BaseModel

from pipeline.model.artifact import short_hash
from pipeline.stages.alerts import PAUSE_SECONDS, PRODUCT_NAME, post_alert
from pipeline.stages.errors import PipelineError
from pipeline.stages.logs import LOG
from pipeline.stages.messages import Message
from pipeline.stores.base import ObjectStore, open_store
from pipeline.stores.timestamped_keys import NAME_PREFIX, format_timestamp

ALERTS = "alerts"
"""Alerts that the webhook did not take, each as a small JSON file, until somebody deletes it."""
SUFFIX = ".json"


class UndeliveredAlert(BaseModel):
    """An alert as it is kept.

    Attributes:
        raised_at: when it should have been posted.
        text: all that it tells.
        not_posted_because: what the webhook did.
    """

    raised_at: datetime
    text: str
    not_posted_because: str


def tell_people(
    webhook: str | None, store_url: str | None, message: Message, pause: float = PAUSE_SECONDS
) -> bool:
    """Post an alert, and keep it in the store if the webhook does not take it. Never raises.

    Args:
        webhook: see `post_alert`; None if nobody wants alerts, so that nothing is done.
        store_url: where to keep it; None for nowhere.
        message: what to tell.
        pause: seconds between two tries.

    Returns:
        Whether the webhook has taken it.
    """
    if webhook is None:
        return False
    raised_at = datetime.now(UTC)
    failure = post_alert(webhook, message, pause=pause)
    if failure is None:
        return True
    if store_url is not None:
        text = f"{PRODUCT_NAME}: {message}"
        _keep(
            store_url, UndeliveredAlert(raised_at=raised_at, text=text, not_posted_because=failure)
        )
    return False


def count_undelivered(store: ObjectStore) -> int:
    """Return how many alerts wait in a store for somebody to read them.

    Raises:
        StoreError: the store cannot be listed.
    """
    return sum(key.endswith(SUFFIX) for key in store.list_keys(ALERTS))


def _keep(store_url: str, alert: UndeliveredAlert) -> None:
    content = alert.model_dump_json(indent=2).encode()
    moment = format_timestamp(alert.raised_at)
    key = f"{ALERTS}/{NAME_PREFIX}_{moment}_{short_hash(content)}{SUFFIX}"
    try:
        store = open_store(store_url)
        store.write_new(key, content)
    except PipelineError as error:
        LOG.warning(f"The alert could not be kept in the store either: {error}")
    else:
        LOG.warning(f"The alert is kept as {store.url}/{key}. Read it, and delete it then.")
