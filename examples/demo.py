"""The whole pipeline on the sample store in one minute: train, serve, ask, stop.

Both stages run as processes of their own, with the same commands that a person would type.
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

ROOT = Path(__file__).resolve().parents[1]
ROUTES = ("/api/v0.1/time_to_dispatch", "/api/v0.2/time_to_dispatch")
EXAMPLE = {"product_code": "SKU001", "orders_placed": 112}
QUIET = ("--log-level", "WARNING")
PATIENCE_SECONDS = 30.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("TTD_")}
"""Without settings: the demo is about the sample store, whatever else this shell works on."""
HTTP = build_opener(ProxyHandler({}))
"""The service is on this machine, so no proxy is asked."""


def main() -> int:
    """Run the demo and return 0, or the exit code of the stage that failed."""
    command = ["-m", "pipeline.train_model", *QUIET]
    print(f"$ python {' '.join(command)}", flush=True)
    training = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.STDOUT
    )
    return training.returncode or _serve_and_ask(_free_port())


def _serve_and_ask(port: int) -> int:
    """Start the service, ask it what it is and the example in both versions, and stop it.

    Returns:
        Its exit code.
    """
    command = ["-m", "pipeline.serve_model", *QUIET, "--port", str(port)]
    print(f"$ python {' '.join(command)} &", flush=True)
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=ENVIRONMENT | {"TTD_DRAIN_SECONDS": "0"},
        stderr=subprocess.STDOUT,
    ) as service:
        try:
            _wait_until_ready(f"{url}/readyz", service)
            print(_about_the_model(_ask(f"{url}/api/v0.1/model")), flush=True)
            for route in ROUTES:
                body = json.dumps(EXAMPLE)
                print(f"\n$ curl {url}{route} --json '{body}'", flush=True)
                print(_ask(f"{url}{route}", body), flush=True)
        finally:
            service.terminate()
    return service.returncode


def _about_the_model(answer: str) -> str:
    """Return what a model is, how good it is and where its report is, as the service tells it."""
    model = json.loads(answer)
    facts, metrics = model["lineage"], model["lineage"]["metrics"]
    return (
        f"It serves a {facts['regressor']}, trained on {facts['dataset']['rows']:,} orders: "
        f"R² {metrics['r_squared']:.4f}, "
        f"mean absolute error {metrics['mean_absolute_error_hours']:.2f} h.\n"
        f"The report on it is data/reports/{model['model_version']}.html"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
    sys.exit(main())
