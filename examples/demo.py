"""The whole pipeline on the sample store in one minute: train, serve, ask, stop.

Both stages run as processes of their own, with the same commands that a person would type. With a
port of one's own the service goes on, with its log, until Ctrl-C.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from pipeline.stages.interrupts import end_in_one_line

ROOT = Path(__file__).resolve().parents[1]
ROUTES = ("/api/v0.1/time_to_dispatch", "/api/v0.2/time_to_dispatch")
EXAMPLE = {"product_code": "SKU001", "orders_placed": 112}
QUIET = ("--log-level", "WARNING")
PATIENCE_SECONDS = 30.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("TTD_")}
"""Without settings: the demo is about the sample store, whatever else this shell works on."""
HTTP = build_opener(ProxyHandler({}))
"""The service is on this machine, so no proxy is asked."""


NEXT = """\

Next:
  make serve      keeps the service running: open its web page in a browser
  make week demo  trains on one more simulated week: the new report compares both models
  make help       lists what else there is; the documents begin at docs/index.md"""


def main(arguments: Sequence[str]) -> int:
    """Run the demo and return 0, or the exit code of the stage that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep-on-port", type=int, metavar="PORT", help="let the service go on")
    port = parser.parse_args(arguments).keep_on_port
    options = QUIET if port is None else ()
    listening_on = _free_port(port or 0)
    command = ["-m", "pipeline.train_model", *options]
    print(f"$ python {' '.join(command)}", flush=True)
    training = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.STDOUT
    )
    return training.returncode or _serve_and_ask(listening_on, options, is_kept=port is not None)


def _serve_and_ask(port: int, options: Sequence[str], is_kept: bool) -> int:
    """Start the service, ask it what it is and the example in both versions, and stop it.

    Args:
        port: where it listens.
        options: others of the service.
        is_kept: stop it only when this process is told to stop.

    Returns:
        Its exit code.
    """
    command = ["-m", "pipeline.serve_model", *options, "--port", str(port)]
    print(f"$ python {' '.join(command)} &", flush=True)
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=ENVIRONMENT | {"TTD_DRAIN_SECONDS": "0"},
        stderr=subprocess.STDOUT,
        process_group=0,  # Ctrl-C is for this process, which then stops the service
    ) as service:
        try:
            _wait_until_ready(f"{url}/readyz", service)
            model = json.loads(_ask(f"{url}/api/v0.1/model"))
            print(_about(model), flush=True)
            for route in ROUTES:
                _show_example(f"{url}{route}")
            print(
                f"\nThe report on it, for a browser:\n  data/reports/{model['model_version']}.html"
            )
            if is_kept:
                print(f"\nThe service runs until Ctrl-C. Its web page: {url}/", flush=True)
                with suppress(KeyboardInterrupt):
                    service.wait()
            else:
                print(NEXT, flush=True)
        finally:
            service.terminate()
    return service.returncode


def _about(model: Any) -> str:
    """Return what a model is and how good it is, as the service tells it."""
    facts, metrics = model["lineage"], model["lineage"]["metrics"]
    return (
        f"It serves a {facts['regressor']}, trained on {facts['dataset']['rows']:,} orders: "
        f"R² {metrics['r_squared']:.4f}, "
        f"mean absolute error {metrics['mean_absolute_error_hours']:.2f} h."
    )


def _show_example(url: str) -> None:
    """Ask the example of a URL, and print the command that does so and the answer."""
    body = json.dumps(EXAMPLE)
    print(f"\n$ curl --silent {url} \\\n    --json '{body}' | python -m json.tool", flush=True)
    print(json.dumps(json.loads(_ask(url, body)), indent=4), flush=True)


def _free_port(wanted: int) -> int:
    """Return a port on which nothing listens: the one that is wanted, or any if that is 0."""
    try:
        with socket.create_server(("127.0.0.1", wanted)) as probe:
            port: int = probe.getsockname()[1]
            return port
    except OSError as error:
        raise SystemExit(
            f"Cannot serve on port {wanted}: {os.strerror(error.errno or 0)}. "
            "Stop what listens there, or choose another: make serve PORT=8001"
        ) from error


def _wait_until_ready(url: str, service: "subprocess.Popen[bytes]") -> None:
    """Return when the service answers; its port opens only when it can predict."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while service.poll() is None and time.monotonic() < deadline:
        try:
            with HTTP.open(url, timeout=PATIENCE_SECONDS):
                return
        except (URLError, ConnectionError):
            time.sleep(0.05)
    raise SystemExit(f"The service did not answer at {url}.")


def _ask(url: str, body: str | None = None) -> str:
    """Return what a GET of a URL answers, or a POST of a body."""
    data = None if body is None else body.encode()
    request = Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - its own
    with HTTP.open(request, timeout=PATIENCE_SECONDS) as answer:
        text: str = answer.read().decode()
        return text


if __name__ == "__main__":
    end_in_one_line()
    sys.exit(main(sys.argv[1:]))
