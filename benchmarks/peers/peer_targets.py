"""The other model servers: how each is started, and how it is asked.

Each runs in an environment of its own, as its documentation recommends for production, with one
worker and without a log of requests; what phones home is switched off. Where the server lets one
write the handler, it takes the same question as the plain handler; MLServer and MLflow take rows of
the tree's columns, which is less work.
"""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measuring.measured_process import ENVIRONMENT
from benchmarks.measuring.server_processes import HOST, PORT, Server, ServerFailure, free_port
from benchmarks.serving.targets import JSON_HEADERS, Target, hours_of, request_body
from benchmarks.serving.world import Order, ServingWorld, compact_json

PEERS = Path(__file__).parent
MODEL_NAME = "tree"


class Peer(NamedTuple):
    """Another model server.

    Attributes:
        name: for the table.
        program: its command line program, in the folder `bin` of its environment.
        server: makes it from its environment and what it serves.
        path: of the URL for predictions.
        body: makes the body of a request.
        hours_in: finds the hours in an answer.
    """

    name: str
    program: str
    server: Callable[[Path, ServingWorld], Server]
    path: str
    body: Callable[[Order], str]
    hours_in: Callable[[Any], float]

    def start(self, environments: Path, world: ServingWorld) -> Server:
        """Return how to start it.

        Raises:
            ServerFailure: it is not installed, or does not take the tree.
        """
        environment = environments / self.folder
        if not (environment / "bin" / self.program).exists():
            raise ServerFailure(f"It is not installed in {environment}.")
        return self.server(environment, world)

    @property
    def folder(self) -> str:
        """The folder of its environment, and the last part of the name of its requirements."""
        return self.name.lower()

    def target(self, world: ServingWorld) -> Target:
        """Return its route."""
        ask = (self.path, JSON_HEADERS, self.body, self.hours_in, world.tree_hours)
        return Target(self.name, self.name, *ask)


def _mlserver(environment: Path, world: ServingWorld) -> Server:
    """Return MLServer with its own runtime for scikit-learn, and its default of one worker."""
    folder = world.store / MODEL_NAME
    folder.mkdir()
    settings = {
        "name": MODEL_NAME,
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(world.tree_path)},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))
    variables = {
        "MLSERVER_HOST": HOST,
        "MLSERVER_HTTP_PORT": PORT,
        "MLSERVER_GRPC_PORT": str(free_port()),
        "MLSERVER_METRICS_PORT": str(free_port()),
        "MLSERVER_PARALLEL_WORKERS": "1",
        "MLSERVER_DEBUG": "false",
    }
    command = [str(environment / "bin" / "mlserver"), "start", str(folder)]
    return Server(command, variables, world.store)


def _bentoml(environment: Path, world: ServingWorld) -> Server:
    """Return BentoML with a service of one method."""
    serve = ["serve", "bentoml_service:TimeToDispatch", "--host", HOST, "--port", PORT]
    variables = {"BENTOML_HOME": str(world.store / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
    command = [str(environment / "bin" / "bentoml"), *serve]
    return Server(command, {**_tree_variables(world), **variables}, PEERS)


def _litserve(environment: Path, world: ServingWorld) -> Server:
    """Return LitServe with one process for requests and one for the model."""
    command = [str(environment / "bin" / "python"), str(PEERS / "litserve_server.py"), PORT]
    return Server(command, _tree_variables(world), world.store)


def _mlflow(environment: Path, world: ServingWorld) -> Server:
    """Return MLflow's own scoring server.

    Raises:
        ServerFailure: it does not take the tree.
    """
    variables = {
        # It starts uvicorn by name.
        "PATH": f"{environment / 'bin'}:{ENVIRONMENT['PATH']}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "UVICORN_LOG_LEVEL": "error",
        "UVICORN_ACCESS_LOG": "false",
    }
    model = world.store / "mlflow"
    python = str(environment / "bin" / "python")
    convert = [python, str(PEERS / "mlflow_model.py"), str(world.tree_path), str(model)]
    converted = subprocess.run(
        convert, env={**ENVIRONMENT, **variables}, cwd=world.store, capture_output=True, text=True
    )
    if converted.returncode != 0:
        raise ServerFailure(f"It does not take the tree. {converted.stderr.strip()[-500:]}")
    options = ["--env-manager", "local", "--workers", "1", "--host", HOST, "--port", PORT]
    program = str(environment / "bin" / "mlflow")
    serve = [program, "models", "serve", "--model-uri", str(model), *options]
    return Server(serve, variables, world.store)


def _tree_variables(world: ServingWorld) -> Mapping[str, str]:
    return {"MODEL_FILE": str(world.tree_path), "PRODUCT_CODES": ",".join(world.codes)}


def _row(order: Order) -> list[int]:
    return [order.product_number, order.orders_placed]


def _mlserver_body(order: Order) -> str:
    row = {"name": "orders", "shape": [1, 2], "datatype": "FP64", "data": [_row(order)]}
    return compact_json({"inputs": [row]})


def _mlflow_body(order: Order) -> str:
    return compact_json({"inputs": [_row(order)]})


PEER_SERVERS = (
    Peer(
        "MLServer",
        "mlserver",
        _mlserver,
        f"/v2/models/{MODEL_NAME}/infer",
        _mlserver_body,
        lambda answer: float(answer["outputs"][0]["data"][0]),
    ),
    Peer("BentoML", "bentoml", _bentoml, "/time_to_dispatch", request_body, hours_of),
    Peer("LitServe", "python", _litserve, "/predict", request_body, hours_of),
    Peer(
        "MLflow",
        "mlflow",
        _mlflow,
        "/invocations",
        _mlflow_body,
        lambda answer: float(answer["predictions"][0]),
    ),
)
