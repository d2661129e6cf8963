"""What the writer and the reader of artifacts have agreed on: names inside and outside the file.

An artifact is one ONNX file under `models/`. It takes the fields of orders, gives estimated hours,
and carries its metadata as JSON in its metadata, and beside them, as columns, the products that it
knows, and its curves if it is made of curves. Its name holds the start of the training run and the
hash of its own bytes:
`time_to_dispatch_<timestamp>_<sha256>.onnx`.
"""

import hashlib
import re
from datetime import datetime

from pipeline.stores.timestamped_keys import NAME_PREFIX, format_timestamp

MODELS = "models"
"""The published models; the newest is served."""
REFUSED = "refused"
"""Models that did not pass the checks; nobody serves them."""
PUBLISHED = "published"
"""One object that says that there has been a model, so that none is missed unnoticed."""
PUBLISHED_KEY = f"{PUBLISHED}/first_model.txt"
REPORTS = "reports"
"""A page in HTML about each trained model, for people."""
NOT_PUBLISHED = "_not_published.txt"
"""End of the name of a note beside a report, that says why its model was not published after it."""
SUFFIX = ".onnx"

HOURS_OUTPUT = "est_hours_to_dispatch"
METADATA_KEY = "lineage"
CATALOGUE_KEY = "catalogue"
CURVES_KEY = "curves"
"""Of the plain tables of a regressor that is made of curves (see `curve_table`)."""

HASH_IN_NAME = re.compile(r"_([0-9a-f]{16})$")


def short_hash(content: bytes) -> str:
    """Return the first 16 hex digits of the SHA-256 of an artifact."""
    return hashlib.sha256(content).hexdigest()[:16]


def hash_of_version(version: str) -> str:
    """Return the hash in the name of a model, or nothing if there is none."""
    found = HASH_IN_NAME.search(version)
    return found[1] if found else ""


def artifact_version(trained_at: datetime, content: bytes) -> str:
    """Return the name that a model has, which is that of its artifact without folder and suffix."""
    return f"{NAME_PREFIX}_{format_timestamp(trained_at)}_{short_hash(content)}"


def artifact_key(folder: str, trained_at: datetime, content: bytes) -> str:
    """Return the key that an artifact has in a folder."""
    return f"{folder}/{artifact_version(trained_at, content)}{SUFFIX}"
