"""The whole pipeline on the sample store in one minute: train, serve, ask, stop.

Both stages run as processes of their own, with the same commands that a person would type.
"""

import json
import os
import signal
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
PATIENCE_SECONDS = 30.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("TTD_")}
"""Without settings: the demo is about the sample store, whatever else this shell works on."""
HTTP = build_opener(ProxyHandler({}))
"""The service is on this machine, so no proxy is asked."""


def main() -> int:
    """Run the demo and return 0, or the exit code of the stage that failed."""
    print("$ python -m pipeline.train_model", flush=True)
    command = [sys.executable, "-m", "pipeline.train_model"]
    training = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.STDOUT)
    if training.returncode != 0:
        return training.returncode
    port = _free_port()
    return _serve_and_ask(port)


def _serve_and_ask(port: int) -> int:
    """Start the service, send it the example in both versions, stop it, return its exit code."""
    command = ["-m", "pipeline.serve_model", "--port", str(port)]
    print(f"\n$ python {' '.join(command)} &", flush=True)
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.STDOUT
    ) as service:
        try:
            _wait_until_ready(f"{url}/readyz", service)
            body = json.dumps(EXAMPLE)
            for route in ROUTES:
                print(f"\n$ curl {url}{route} --json '{body}'", flush=True)
                print(_post(f"{url}{route}", body), flush=True)
            print(flush=True)
        finally:
            service.send_signal(signal.SIGINT)  # like Ctrl+C: it stops at once
    return service.returncode


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


def _post(url: str, body: str) -> str:
    request = Request(url, body.encode(), {"Content-Type": "application/json"})
    with HTTP.open(request, timeout=PATIENCE_SECONDS) as answer:
        text: str = answer.read().decode()
        return text


if __name__ == "__main__":
    sys.exit(main())
