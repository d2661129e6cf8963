"""Processes that may do as little as a careful cluster lets them do, by bubblewrap."""

import shutil
import subprocess
from collections.abc import Sequence

import pytest


def confined(*command: str) -> Sequence[str]:
    """Return a command that runs another as a user who is not root, in a read-only file system.

    It has no capabilities and can get none. The test is skipped where the kernel does not let users
    make namespaces, as in most containers.
    """
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        pytest.fail("There is no bwrap on PATH: run `make tools`.")
    confinement = [
        *(bubblewrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--uid", "1000", "--gid", "1000"),
        *("--cap-drop", "ALL", "--new-session", "--die-with-parent", "--"),
    ]
    trial = subprocess.run([*confinement, "true"], capture_output=True, text=True)
    if trial.returncode != 0:
        pytest.skip(f"This machine lets nobody make namespaces: {trial.stderr.strip()}")
    return [*confinement, *command]
