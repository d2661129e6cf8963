"""Tables of the documents that the code lists itself: settings, API, metrics, exit codes, store.

`cog` writes what these functions return between its marks in the documents, as `make docs` does;
the static analysis fails if a document says something else than the code. What only a running
service can tell comes from one that serves a model of the sample store.
"""

import ast
import inspect
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from pipeline import notify_failure, serve_model, train_model
from pipeline.api.service import DispatchService
from pipeline.model import artifact
from pipeline.model.order import HOURS, MAX_HOURS_TO_DISPATCH, Order
from pipeline.orders import weekly_dataset
from pipeline.stages.errors import PipelineError
from pipeline.stages.settings import (
    ENVIRONMENT_PREFIX,
    SAMPLE_STORE,
    ServeSettings,
    StoreSettings,
    TrainSettings,
)

STAGES = (train_model, serve_model, notify_failure)
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
FOLDERS = ("DATASETS", "MODELS", "REPORTS", "REFUSED", "REJECTED")
OWN_METRICS = "ttd_"
NAMES_OF_MODELS = re.compile(r"time_to_dispatch_[0-9T-]+_[0-9a-f]{16}")
A_NAME = "time_to_dispatch_2026-11-27T23-30-00-000000_0123456789abcdef"
EXAMPLE = {"product_code": "SKU001", "orders_placed": 112}
UNKNOWN = {"product_code": "SKU999", "orders_placed": 5}
ESTIMATE = "/api/v0.1/time_to_dispatch"
ESTIMATE_WITH_INTERVAL = "/api/v0.2/time_to_dispatch"
BATCH = f"{ESTIMATE_WITH_INTERVAL}/batch"


def settings(stage: str) -> str:
    """Return the table of the settings of one stage, or of `both`."""
    shared = () if stage == "both" else StoreSettings.model_fields.keys()
    wanted = SETTINGS[stage].model_fields.keys() - shared
    rows = [
        [f"`{_option(name)}`", f"`{ENVIRONMENT_PREFIX}{name.upper()}`", _default(field["default"])]
        + [_allowed(field), field["description"]]
        for name, field in SETTINGS[stage].model_json_schema()["properties"].items()
        if name in wanted
    ]
    return _table("option | variable | default | allowed | meaning", rows)


def exit_codes() -> str:
    """Return what each stage's `main` says of the exit codes that it returns."""
    rows = []
    for stage in STAGES:
        sentence = " ".join((stage.main.__doc__ or "").split()).split("exit code: ")[1]
        codes = dict(re.findall(r"(\d) (.*?)(?=, \d|\.)", sentence))
        rows.append([f"`{stage.__name__.split('.')[-1]}`", codes["0"], codes["1"]])
    return _table("stage | 0 | 1", rows)


def errors(error: type[PipelineError] = PipelineError) -> str:
    """Return the errors that end a stage with exit code 1."""
    rows = [[f"`{kind.__name__}`", _first_line(kind)] for kind in _kinds(error)]
    return _table("error | meaning", rows)


def folders() -> str:
    """Return what is in each folder of a store."""
    told = _attribute_docstrings(weekly_dataset) | _attribute_docstrings(artifact)
    rows = []
    for name in FOLDERS:
        module = artifact if hasattr(artifact, name) else weekly_dataset
        rows.append([f"`{getattr(module, name)}/`", told[name]])
    return _table("folder | what is in it", rows)


def columns() -> str:
    """Return the columns of a weekly dataset: the fields of an order, and its label."""
    schema = Order.model_json_schema()
    label = {"minimum": 0, "maximum": MAX_HOURS_TO_DISPATCH, "type": "number"}
    label |= {"description": "hours from the order to its dispatch"}
    return _fields(schema["properties"] | {HOURS: label}, [*schema.get("required", ()), HOURS])


def routes() -> str:
    """Return what the API can be asked, as its OpenAPI schema tells it."""
    rows = []
    for path, operations in _openapi()["paths"].items():
        for method, operation in operations.items():
            parameters = "".join(f" `{p['name']}`" for p in operation.get("parameters", ()))
            request = f"`{method.upper()} {path}`" + (parameters and f", with{parameters}")
            about = " ".join(operation["description"].split())
            rows.append([request, about, ", ".join(sorted(operation["responses"]))])
    return _table("request | what it does | answers with", rows)


def fields(schema: str) -> str:
    """Return the fields of a request or an answer of the API."""
    described = _openapi()["components"]["schemas"][schema]
    return _fields(described["properties"], described.get("required", ()))


def example(path: str, body: Any) -> str:
    """Return a request to the API and its answer."""
    answer = _service().post(path, json=body)
    content = NAMES_OF_MODELS.sub(A_NAME, answer.text)
    request = f"$ curl http://127.0.0.1:8000{path} --json '{json.dumps(body)}'"
    return f"\n```text\n{request}\n{content}\n```\n"


def metrics() -> str:
    """Return the metrics that the service gives after a request of each kind."""
    for path in (ESTIMATE, ESTIMATE_WITH_INTERVAL):
        for body in (EXAMPLE, UNKNOWN):
            _service().post(path, json=body)
    rows = []
    for family in text_string_to_metric_families(_service().get("/metrics").text):
        if not family.name.startswith(OWN_METRICS):
            continue
        labels = dict.fromkeys(label for sample in family.samples for label in sample.labels)
        labels.pop("le", None)
        name = family.name + ("_total" if family.type == "counter" else "")
        name += f"{{{', '.join(labels)}}}" if labels else ""
        rows.append([f"`{name}`", family.type, family.documentation])
    return _table("metric | type | what it counts or measures", rows)


@cache
def _service() -> TestClient:
    """Return a client of a service whose model is trained on the sample store."""
    with tempfile.TemporaryDirectory() as store:
        shutil.copytree(SAMPLE_STORE / "datasets", f"{store}/datasets")
        if train_model.main([store, "--log-level", "WARNING"]) != 0:
            raise SystemExit("There is no model to describe; the line above says why.")
        service = DispatchService(ServeSettings.from_arguments([store]))
        service.answers()
    return TestClient(serve_model.create_app(service))


@cache
def _openapi() -> Any:
    return _service().get("/openapi.json").json()


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


def _fields(properties: Mapping[str, Any], required: Sequence[str]) -> str:
    rows = [
        [f"`{name}`", _type(field), _allowed(field)]
        + ["yes" if name in required else "no", field.get("description", "")]
        for name, field in properties.items()
    ]
    return _table("field | type | allowed | required | meaning", rows)


def _option(name: str) -> str:
    return "STORE" if name == "store" else f"--{name.replace('_', '-')}"


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


def _table(head: str, rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, with the blank lines that it needs around it."""
    separator = "|".join("---" for _ in head.split("|"))
    lines = [f"| {head} |", f"|{separator}|"]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n" + "\n".join(lines) + "\n"
