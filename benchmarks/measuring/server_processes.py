"""Servers in processes of their own: their start, processor time, memory and end."""

import http.client
import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import psutil

from benchmarks.measuring.measured_process import ENVIRONMENT, ROOT
from benchmarks.measuring.process_figures import descendants, processor_seconds, resident_mib

HOST = "127.0.0.1"
PORT = "{port}"
"""Stands for the port in a command and in the environment."""
PORTS = iter(range(20_000, 30_000))
POLL_SECONDS = 0.003
START_TIMEOUT_SECONDS = 600.0
STOP_TIMEOUT_SECONDS = 15.0
MAX_LOG_LINES = 5


class ServerFailure(Exception):
    """A server did not start, or did not answer; says why."""


class Server(NamedTuple):
    """How to start a server.

    Attributes:
        command: with `PORT` where its port belongs.
        environment: besides that of this process, without settings of the service; `PORT` stands
            for the port here as well.
        folder: to start it in.
        on_one_core: whether it may use only one of the processors.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = {}
    folder: Path = ROOT
    on_one_core: bool = False


class Question(NamedTuple):
    """A request whose answer shows that a server works.

    Attributes:
        path: of the URL.
        headers: besides those of any request.
        body: JSON.
    """

    path: str
    headers: Mapping[str, str]
    body: str


class RunningServer:
    """A started server.

    Attributes:
        port: that it listens on.
        process: its process.
        started_at: when the process was started, by `time.perf_counter`.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, started_at: float, log: IO[bytes]
    ) -> None:
        """Remember what `running` has started."""
        self.port = port
        self.process = process
        self.started_at = started_at
        self._log = log

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://{HOST}:{self.port}{path}"

    def first_answer(self, question: Question, seconds: float = START_TIMEOUT_SECONDS) -> Any:
        """Ask every few milliseconds until there is an answer with status 200; return its JSON.

        Raises:
            ServerFailure: the server ended, or there is no such answer in time.
        """
        last = "It never opened its port."
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                code = self.process.returncode
                raise ServerFailure(f"It ended with exit code {code}. {self.last_words()}")
            try:
                status, answer = ask(self.port, question)
            except (OSError, http.client.HTTPException):
                time.sleep(POLL_SECONDS)
                continue
            if status == 200:
                return json.loads(answer)
            last = f"It answers {status}: {answer[:200].decode(errors='replace')}"
            time.sleep(POLL_SECONDS)
        raise ServerFailure(f"No prediction within {seconds:.0f} s. {last} {self.last_words()}")

    def last_words(self) -> str:
        """Return the last lines that the server wrote."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return " | ".join(lines[-MAX_LOG_LINES:])

    def processor_seconds(self) -> float:
        """Return the processor time that the process and its descendants have taken so far."""
        return processor_seconds(self.process.pid)

    def resident_mib(self) -> float:
        """Return the resident memory of the process and its descendants."""
        return resident_mib(self.process.pid)


@contextmanager
def running(server: Server) -> Iterator[RunningServer]:
    """Start a server on a free port, and stop it and its descendants at the end."""
    port = free_port()
    command = [part.replace(PORT, str(port)) for part in server.command]
    variables = {n: text.replace(PORT, str(port)) for n, text in server.environment.items()}
    environment = {**ENVIRONMENT, **variables}
    with tempfile.TemporaryFile() as log:
        started_at = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=server.folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        if server.on_one_core:
            psutil.Process(process.pid).cpu_affinity([min(psutil.Process().cpu_affinity())])
        try:
            yield RunningServer(process, port, started_at, log)
        finally:
            _stop(process)


def ask(port: int, question: Question) -> tuple[int, bytes]:
    """Return status and body of the answer to one request on a connection of its own.

    Raises:
        OSError, http.client.HTTPException: nobody answers.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=START_TIMEOUT_SECONDS)
    try:
        headers = {"Content-Type": "application/json", **question.headers}
        connection.request("POST", question.path, question.body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def free_port() -> int:
    """Return a port that nobody listens on, and another one each time.

    It is below those that systems give to clients: between this call and the start of a server, one
    of the many connections could take it.
    """
    for port in PORTS:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ServerFailure("There is no free port left.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process as its users would, and whatever it leaves behind without mercy."""
    left_behind = descendants(process.pid)
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for member in left_behind:
        with suppress(psutil.NoSuchProcess):
            member.kill()
