"""Parts of the documents that only a running service can tell: API, metrics, the demo.

It serves a model that is trained on the sample store; `tools.reference` tells what cog does.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from pipeline.api.service import DispatchService
from pipeline.serve_model import create_app
from pipeline.stages.settings import SAMPLE_STORE, ServeSettings
from pipeline.train_model import main as train_model
from tools.reference import fields_table, table

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_WEEKS = sorted((SAMPLE_STORE / "datasets").glob("*.csv"))[:4]
"""Those that git has; the documents do not know of newer ones, which `make week` adds."""
OWN_METRICS = "ttd_"
MOVING_PARTS = {
    r"time_to_dispatch_[0-9T-]+_[0-9a-f]{16}": (
        "time_to_dispatch_2026-11-27T23-30-00-000000_0123456789abcdef"
    ),
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+": "2026-11-27T23:30:00",
    r"(?<=127\.0\.0\.1:)\d+|(?<=--port )\d+": "8000",
}
"""What is different each time, and what the documents show instead."""
EXAMPLE = {"product_code": "SKU001", "orders_placed": 112}
UNKNOWN = {"product_code": "SKU01", "orders_placed": 5}
IN_COLUMNS = {name: [EXAMPLE[name], UNKNOWN[name]] for name in EXAMPLE}
ESTIMATE = "/api/v0.1/time_to_dispatch"
ESTIMATE_WITH_INTERVAL = "/api/v0.2/time_to_dispatch"
BATCH = f"{ESTIMATE_WITH_INTERVAL}/batch"


def routes() -> str:
    """Return what the API can be asked, as its OpenAPI schema tells it."""
    rows = []
    for path, operations in _openapi()["paths"].items():
        for method, operation in operations.items():
            parameters = "".join(f" `{p['name']}`" for p in operation.get("parameters", ()))
            request = f"`{method.upper()} {path}`" + (parameters and f", with{parameters}")
            about = " ".join(operation["description"].split())
            rows.append([request, about, ", ".join(sorted(operation["responses"]))])
    return table("request | what it does | answers with", rows)


def fields(schema: str) -> str:
    """Return the fields of a request or an answer of the API."""
    described = _openapi()["components"]["schemas"][schema]
    return fields_table(described["properties"], described.get("required", ()))


def example(path: str, body: Any) -> str:
    """Return a request to the API and its answer."""
    answer = _service().post(path, json=body)
    request = f"$ curl http://127.0.0.1:8000{path} --json '{json.dumps(body)}'"
    return _console(f"{request}\n{answer.text}\n")


def demo() -> str:
    """Return what `make demo` prints, on a copy of the project without models."""
    with tempfile.TemporaryDirectory() as copy:
        copy_for_demo(copy)
        command = [sys.executable, "-m", "examples.demo"]
        printed = subprocess.run(command, cwd=copy, stdout=subprocess.PIPE, text=True, check=True)
    return _console(f"$ make demo\n{printed.stdout}")


def copy_for_demo(folder: str) -> None:
    """Copy what the demo needs into a folder, without models."""
    for part in ("pipeline", "examples"):
        shutil.copytree(ROOT / part, f"{folder}/{part}")
    _copy_sample_weeks(f"{folder}/data")


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
    return table("metric | type | what it counts or measures", rows)


@cache
def _service() -> TestClient:
    """Return a client of a service whose model is trained on the sample store."""
    with tempfile.TemporaryDirectory() as store:
        _copy_sample_weeks(store)
        if train_model([store, "--log-level", "WARNING"]) != 0:
            raise SystemExit("There is no model to describe; the line above says why.")
        service = DispatchService(ServeSettings.from_arguments([store]))
        service.answers()
    return TestClient(create_app(service))


@cache
def _openapi() -> Any:
    return _service().get("/openapi.json").json()


def _copy_sample_weeks(store: str) -> None:
    """Copy what git has of the sample store into an empty store."""
    (Path(store) / "datasets").mkdir(parents=True)
    for week in SAMPLE_WEEKS:
        shutil.copy2(week, f"{store}/datasets")


def _console(text: str) -> str:
    """Return what a terminal shows as a block in Markdown, always the same."""
    for part, instead in MOVING_PARTS.items():
        text = re.sub(part, instead, text)
    return f"\n```text\n{text}```\n"
