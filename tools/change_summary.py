"""`make change-summary BASE=…`: what the last commit changes in the model and on Kubernetes.

Both commits train on their own sample weeks with their own code, and then serve their model: what
they estimate is asked by v0.1 of the API, which never changes. If the newest weeks differ, the gate
compares the new model with the old one. The overlays are rendered by kubectl and no cluster is
asked, since `kubectl diff` needs the right to change one.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import unified_diff
from io import BytesIO
from pathlib import Path
from socket import create_server
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

ROOT = Path(__file__).resolve().parents[1]
HTTP = build_opener(ProxyHandler({}))
"""The services are on this machine, so no proxy is asked."""
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("TTD_")}
PATIENCE_SECONDS = 60.0
MAX_PRODUCTS = 20
MAX_DIFF_LINES = 400
VERDICTS = {0: "published", 3: "refused by the gate"}

Orders = list[tuple[str, float]]


class Demo(NamedTuple):
    """What became of the demo at one commit.

    Attributes:
        verdict: of the training.
        log: the lines in which it says why, if nothing was published.
        facts: about its model, from the API; nothing if there is none.
        estimates: in hours, of those orders whose product it knows.
    """

    verdict: str
    log: str
    facts: Mapping[str, Any]
    estimates: Mapping[tuple[str, float], float]


def main(arguments: Sequence[str]) -> int:
    """Write the summary, and return the exit code.

    Args:
        arguments: the commit to compare with, and the file that the summary is added to.
    """
    base, output = arguments[0], Path(arguments[1])
    with TemporaryDirectory() as folder:
        old, new = Path(folder, "old"), Path(folder, "new")
        for commit, checkout in ((base, old), ("HEAD", new)):
            check_out(commit, checkout)
        summary = f"# What changes against {base}\n\n{model_changes(old, new)}\n"
        summary += object_changes(old, new)
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("a") as file:
        file.write(summary)
    print(f"Wrote what changes against {base} to {output}.")
    return 0


def check_out(commit: str, folder: Path) -> None:
    """Write the files of a commit into a new folder; end the process if there is no such commit."""
    command = ["git", "-C", str(ROOT), "archive", commit]
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        sys.exit(f"make change-summary: error: BASE={commit} is no commit: {done.stderr.decode()}")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")


def model_changes(old: Path, new: Path) -> str:
    """Train and serve at both checkouts, and return in Markdown how the models differ."""
    before = run_demo(old, ())
    if _weeks(old)[-1:] != _weeks(new)[-1:] and before.facts:
        shutil.copytree(old / "data" / "models", new / "data" / "models")
    after = run_demo(new, tuple(before.estimates))
    rows = [(name, told(before.facts), told(after.facts)) for name, told in FACTS.items()]
    parts = [
        "## The demo's model",
        _table(("", "before", "after"), [("verdict", before.verdict, after.verdict), *rows]),
        *(f"```text\n{demo.log}```" for demo in (before, after) if not demo.facts),
        "### Candidates",
        "Mean absolute error in the cross-validation, in hours.",
        _table(("candidate", "before", "after"), _candidates(before.facts, after.facts)),
        "### Estimates",
        _table(
            ("product", "orders placed", "before", "after", "change"), _estimates(before, after)
        ),
    ]
    return "\n\n".join(parts) + "\n"


def run_demo(checkout: Path, orders: Sequence[tuple[str, float]]) -> Demo:
    """Train on the newest sample week of a checkout, and ask the model.

    Args:
        checkout: with code and weeks; the model stays there.
        orders: to ask about, beside some of each product that the model knows.
    """
    command = [sys.executable, "-m", "pipeline.train_model"]
    done = subprocess.run(command, cwd=checkout, env=ENVIRONMENT, capture_output=True, text=True)
    verdict = VERDICTS.get(done.returncode, f"failed with exit code {done.returncode}")
    if done.returncode != 0:
        log = done.stdout + done.stderr
        return Demo(verdict, log, {}, {})
    with _service(checkout) as url:
        facts = _ask(f"{url}/api/v0.1/model")["lineage"]
        asked = dict.fromkeys([*orders, *_some_orders(url)])
        answers = {order: _estimate(url, order) for order in asked}
    return Demo(verdict, "", facts, {o: hours for o, hours in answers.items() if hours is not None})


def object_changes(old: Path, new: Path) -> str:
    """Return in Markdown how the objects of each overlay differ."""
    overlays = {
        path.parent.name
        for checkout in (old, new)
        for path in checkout.glob("deploy/overlays/*/kustomization.yaml")
    }
    parts = ["## Objects on Kubernetes"]
    for overlay in sorted(overlays):
        before, after = (_rendered(at / "deploy" / "overlays" / overlay) for at in (old, new))
        lines = list(unified_diff(before, after, "before", "after", lineterm=""))
        cut = [f"… and {len(lines) - MAX_DIFF_LINES} lines more"][: len(lines) > MAX_DIFF_LINES]
        shown = "\n".join(["```diff", *lines[:MAX_DIFF_LINES], *cut, "```"])
        parts += [f"### {overlay}", shown if lines else "Nothing changes."]
    return "\n\n".join(parts) + "\n"


def _rendered(overlay: Path) -> list[str]:
    if not overlay.is_dir():
        return []
    command = ["kubectl", "kustomize", str(overlay)]
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stderr if done.returncode else done.stdout).splitlines()


@contextmanager
def _service(checkout: Path) -> Iterator[str]:
    """Serve the model of a checkout, and yield the URL."""
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pipeline.serve_model", "--port", str(port)]
    environment = ENVIRONMENT | {"TTD_DRAIN_SECONDS": "0", "TTD_LOG_LEVEL": "WARNING"}
    with subprocess.Popen(command, cwd=checkout, env=environment) as service:
        try:
            _wait_for(f"http://127.0.0.1:{port}/readyz", service)
            yield f"http://127.0.0.1:{port}"
        finally:
            service.terminate()


def _wait_for(url: str, service: "subprocess.Popen[bytes]") -> None:
    """Wait until a service is ready; end the process if it ends, or takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while service.poll() is None and time.monotonic() < deadline:
        try:
            HTTP.open(url, timeout=PATIENCE_SECONDS).close()
            return
        except OSError:  # URLError is one, too
            time.sleep(0.1)
    sys.exit(f"make change-summary: error: nothing is ready at {url}; the lines above say why.")


def _ask(url: str, body: Mapping[str, Any] | None = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    request = Request(url, content, {"content-type": "application/json"})  # noqa: S310
    with HTTP.open(request, timeout=PATIENCE_SECONDS) as answer:
        return json.load(answer)


def _some_orders(url: str) -> Orders:
    """Return orders of the first products: the fewest, some, and the most that were seen."""
    products = _ask(f"{url}/api/v0.2/products?limit={MAX_PRODUCTS}")["products"]
    ranges = [(one["product_code"], one["least_orders"], one["most_orders"]) for one in products]
    return [
        (code, count) for code, least, most in ranges for count in (least, (least + most) / 2, most)
    ]


def _estimate(url: str, order: tuple[str, float]) -> float | None:
    """Return an estimate in hours, or None if the model does not know the product."""
    body = dict(zip(("product_code", "orders_placed"), order, strict=True))
    try:
        return float(_ask(f"{url}/api/v0.1/time_to_dispatch", body)["est_hours_to_dispatch"])
    except HTTPError:
        return None


def _weeks(checkout: Path) -> list[tuple[str, bytes]]:
    return sorted((path.name, path.read_bytes()) for path in checkout.glob("data/datasets/*"))


def _told(*names: str) -> Any:
    """Return what finds a fact by the names that lead to it, and writes it."""

    def told(facts: Any) -> str:
        for name in names:
            facts = facts.get(name) if isinstance(facts, Mapping) else None
        return "–" if facts is None else f"{facts:.4g}" if isinstance(facts, float) else str(facts)

    return told


FACTS = {
    "dataset": _told("dataset", "key"),
    "rows": _told("dataset", "rows"),
    "regressor": _told("regressor"),
    "R²": _told("metrics", "r_squared"),
    "mean absolute error in hours": _told("metrics", "mean_absolute_error_hours"),
    "level of the interval": _told("interval", "level"),
}


def _candidates(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, ...]]:
    errors = [
        {
            each["name"]: f"{each['mean_absolute_error_hours']:.3f}" + " (chosen)" * each["chosen"]
            for each in facts.get("candidates", ())
        }
        for facts in (before, after)
    ]
    names = dict.fromkeys([*errors[0], *errors[1]])
    return [(name, *(each.get(name, "–") for each in errors)) for name in names]


def _estimates(before: Demo, after: Demo) -> list[tuple[str, ...]]:
    rows = []
    for order in sorted({*before.estimates, *after.estimates}):
        hours = [demo.estimates.get(order) for demo in (before, after)]
        known = [each for each in hours if each is not None]
        change = f"{known[1] - known[0]:+.2f}" if len(known) == 2 else "–"
        shown = ("–" if each is None else f"{each:.2f}" for each in hours)
        rows.append((order[0], f"{order[1]:g}", *shown, change))
    return rows


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
