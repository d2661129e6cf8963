"""Which commit of the code runs, as far as whoever started it has said so."""

import os

COMMIT_VARIABLE = "GIT_COMMIT_HASH"
"""Bodywork sets it in every stage of a deployment, to the short hash of the commit."""


def git_commit() -> str | None:
    """Return the commit that the environment names, or None if it names none."""
    return os.environ.get(COMMIT_VARIABLE) or None
