"""Which version of the pipeline runs: that of its checkout, or of the package that is installed."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = "time-to-dispatch"
VERSION_FILE = Path(__file__).resolve().parents[2] / "VERSION"
"""Of a checkout, and of an image; an installed package has its metadata instead."""


@cache
def package_version() -> str | None:
    """Return the version, or None where neither the file nor the package's metadata are."""
    if VERSION_FILE.is_file():
        return VERSION_FILE.read_text().strip()
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return None
