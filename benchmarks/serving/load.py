"""Load on a server: wrk, from a process of its own, with requests drawn at random."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).with_name("wrk_predictions.lua")
CONNECTIONS = 16
HOW_TO_INSTALL = "There is no wrk, which sends the requests. Install it: apt-get install wrk"
ANSWER_TIMEOUT_SECONDS = 10


class Load(NamedTuple):
    """What came of some seconds of requests.

    Attributes:
        requests: that were answered.
        seconds: for which requests were sent.
        p50_ms: median time from a request to the end of its answer.
        p99_ms: what 99 % of these times stay below.
        max_ms: longest of these times.
        refused: answers with a status of 400 or more.
        unconnected: connections that could not be opened.
        unread: answers that broke off.
        unwritten: requests that could not be sent.
        timed_out: answers that took longer than `ANSWER_TIMEOUT_SECONDS`.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    unconnected: int
    unread: int
    unwritten: int
    timed_out: int

    @property
    def rate(self) -> float:
        """Requests that were answered each second."""
        return self.requests / self.seconds

    def faults(self) -> dict[str, int]:
        """Return how often each thing went wrong, if it did; any makes the figures invalid."""
        names = ("refused", "unconnected", "unread", "unwritten", "timed_out")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


class Requests(NamedTuple):
    """Requests that wrk can send.

    Attributes:
        url: what they go to.
        headers: of each request, besides those that wrk adds.
        bodies: file with one body a line; each request has one of them, drawn at random.
    """

    url: str
    headers: Mapping[str, str]
    bodies: Path


def wrk_is_missing() -> bool:
    """Whether there is nothing to send requests with."""
    return shutil.which("wrk") is None


@contextmanager
def bodies_file(bodies: Sequence[str]) -> Iterator[Path]:
    """Write bodies to a file that is removed at the end."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(f"{body}\n" for body in bodies)
        file.flush()
        yield Path(file.name)


def send(requests: Requests, seconds: int, connections: int = CONNECTIONS, seed: int = 0) -> Load:
    """Send requests without pause for some seconds, and wait for the end.

    Args:
        requests: what to send.
        seconds: for how long.
        connections: that are kept open; each sends its next request after the last answer.
        seed: of the order in which bodies are drawn.
    """
    command = wrk_command(requests, seconds, connections, seed)
    finished = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return read_load(finished.stdout)


def read_load(output: str) -> Load:
    """Return what wrk told at its end."""
    return Load(**json.loads(output.splitlines()[-1]))


def wrk_command(requests: Requests, seconds: int, connections: int, seed: int) -> list[str]:
    """Return the command line for one thread of wrk."""
    options = ["--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    options += ["--timeout", f"{ANSWER_TIMEOUT_SECONDS}s", "--script", str(SCRIPT)]
    for name, value in requests.headers.items():
        options += ["--header", f"{name}: {value}"]
    return ["wrk", *options, requests.url, "--", str(requests.bodies), str(seed)]
