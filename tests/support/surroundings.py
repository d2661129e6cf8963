"""Stages as processes in poor surroundings: read-only disks and small ones, limits, clocks."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.helpers import ROOT
from tests.support.sandbox import bubblewrap

Result = subprocess.CompletedProcess[str]


def command(entry: str, *arguments: str) -> list[str]:
    """Return what starts a stage as its installed command does."""
    code = f"import sys; from pipeline.stage_commands import {entry}; sys.exit({entry}())"
    return [sys.executable, "-P", "-c", code, *arguments]


def sandbox(*writable: Path, small: Path | None = None, size: int = 0) -> list[str]:
    """Return what runs a command with a root that is read-only.

    Args:
        writable: folders that are not.
        small: a folder that is empty, and writable until its disk is full.
        size: of that disk in bytes.
    """
    options: list[str] = []
    for folder in writable:
        options += ["--bind", str(folder), str(folder)]
    if small is not None:
        options += ["--size", str(size), "--tmpfs", str(small)]
    return bubblewrap(*options, "--")


def limited(**limits: int) -> list[str]:
    """Return what runs a command with limits of the system, such as `nofile`."""
    options = [f"--{name}={most}" for name, most in limits.items()]
    return [tool("prlimit"), *options, "--"]


def at_the_time(day: str) -> list[str]:
    """Return what runs a command with a clock that says it is another day.

    Times of files stay as they are, by which Python knows whether what it has compiled is good.
    """
    clock = [tool("faketime"), "--exclude-monotonic", "-f", f"@{day} 00:00:05"]
    return ["env", "NO_FAKE_STAT=1", *clock]


def tool(name: str) -> str:
    """Return the path of a program that the tests need."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"There is no {name}: run `make tools`.")
    return path


def environment(**variables: str) -> dict[str, str]:
    """Return an environment without HOME, TZ and all else that a person would have.

    Python keeps nothing that it compiles: on a full disk it would cut it off, for later processes.
    """
    bare = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "LANG": "C"}
    return bare | {"PYTHONDONTWRITEBYTECODE": "1"} | variables


def run(line: Sequence[str], cwd: Path = ROOT, **variables: str) -> Result:
    """Run a command to its end in a bare environment."""
    bare = environment(**variables)
    return subprocess.run(line, cwd=cwd, env=bare, capture_output=True, text=True, timeout=170)
