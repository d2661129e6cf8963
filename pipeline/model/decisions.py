"""What people decided about a store: which models are pinned or withdrawn, what is retired.

Nothing in a store is changed or deleted, so each decision is a small new object,
`decisions/time_to_dispatch_<time>_<action>_<hash>.json`. The hash is that of the artifact, or of
the code of a retired product. The newest decision about each counts. Its name says all that serving
has to know; the reason stands in its content.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.model.artifact import MODELS, SUFFIX, hash_of_version, short_hash
from pipeline.stages.errors import ArtifactError
from pipeline.stores.base import ObjectStore
from pipeline.stores.timestamped_keys import (
    NAME_PREFIX,
    TimestampedKey,
    find_newest,
    format_timestamp,
    name_of,
    timestamp_of,
)

DECISIONS = "decisions"
"""What people decided about models and products, each decision as a small JSON file."""


class Action(StrEnum):
    """What can be decided about a model."""

    PIN = "pin"
    WITHDRAW = "withdraw"
    RESTORE = "restore"


class ProductAction(StrEnum):
    """What can be decided about a product."""

    RETIRE = "retire"
    UNRETIRE = "unretire"


A = TypeVar("A", bound=StrEnum)
D = TypeVar("D", bound=BaseModel)
NAME = re.compile(r"_([a-z]+)_([0-9a-f]{16})$")


class Decision(BaseModel):
    """A decision about a model, as it is kept.

    Attributes:
        action: what was decided; `restore` takes back whatever was decided before.
        model_version: name of the model.
        dataset_key: where the dataset is that it was trained on.
        dataset_sha256: hash of that dataset, in hex digits.
        reason: in the words of whoever decided.
    """

    action: Action
    model_version: str
    dataset_key: str
    dataset_sha256: str
    reason: str


class ProductDecision(BaseModel):
    """A decision about a product, as it is kept.

    Attributes:
        action: what was decided.
        product_code: of the product.
        reason: in the words of whoever decided.
    """

    action: ProductAction
    product_code: str
    reason: str


class Decided(NamedTuple, Generic[A]):
    """The newest decision about a model or a product: what it is, and where it is kept."""

    action: A
    key: str


def read_decisions(store: ObjectStore) -> Mapping[str, Decided[Action]]:
    """Return the newest decision about each model, by the hash in the model's name.

    Raises:
        StoreError: the store cannot be listed.
    """
    return _newest(store, Action)


def newest_usable_model(store: ObjectStore) -> TimestampedKey | None:
    """Return the model that counts: the one pinned last, or else the newest that is not withdrawn.

    Raises:
        StoreError: the store cannot be listed.
    """
    decided = _decided_models(store)
    pinned = [(one.key, key) for key, one in decided.items() if one and one.action is Action.PIN]
    return find_newest([max(pinned)[1]], SUFFIX) if pinned else _newest_not_withdrawn(decided)


def newest_and_is_pinned(store: ObjectStore) -> tuple[TimestampedKey | None, bool]:
    """Return the newest model that is not withdrawn, and whether people have chosen one instead.

    Raises:
        StoreError: the store cannot be listed.
    """
    decided = _decided_models(store)
    is_pinned = any(one and one.action is Action.PIN for one in decided.values())
    return _newest_not_withdrawn(decided), is_pinned


def newest_not_withdrawn(store: ObjectStore) -> TimestampedKey | None:
    """Return the newest model that is not withdrawn, whichever is pinned.

    Raises:
        StoreError: the store cannot be listed.
    """
    return _newest_not_withdrawn(_decided_models(store))


def keys_not_withdrawn(store: ObjectStore) -> list[str]:
    """Return the keys of all models that are not withdrawn, in no order.

    Raises:
        StoreError: the store cannot be listed.
    """
    return _not_withdrawn(_decided_models(store))


def _decided_models(store: ObjectStore) -> Mapping[str, Decided[Action] | None]:
    """Return what was decided last about each model, by its key."""
    keys = store.list_keys(MODELS)
    decisions = read_decisions(store) if keys else {}
    return {key: decisions.get(hash_of_version(name_of(key))) for key in keys}


def _newest_not_withdrawn(decided: Mapping[str, Decided[Action] | None]) -> TimestampedKey | None:
    return find_newest(_not_withdrawn(decided), SUFFIX)


def _not_withdrawn(decided: Mapping[str, Decided[Action] | None]) -> list[str]:
    return [key for key, one in decided.items() if one is None or one.action is not Action.WITHDRAW]


def withdrawn_datasets(store: ObjectStore) -> Mapping[str, Decision]:
    """Return the decisions to withdraw a model, by the hash of the dataset that it was trained on.

    Raises:
        ArtifactError: such a decision cannot be read.
        StoreError: the store cannot be listed or read.
    """
    withdrawn = [one for one in read_decisions(store).values() if one.action is Action.WITHDRAW]
    decisions = [_read(store, one.key, Decision) for one in withdrawn]
    return {decision.dataset_sha256: decision for decision in decisions}


def retired_products(store: ObjectStore) -> Mapping[str, ProductDecision]:
    """Return the decisions to retire a product, by its code.

    Raises:
        ArtifactError: such a decision cannot be read.
        StoreError: the store cannot be listed or read.
    """
    newest = _newest(store, ProductAction).values()
    retired = [one for one in newest if one.action is ProductAction.RETIRE]
    decisions = [_read(store, one.key, ProductDecision) for one in retired]
    return {decision.product_code: decision for decision in decisions}


def has_decided_on_products(store: ObjectStore, since: datetime) -> bool:
    """Tell whether people retired a product after some time, or took that back.

    Raises:
        StoreError: the store cannot be listed.
    """
    newest = _newest(store, ProductAction).values()
    return any((timestamp_of(one.key) or since) > since for one in newest)


def decide(store: ObjectStore, decision: Decision | ProductDecision) -> str:
    """Keep a decision, and return its key.

    Raises:
        StoreError: the store cannot be written.
    """
    moment = format_timestamp(datetime.now(UTC))
    if isinstance(decision, Decision):
        about = hash_of_version(decision.model_version)
    else:
        about = short_hash(decision.product_code.encode())
    key = f"{DECISIONS}/{NAME_PREFIX}_{moment}_{decision.action}_{about}.json"
    store.write_new(key, decision.model_dump_json(indent=2).encode())
    return key


def _newest(store: ObjectStore, actions: type[A]) -> Mapping[str, Decided[A]]:
    """Return the newest decision of a kind about each thing, by the hash of that."""
    found = {}
    for key in sorted(store.list_keys(DECISIONS)):  # the names begin with the time
        parts = NAME.search(name_of(key))
        if parts is not None and parts[1] in set(actions) and timestamp_of(key) is not None:
            found[parts[2]] = Decided(actions(parts[1]), key)
    return found


def _read(store: ObjectStore, key: str, kind: type[D]) -> D:
    try:
        return kind.model_validate_json(store.read(key))
    except ValidationError as error:
        raise ArtifactError(
            f"Cannot read the decision {store.url}/{key}: it is not as ttd-models writes it. "
            "Remove it, and decide again."
        ) from error
