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

import json
import os
import sys
from collections.abc import Sequence

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from pipeline.model.artifact import MODELS, SUFFIX
from pipeline.model.decisions import (
    Action,
    Decision,
    ProductAction,
    ProductDecision,
    decide,
    newest_usable_model,
    retired_products,
)
from pipeline.model.metadata import ModelMetadata
from pipeline.model.order import normalised_code
from pipeline.model.past_trainings import MAX_TRAININGS, PastTrainings, Training
from pipeline.model.reader import load_model, read_artifact
from pipeline.model.similar_codes import SimilarCodes
from pipeline.stages.command_line import OneLineParser
from pipeline.stages.errors import ArtifactError
from pipeline.stages.logs import LOG, configure_logging, exit_code_of
from pipeline.stages.messages import one_line
from pipeline.stages.settings import StoreSettings
from pipeline.stages.wording import first_few
from pipeline.stores.base import ObjectStore, open_store
from pipeline.stores.timestamped_keys import name_of

PROGRAM = "ttd-models"
MIN_WIDTH = 180
"""In letters; names are not cut where the terminal is narrow."""
STATES = {Action.PIN: "pinned", Action.WITHDRAW: "withdrawn"}


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
        _list(store, given.json)
    elif given.action == "show":
        _show(_metadata_of(store, given.subject).model_dump_json(indent=2))
    elif given.action in set(ProductAction):
        _decide_on_product(store, ProductAction(given.action), given.subject, given.reason)
    else:
        _decide(store, Action(given.action), given.subject, given.reason)


def _parser() -> OneLineParser:
    parser = OneLineParser(PROGRAM, description=ManageSettings.__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    meanings = {
        "list": f"what became of the newest {MAX_TRAININGS} trainings, and which model is served",
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
        elif name == "list":
            action.add_argument("--json", action="store_true", help="all facts, for programs")
        else:
            action.add_argument("subject", metavar="MODEL", help="name of the model")
        action.add_argument("store", nargs="?", metavar="STORE", help="see TTD_STORE")
        if name in {*Action, *ProductAction}:
            action.add_argument("--reason", default="", metavar="TEXT", help="why, for the record")
    return parser


def _list(store: ObjectStore, is_json: bool) -> None:
    """Print what became of the newest trainings, the newest first."""
    history = PastTrainings().history(store)
    if is_json:
        trainings = TypeAdapter(list[Training]).dump_python(list(history.trainings), mode="json")
        _show(json.dumps(history._asdict() | {"trainings": trainings}, indent=2))
        return
    table = Table("week", "model", "rows", "error", "skill", "week after", "state", box=None)
    for training in history.trainings:
        table.add_row(*map(one_line, _facts(training, history.usable_version)))
    console = Console(width=MIN_WIDTH, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(table)
    lines = [captured.get().rstrip("\n")]
    if history.older:
        lines.append(f"{history.older:,} older trainings are not shown.")
    if retired := sorted(retired_products(store)):
        lines.append(f"Retired products: {first_few(retired, max_names=len(retired))}.")
    _show("\n".join(lines))


def _show(text: str) -> None:
    """Print a text, of which whoever reads it may take only the beginning, as `head` does."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python would try to write the rest once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _facts(training: Training, usable_version: str | None) -> tuple[str, ...]:
    """Return the fields of a training in the table; a dash stands for what nobody knows."""
    week = training.delivered_at and f"{training.delivered_at:%Y-%m-%d}"
    served = "served" if training.version == usable_version else ""
    state = STATES[training.decision] if training.decision else training.outcome
    if served and state == "published":
        state = ""
    reason = f": {training.reason}" if training.reason else ""
    inside = training.next_week_coverage
    return (
        week or "–",
        training.version,
        "–" if training.rows is None else f"{training.rows:,}",
        "–" if training.error_hours is None else f"{training.error_hours:.2f} h",
        "–" if training.skill is None else f"{training.skill:.0%}",
        "–" if inside is None else f"{inside:.0%} of {training.interval_level:.0%}",
        f"{served} {state}".strip() + reason,
    )


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
