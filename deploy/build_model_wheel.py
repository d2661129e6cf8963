"""`make publish-model`: the newest model of a store as a wheel of its own, in `dist/`.

Its version is the time of the training, `2026.11.20.231502`, so that a newer model is a newer
version. It holds the model and its report, and nothing that runs: `ttd-serve
package:time-to-dispatch-model` serves it. The same model makes the same bytes.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.build_wheel import DIST, ROOT, TIME_OF_ALL_FILES
from pipeline.model.artifact import REPORTS
from pipeline.model.reader import newest_model_key, read_artifact
from pipeline.stages.errors import ObjectMissing, PipelineError
from pipeline.stores.base import ObjectStore, open_store

PACKAGE = "time_to_dispatch_model"
PROJECT = """\
[build-system]
requires = ["setuptools==84.2.1"]
build-backend = "setuptools.build_meta"

[project]
name = "time-to-dispatch-model"
version = "{version}"
description = "{name}, a model of time-to-dispatch"
readme = "README.md"
requires-python = ">=3.11"
classifiers = ["Private :: Do Not Upload"]

[tool.setuptools]
packages = ["{package}"]
package-data = {{{package} = ["*/*"]}}
"""
README = """\
# {name}

Trained on {dataset}. Serve it with `ttd-serve package:time-to-dispatch-model`.
"""


def main(arguments: Sequence[str]) -> int:
    """Build the wheel, the only one in `dist/` then, and return the exit code.

    Args:
        arguments: the store, or nothing for the sample store.
    """
    (url,) = arguments or ("data",)
    try:
        with TemporaryDirectory() as folder:
            _write_project(open_store(url), Path(folder))
            return _build(Path(folder))
    except PipelineError as error:
        print(f"make publish-model: error: {error}", file=sys.stderr)
        return 1


def version_of(trained_at: datetime) -> str:
    """Return the version of a model's package, in which numbers have no leading zeros."""
    return f"{trained_at:%Y}.{trained_at.month}.{trained_at.day}.{int(f'{trained_at:%H%M%S}')}"


def _write_project(store: ObjectStore, folder: Path) -> None:
    """Write what setuptools makes a wheel of.

    Raises:
        PipelineError: there is no model, or it is not sound.
    """
    key = newest_model_key(store)
    content = store.read(key)
    model = read_artifact(key, content)
    facts = {"name": model.version, "package": PACKAGE, "dataset": model.metadata.dataset.key}
    version = version_of(model.metadata.trained_at)
    files = {
        "pyproject.toml": PROJECT.format(version=version, **facts).encode(),
        "README.md": README.format(**facts).encode(),
        f"{PACKAGE}/__init__.py": b"",
        f"{PACKAGE}/{key}": content,
    }
    report = f"{REPORTS}/{model.version}.html"
    try:
        files[f"{PACKAGE}/{report}"] = store.read(report)
    except ObjectMissing:
        print(f"The store has no {report}: the package goes without it.", file=sys.stderr)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)


def _build(folder: Path) -> int:
    for earlier in DIST.glob("*.whl"):
        earlier.unlink()
    command = ["uv", "build", "--quiet", "--wheel", "--python", sys.executable]
    environment = os.environ | {"SOURCE_DATE_EPOCH": TIME_OF_ALL_FILES}
    command += ["--out-dir", str(DIST), str(folder)]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
