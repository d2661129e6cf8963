"""The licences of what is installed with the pipeline, as their packages tell them.

cog writes them into `docs/reference/licences.md`, so that a licence that changes is seen in a diff,
and one that nobody has judged fails the static analysis.
"""

import re
from collections.abc import Iterator
from importlib.metadata import PackageMetadata, metadata
from pathlib import Path

from packaging.requirements import Requirement

from tools.reference import table

PINS = Path(__file__).resolve().parents[1] / "requirements_pipe.txt"
CLASSIFIER = "License :: OSI Approved :: "
PERMISSIVE = re.compile(r"\b(MIT|BSD|Apache|PSF|Python Software Foundation)\b")
"""Licences that ask for nothing but to be named."""


def licences() -> str:
    """Return the table of the packages that are pinned for this machine, and their licences."""
    rows = []
    for name in _pinned():
        rows.append([f"`{name}`", licence_of(metadata(name))])
    return table("package | licence", rows)


def _pinned() -> Iterator[str]:
    for line in PINS.read_text().splitlines():
        if re.match(r"\w", line):
            requirement = Requirement(line.rstrip(" \\"))
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement.name


def licence_of(package: PackageMetadata) -> str:
    """Return the licence of a package, by the newest of the fields in which it may tell it.

    Raises:
        SystemExit: it tells none, or one that asks for more than to be named.
    """
    classifiers = package.get_all("Classifier") or []
    judged = [text.removeprefix(CLASSIFIER) for text in classifiers if CLASSIFIER in text]
    first_line = (package["License"] or "").split("\n")[0]
    licence: str = package["License-Expression"] or ", ".join(judged) or first_line
    if "GPL" in licence or not PERMISSIVE.search(licence):
        raise SystemExit(
            f"Cannot list the licence of {package['Name']}: {licence or 'it tells none'}. "
            "Judge it, and take it into PERMISSIVE in tools/licences.py, or take another package."
        )
    return licence
