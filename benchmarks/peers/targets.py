"""The other model servers: how each is installed, started and asked.

Each is a script with its requirements inside, which uv installs into an environment of its own. It
starts the server as its documentation recommends for production, with one worker and without a log
of requests; what phones home is switched off. Where the server lets one write the handler, it takes
the same question as the plain handler; MLServer and MLflow take rows of the tree's columns, which
is less work.
"""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measuring.measured_process import ENVIRONMENT
from benchmarks.measuring.server_processes import PORT, Server, ServerFailure
from benchmarks.serving.targets import JSON_HEADERS, Target, hours_of, request_body, tree_variables
from benchmarks.serving.world import Order, ServingWorld, compact_json

UV = [sys.executable, "-m", "uv"]
UV_VARIABLES = {"UV_PYTHON": sys.executable}
"""The other servers run on the same Python as ours."""


class Peer(NamedTuple):
    """Another model server.

    Attributes:
        name: for the table.
        script: file that starts it, in the folder of this module.
        path: of the URL for predictions.
        body: makes the body of a request.
        hours_in: finds the hours in an answer.
    """

    name: str
    script: str
    path: str
    body: Callable[[Order], str]
    hours_in: Callable[[Any], float]

    def install(self) -> None:
        """Install what its script requires.

        Raises:
            ServerFailure: that is not possible, with uv's reason.
        """
        self._uv("sync", "--quiet", "--script")

    def versions(self) -> dict[str, str]:
        """Return the versions of all packages that were installed for it."""
        python = Path(self._uv("python", "find", "--script").strip())
        folders = [str(folder) for folder in python.parents[1].glob("lib/python*/site-packages")]
        found = sorted(distributions(path=folders), key=lambda one: one.name.lower())
        return {one.name: one.version for one in found}

    def server(self, world: ServingWorld) -> Server:
        """Return how to start it, in a folder of its own."""
        folder = world.store / Path(self.script).stem
        folder.mkdir()
        variables = {**UV_VARIABLES, **tree_variables(world), "PORT": PORT}
        return Server([*UV, "run", "--quiet", "--script", str(self._path)], variables, folder)

    def target(self, world: ServingWorld) -> Target:
        """Return its route."""
        ask = (self.path, JSON_HEADERS, self.body, self.hours_in, world.tree_hours)
        return Target(self.name, self.name, *ask, world.draw_orders)

    @property
    def _path(self) -> Path:
        return Path(__file__).with_name(self.script)

    def _uv(self, *command: str) -> str:
        """Return what a command of uv prints about the script."""
        environment = {**ENVIRONMENT, **UV_VARIABLES}
        whole = [*UV, *command, str(self._path)]
        finished = subprocess.run(whole, env=environment, capture_output=True, text=True)
        if finished.returncode != 0:
            raise ServerFailure(f"It cannot be installed. {finished.stderr.strip()[-500:]}")
        return finished.stdout


def _row(order: Order) -> list[int]:
    return [order.product_number, order.orders_placed]


def _mlserver_body(order: Order) -> str:
    row = {"name": "orders", "shape": [1, 2], "datatype": "FP64", "data": [_row(order)]}
    return compact_json({"inputs": [row]})


def _mlserver_hours(answer: Any) -> float:
    return float(answer["outputs"][0]["data"][0])


def _mlflow_body(order: Order) -> str:
    return compact_json({"inputs": [_row(order)]})


def _mlflow_hours(answer: Any) -> float:
    return float(answer["predictions"][0])


PEERS = (
    Peer(
        "MLServer",
        "mlserver_server.py",
        "/v2/models/tree/infer",
        _mlserver_body,
        _mlserver_hours,
    ),
    Peer("BentoML", "bentoml_server.py", "/time_to_dispatch", request_body, hours_of),
    Peer("LitServe", "litserve_server.py", "/predict", request_body, hours_of),
    Peer("MLflow", "mlflow_server.py", "/invocations", _mlflow_body, _mlflow_hours),
)
