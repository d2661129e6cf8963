"""Processes that may do as little as a careful cluster lets them do, by bubblewrap."""

import shutil
import subprocess
from collections.abc import Sequence

import pytest

READ_ONLY = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc")


def confined(*command: str) -> Sequence[str]:
    """Return a command that runs another as a user who is not root, in a read-only file system.

    It has no capabilities and can get none.
    """
    return bubblewrap(
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--uid", "1000", "--gid", "1000"),
        *("--cap-drop", "ALL", "--new-session", "--die-with-parent", "--", *command),
    )


def bubblewrap(*options: str) -> list[str]:
    """Return what runs a command in a read-only file system.

    The test is skipped where the kernel does not let users make namespaces, as in most containers.

    Args:
        options: of bubblewrap, and after `--` the command.
    """
    program = shutil.which("bwrap")
    if program is None:
        pytest.fail("There is no bwrap on PATH: run `make tools`.")
    confinement = [program, *READ_ONLY, *options[: options.index("--") + 1]]
    trial = subprocess.run([*confinement, "true"], capture_output=True, text=True)
    if trial.returncode != 0:
        pytest.skip(f"This machine lets nobody make namespaces: {trial.stderr.strip()}")
    return [program, *READ_ONLY, *options]
