"""The documents as a site, made of a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.helpers import ROOT

REPOSITORY = "https://github.com/user/name"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Zensical paints what it says, to whomever."""


def copy_of_documents(folder: Path) -> Path:
    """Copy what the site is made of and what its documents link to, and return the copy."""
    documents = [*ROOT.glob("*.md"), *ROOT.glob("[!.]*/README.md"), *ROOT.glob("[!.]*/*/README.md")]
    for path in (ROOT / "mkdocs.yml", ROOT / "tools" / "outside_links.py", *documents):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    shutil.copytree(ROOT / "docs", folder / "docs", dirs_exist_ok=True)
    for linked in ("notebooks", "benchmarks", "tests", "deploy", "pipeline"):
        if not (folder / linked).exists():
            (folder / linked).symlink_to(ROOT / linked)
    return folder


def built(project: Path, **environment: str) -> tuple[int, str]:
    """Build the site as tox does, and return the exit code and what was told of it."""
    told = ""
    for module in (["tools.outside_links"], ["zensical", "build", "--clean", "--strict"]):
        done = subprocess.run(
            [sys.executable, "-m", *module],
            cwd=project,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        told += COLOURS.sub("", done.stdout + done.stderr)
        if done.returncode:
            return done.returncode, told
    return 0, told
