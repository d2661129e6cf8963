"""Tables of the documents that the code lists itself: settings, exit codes, errors, a store.

cog writes what these functions return between its marks in the documents, as `make docs` does; the
static analysis fails if a document says something else than the code.
"""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from pipeline import check_dataset, manage_models, notify_failure, serve_model, train_model
from pipeline.model import artifact, decisions, undelivered_alerts
from pipeline.model.order import HOURS, MAX_HOURS_TO_DISPATCH, Order
from pipeline.orders import deliveries, rejected_rows
from pipeline.stages.command_line import option_of, variable_of
from pipeline.stages.errors import PipelineError
from pipeline.stages.settings import (
    SAMPLE_STORE,
    ServeSettings,
    StoreSettings,
    TrainSettings,
)
from pipeline.stores import s3

STAGES = (train_model, check_dataset, serve_model, notify_failure, manage_models)
SETTINGS = {"both": StoreSettings, "train_model": TrainSettings, "serve_model": ServeSettings}
BOUNDS = {
    "minimum": "≥ {:,.12g}",
    "exclusiveMinimum": "> {:,.12g}",
    "maximum": "≤ {:,.12g}",
    "exclusiveMaximum": "< {:,.12g}",
    "minItems": "at least {:,} items",
    "maxItems": "at most {:,} items",
}
"""How a table says what a JSON schema allows."""
FOLDERS = {
    "DATASETS": deliveries,
    "MODELS": artifact,
    "REPORTS": artifact,
    "PUBLISHED": artifact,
    "REFUSED": artifact,
    "REJECTED": rejected_rows,
    "DECISIONS": decisions,
    "ALERTS": undelivered_alerts,
    "PROBE": s3,
}


def settings(stage: str) -> str:
    """Return the table of the settings of one stage, or of `both`."""
    shared = () if stage == "both" else StoreSettings.model_fields.keys()
    wanted = SETTINGS[stage].model_fields.keys() - shared
    rows = [
        [f"`{option_of(name)}`", f"`{variable_of(name)}`", _default(field["default"])]
        + [_allowed(field), field["description"]]
        for name, field in SETTINGS[stage].model_json_schema()["properties"].items()
        if name in wanted
    ]
    return table("option | variable | default | allowed | meaning", rows)


def exit_codes() -> str:
    """Return what each stage's `main` says of the exit codes that it returns."""
    rows = []
    for stage in STAGES:
        sentence = " ".join((stage.main.__doc__ or "").split()).split("exit code: ")[1]
        codes = dict(re.findall(r"(\d) (.*?)(?=, \d|\.)", sentence))
        name = f"`{stage.__name__.split('.')[-1]}`"
        rows.append([name, codes["0"], codes["1"], codes.get("3", "")])
    return table("stage | 0 | 1 | 3", rows)


def errors(error: type[PipelineError] = PipelineError) -> str:
    """Return the errors that end a stage, and its exit code then."""
    rows = [
        [f"`{kind.__name__}`", str(kind.exit_code), _first_line(kind)] for kind in _kinds(error)
    ]
    return table("error | exit code | meaning", rows)


def folders() -> str:
    """Return what is in each folder of a store."""
    rows = [
        [f"`{getattr(module, name)}/`", _attribute_docstrings(module)[name]]
        for name, module in FOLDERS.items()
    ]
    return table("folder | what is in it", rows)


def columns() -> str:
    """Return the columns of a weekly dataset: the fields of an order, and its label."""
    schema = Order.model_json_schema()
    label = {"minimum": 0, "maximum": MAX_HOURS_TO_DISPATCH, "type": "number"}
    label |= {"description": "hours from the order to its dispatch"}
    return fields_table(schema["properties"] | {HOURS: label}, [*schema.get("required", ()), HOURS])


def _kinds(error: type[PipelineError]) -> Iterator[type[PipelineError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _first_line(documented: type) -> str:
    return (inspect.getdoc(documented) or "").split("\n")[0]


def _attribute_docstrings(module: ModuleType) -> dict[str, str]:
    """Return the strings that stand below the constants of a module, by the constants' names."""
    body = ast.parse(inspect.getsource(module)).body
    return {
        target.id: " ".join(str(told.value.value).split())
        for constant, told in zip(body, body[1:])
        if isinstance(constant, ast.Assign) and isinstance(told, ast.Expr)
        for target in constant.targets
        if isinstance(target, ast.Name) and isinstance(told.value, ast.Constant)
    }


def fields_table(properties: Mapping[str, Any], required: Sequence[str]) -> str:
    rows = [
        [f"`{name}`", _type(field), _allowed(field)]
        + ["yes" if name in required else "no", field.get("description", "")]
        for name, field in properties.items()
    ]
    return table("field | type | allowed | required | meaning", rows)


def _default(value: Any) -> str:
    named = {str(SAMPLE_STORE): "the sample store", "": "empty", None: "none"}
    return named.get(value) or f"`{value}`"


def _type(field: Mapping[str, Any]) -> str:
    """Return what a field is: a type of JSON, or the name of another schema."""
    if "anyOf" in field:
        return " or ".join(map(_type, field["anyOf"]))
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    items = field.get("items")
    return f"{field.get('type', 'any')}{f' of {_type(items)}' if items else ''}"


def _allowed(field: Mapping[str, Any]) -> str:
    """Return which values a field may have, as far as its JSON schema limits them."""
    field = field.get("anyOf", [field])[0]
    values = [f"`{value}`" for value in field.get("enum", ())]
    bounds = [words.format(field[name]) for name, words in BOUNDS.items() if name in field]
    return ", ".join(values + bounds)


def table(head: str, rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, with the blank lines that it needs around it."""
    separator = "|".join("---" for _ in head.split("|"))
    lines = [f"| {head} |", f"|{separator}|"]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n" + "\n".join(lines) + "\n"
