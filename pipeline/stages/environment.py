"""What the results of this process depend on, beside its data: code, Python and libraries."""

import hashlib
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGES = ("numpy", "pandas", "pyarrow", "scikit-learn", "scipy")
PIPELINE = Path(__file__).resolve().parents[1]
CODE = "code of the pipeline"


def environment() -> Mapping[str, str]:
    """Return the version of each, by its name; that of our code is a hash of its files."""
    versions = {package: metadata.version(package) for package in PACKAGES}
    return {CODE: _code_sha256()[:12], "Python": platform.python_version(), **versions}


def differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> Sequence[str]:
    """Return what is of another version in another process: `pandas 3.0.0 instead of 3.1.1`."""
    return [
        f"{name} {theirs.get(name)} instead of {version}"
        for name, version in ours.items()
        if theirs.get(name) != version
    ]


@cache
def _code_sha256() -> str:
    digest = hashlib.sha256()
    for path in sorted(PIPELINE.rglob("*.py")):
        digest.update(f"{path.relative_to(PIPELINE)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
