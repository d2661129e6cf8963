"""List the models of a store, and decide which of them and of their products stay: `ttd-models`.

`python -m pipeline.manage_models` does the same. A model is withdrawn, not deleted: it is served no
more, and the dataset that it was trained on is not trained on again until the model is restored. A
product is retired: the next training does not keep its curve when there are no orders of it.
"""

if __name__ == "__main__":
    from pipeline.stages.interrupts import end_in_one_line
    from pipeline.stages.surroundings import refuse_poor_surroundings

    end_in_one_line()  # while modules load, too
    refuse_poor_surroundings()

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pipeline.model.artifact import MODELS, SUFFIX, hash_of_version
from pipeline.model.decisions import (
    Action,
    Decision,
    ProductAction,
    ProductDecision,
    decide,
    newest_usable_model,
    read_decisions,
    retired_products,
)
from pipeline.model.metadata import ModelMetadata
from pipeline.model.order import normalised_code
from pipeline.model.reader import load_model, read_artifact
from pipeline.model.similar_codes import SimilarCodes
from pipeline.stages.command_line import OneLineParser
from pipeline.stages.errors import ArtifactError
from pipeline.stages.logs import LOG, configure_logging, exit_code_of
from pipeline.stages.messages import one_line
from pipeline.stages.settings import StoreSettings
from pipeline.stages.wording import first_few
from pipeline.stores.base import ObjectStore, open_store
from pipeline.stores.timestamped_keys import name_of, timestamp_of

PROGRAM = "ttd-models"
MAX_LISTED_MODELS = 20
MIN_WIDTH = 150
"""In letters; names are not cut where the terminal is narrow."""
STATES = {Action.PIN: "pinned", Action.WITHDRAW: "withdrawn", Action.RESTORE: ""}


class ManageSettings(StoreSettings):
    """List the models of a store, and decide which of them and of their products stay."""

    program = "python -m pipeline.manage_models"


@exit_code_of
def main(arguments: Sequence[str] = ()) -> None:
    """Carry out one action; return its exit code: 0 done, 1 failed.

    Args:
        arguments: command line arguments; wrong ones end the process with exit code 2.
    """
    given = _parser().parse_args(list(arguments))
    settings = ManageSettings.from_arguments([given.store] if given.store else [])
    configure_logging(settings.log_level, settings.log_format)
    store = open_store(settings.store, settings.store_seconds)
    if given.action == "list":
        _list(store)
    elif given.action == "show":
        print(_metadata_of(store, given.subject).model_dump_json(indent=2))
    elif given.action in set(ProductAction):
        _decide_on_product(store, ProductAction(given.action), given.subject, given.reason)
    else:
        _decide(store, Action(given.action), given.subject, given.reason)


def _parser() -> OneLineParser:
    parser = OneLineParser(PROGRAM, description=ManageSettings.__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    meanings = {
        "list": f"the newest {MAX_LISTED_MODELS} models, their error, and which one is served",
        "show": "all that a model says about itself, as JSON",
        Action.PIN.value: "serve this model instead of the newest, until it is restored",
        Action.WITHDRAW.value: "serve it no more, and do not train on its dataset again",
        Action.RESTORE.value: "take back what was decided about it",
        ProductAction.RETIRE.value: "do not keep this product when it has no orders",
        ProductAction.UNRETIRE.value: "take that back",
    }
    for name, meaning in meanings.items():
        action = actions.add_parser(name, help=meaning, description=meaning)
        if name in set(ProductAction):
            action.add_argument("subject", metavar="PRODUCT", help="code of the product")
        elif name != "list":
            action.add_argument("subject", metavar="MODEL", help="name of the model")
        action.add_argument("store", nargs="?", metavar="STORE", help="see TTD_STORE")
        if name in {*Action, *ProductAction}:
            action.add_argument("--reason", default="", metavar="TEXT", help="why, for the record")
    return parser


def _list(store: ObjectStore) -> None:
    """Print the newest models, the newest first."""
    keys = [key for key in store.list_keys(MODELS) if key.endswith(SUFFIX) and timestamp_of(key)]
    newest_first = sorted(keys, key=lambda key: str(timestamp_of(key)), reverse=True)
    decisions = read_decisions(store)
    served = newest_usable_model(store)
    table = Table("model", "dataset", "rows", "error", "R²", "state", box=None)
    for key in newest_first[:MAX_LISTED_MODELS]:
        version = name_of(key)
        decided = decisions.get(hash_of_version(version))
        state = STATES[decided.action] if decided else ""
        if served and served.key == key:
            state = f"served {state}".strip()
        table.add_row(*map(one_line, (version, *_facts(store, key), state)))
    Console(width=MIN_WIDTH, highlight=False, markup=False).print(table)
    if len(newest_first) > MAX_LISTED_MODELS:
        print(f"{len(newest_first) - MAX_LISTED_MODELS:,} older models are not shown.")
    if retired := sorted(retired_products(store)):
        print(f"Retired products: {first_few(retired, max_names=len(retired))}.")


def _facts(store: ObjectStore, key: str) -> tuple[str, str, str, str]:
    """Return dataset, rows, error and R² of a model; one that cannot be read says so."""
    try:
        metadata = read_artifact(key, store.read(key)).metadata
    except ArtifactError as error:
        LOG.warning(str(error))
        return ("cannot be read", "", "", "")
    metrics = metadata.metrics
    r_squared = "undefined" if metrics.r_squared is None else f"{metrics.r_squared:.4f}"
    error_hours = f"{metrics.mean_absolute_error_hours:.2f} h"
    return name_of(metadata.dataset.key), f"{metadata.dataset.rows:,}", error_hours, r_squared


def _metadata_of(store: ObjectStore, version: str) -> ModelMetadata:
    """Return what a model says about itself.

    Raises:
        ArtifactError: there is no such model, or it cannot be read.
    """
    key = f"{MODELS}/{version}{SUFFIX}"
    if key not in store.list_keys(MODELS):
        raise ArtifactError(
            f"There is no model {version} under {store.url}/{MODELS}/: `{PROGRAM} list` shows them."
        )
    return read_artifact(key, store.read(key)).metadata


def _decide(store: ObjectStore, action: Action, version: str, reason: str) -> None:
    dataset = _metadata_of(store, version).dataset
    decision = Decision(
        action=action,
        model_version=version,
        dataset_key=dataset.key,
        dataset_sha256=dataset.sha256,
        reason=reason,
    )
    key = decide(store, decision)
    served = newest_usable_model(store)
    LOG.info(
        f"Kept the decision to {action} {version} as {store.url}/{key}. What counts now: "
        f"{name_of(served.key) if served else 'no model'}. A service follows at its next restart, "
        "or at its next look with --reload-seconds."
    )


def _decide_on_product(
    store: ObjectStore, action: ProductAction, product_code: str, reason: str
) -> None:
    """Retire a product of the model that counts, or take that back.

    Raises:
        ArtifactError: no such product is known, or retired.
    """
    if action is ProductAction.RETIRE:
        model = load_model(store)
        codes, where = list(model.products), f"in {model.version}"
    else:
        codes, where = list(retired_products(store)), f"retired in {store.url}"
    known_code = {normalised_code(code): code for code in codes}.get(normalised_code(product_code))
    if known_code is None:
        similar = SimilarCodes(codes).similar_to(product_code)
        raise ArtifactError(
            f"Cannot {action} {product_code!r}: there is no such product {where}.",
            f"Close to it: {first_few(similar)}." if similar else "Give its code in full.",
        )
    decision = ProductDecision(action=action, product_code=known_code, reason=reason)
    key = decide(store, decision)
    LOG.info(
        f"Kept the decision to {action} {known_code!r} as {store.url}/{key}. It counts from the "
        "next training on; --retrain trains on the same week again."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
