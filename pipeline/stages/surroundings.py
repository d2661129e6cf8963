"""What a process has to find before a stage loads: its commit, libraries, a clock, folders, memory.

Libraries look for most of these while they load, and would end the process with a traceback.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CODE = Path(__file__).resolve().parents[2]
COMMIT_VARIABLE = "GIT_COMMIT_HASH"
"""Bodywork sets it in every stage of a deployment, to the hash of the commit, perhaps shortened."""
MIN_TRAINING_BYTES = 700 * 10**6
"""What the libraries of the training ask the system for; half of that is never used."""


def refuse_poor_surroundings(trains: bool = False) -> None:
    """End the process with exit code 1, and a line for each thing that is missing.

    Args:
        trains: whether a model is to be trained, which takes more.
    """
    faults = [*_faults(), *(_training_faults() if trains else ())]
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if faults:
        sys.exit(1)


def refuse_missing_requirements(extra: str) -> None:
    """End the process with exit code 1 and a line, if a deployed commit requires other libraries.

    The image holds them and Bodywork clones the code, so they may be of different commits. A wheel
    is installed with what it requires, and other checkouts are people's own business.

    Args:
        extra: of `pyproject.toml`, which the stage needs.
    """
    commit = _deployed_commit()
    if commit is None:
        return
    project = tomllib.loads((CODE / "pyproject.toml").read_text())["project"]
    lacking = list(_lacking([*project["dependencies"], *project["optional-dependencies"][extra]]))
    if lacking:
        print(
            f"error: This image lacks what commit {commit} requires: {', '.join(lacking)}. Build "
            "it from that commit (make image push-image IMAGE=…), and deploy with it (IMAGE=…).",
            file=sys.stderr,
        )
        sys.exit(1)


def _lacking(requirements: list[str]) -> Iterator[str]:
    """Yield each requirement that is not met, and what is there instead."""
    from packaging.requirements import Requirement  # ours only through others

    for requirement in map(Requirement, requirements):
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield f"{requirement} (it has none)"
        else:
            if not requirement.specifier.contains(found, prereleases=True):
                yield f"{requirement} (it has {found})"


def _faults() -> Iterator[str]:
    try:
        time.time()
    except OverflowError:
        yield "The clock is beyond April 2262, which Python cannot tell: set it right."
    try:
        os.getcwd()
    except OSError as error:
        yield f"There is no working directory ({error.strerror}): start in one that exists."
    yield from _commit_faults()


def _deployed_commit() -> str | None:
    """Return the commit that is named, if the code is a checkout, which may be of another."""
    named = os.environ.get(COMMIT_VARIABLE)
    return named if named and (CODE / ".git").exists() else None


def _commit_faults() -> Iterator[str]:
    """Yield what is wrong if the code is a checkout of another commit than is named."""
    named = _deployed_commit()
    if named is None:
        return
    try:
        # Nothing of it comes from outside, and Git is where the system has it.
        asked = subprocess.run(  # noqa: S603
            ["git", "-C", str(CODE), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
        )
    except OSError as error:
        yield f"Git could not be asked for the commit that {COMMIT_VARIABLE} names: {error}."
        return
    found = asked.stdout.strip() or f"unknown ({asked.stderr.strip()})"
    if not found.startswith(named):
        yield (
            f"{COMMIT_VARIABLE} is {named}, but the code is of commit {found}: deploy again, "
            "with the image of the Dockerfile, whose Git checks out the commit that was deployed."
        )


def _training_faults() -> Iterator[str]:
    try:
        tempfile.gettempdir()
    except OSError:
        yield "No folder for temporary files can be written to: set TMPDIR to one that can."
    for limit, option in (resource.RLIMIT_DATA, "-d"), (resource.RLIMIT_AS, "-v"):
        most, _ = resource.getrlimit(limit)
        if 0 <= most < MIN_TRAINING_BYTES:
            yield (
                f"This process may have {most // 10**6:,} MB of memory (ulimit {option}), and the "
                f"training asks for {MIN_TRAINING_BYTES // 10**6:,} MB: raise the limit."
            )
