"""The instructions of the how-to pages, carried out on a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.helpers import ROOT

COPIED_FOLDERS = ["pipeline", "tests"]
COPIED_FILES = ["pyproject.toml", "mypy.ini", "flake8.ini"]
STATIC_ANALYSIS = [
    ("ruff", "format", "--check", "pipeline"),
    ("ruff", "check", "pipeline"),
    ("lint-imports", "--no-cache"),
    ("flake8", "--config", "flake8.ini", "pipeline"),
    ("mypy", "--config-file", "mypy.ini", "pipeline"),
]
"""What `make static` runs on the code of the pipeline."""


def page(name: str) -> str:
    """Return the text of a how-to page."""
    return (ROOT / "docs" / "how-to" / f"{name}.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def carry_out(text: str, folder: Path) -> list[str]:
    """Copy the project into a folder, apply the patches of a page, and return the changed files."""
    for name in COPIED_FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in COPIED_FILES:
        shutil.copy2(ROOT / name, folder)
    patch = "".join(blocks(text, "diff"))
    outside_of_git = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    command = ["git", "apply", "-"]
    subprocess.run(command, cwd=folder, env=outside_of_git, input=patch, text=True, check=True)
    return re.findall(r"^\+\+\+ b/(.+)$", patch, flags=re.MULTILINE)


def complaints_of_static_analysis(folder: Path) -> list[str]:
    """Return what the static analysis says of a copy of the project, tool by tool."""
    cache = ROOT / ".mypy_cache"
    if cache.is_dir():
        shutil.copytree(cache, folder / ".mypy_cache")
    return [
        done.stdout + done.stderr
        for tool, *arguments in STATIC_ANALYSIS
        if (done := run(folder, _installed(tool), *arguments)).returncode
    ]


def run(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder, and return what it said."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def run_python(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a folder, and return what it said."""
    return run(folder, sys.executable, *arguments)


def _installed(tool: str) -> str:
    return str(Path(sys.executable).with_name(tool))
