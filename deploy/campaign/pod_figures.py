"""What is measured of a deployment, and the table of it."""

import re
from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import Any

MIB = 1024 * 1024
PORT_IS_OPEN = "Uvicorn running on"
GOALS = {
    "deployment from nothing, s": 60.0,
    "redeployment, s": 35.0,
    "container start to open port, s": 6.0,
    "failed requests in a redeployment": 0.0,
    "memory of a pod, MiB": 200.0,
}
"""What is measured, and the most that it should be with Bodywork."""
FROM_NOTHING, REDEPLOYMENT, START, FAILED, MEMORY = GOALS
PLAIN_GOALS = {FROM_NOTHING: 40.0, REDEPLOYMENT: 20.0, START: 5.0, FAILED: 0.0, MEMORY: 130.0}
"""The same without Bodywork."""


def start_seconds(pod: Mapping[str, Any], log: str) -> float:
    """Return how long a pod's container took to open its port.

    Kubernetes tells the start in whole seconds, rounded down: this is up to a second too long.

    Args:
        pod: as Kubernetes describes it.
        log: of its container, with a timestamp before each line.
    """
    (status,) = pod["status"]["containerStatuses"]
    started = _moment(status["state"]["running"]["startedAt"])
    (line,) = [line for line in log.splitlines() if PORT_IS_OPEN in line]
    return (_moment(line.split()[0]) - started).total_seconds()


def memory_mib(summary: Mapping[str, Any], names: Container[str]) -> list[float]:
    """Return the working sets of pods in MiB, as far as a node knows them.

    Args:
        summary: of a node's kubelet.
        names: of the pods.
    """
    return [
        sum(container["memory"]["workingSetBytes"] for container in pod["containers"]) / MIB
        for pod in summary["pods"]
        if pod["podRef"]["name"] in names
    ]


def table(figures: Mapping[str, float], goals: Mapping[str, float], remarks: Sequence[str]) -> str:
    """Return the figures beside their goals, in Markdown."""
    rows = [
        f"| {name} | {figures[name]:.4g} | {goal:g} |"
        for name, goal in goals.items()
        if name in figures
    ]
    lines = ["| figure | measured | at most |", "|---|---|---|", *rows, *("", *remarks)]
    return "\n".join(lines)


def _moment(text: str) -> datetime:
    """Return a moment of Kubernetes, which may have nanoseconds."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
