"""Whether each Python makes the same artifact of the sample week, to the byte: `make reproduce`.

Each gets the pinned requirements and another hash seed. The Pythons that uv finds on this machine
are taken, or those whose versions or paths are given. What may differ between machines is told in
docs/decisions/0040-artifacts-that-harm-nobody.md.
"""

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
TRAINED_AT = "2026-11-23T18:49:11Z"


def artifact_of(python: str, hash_seed: int) -> bytes:
    """Train on the sample week with a Python, and return the bytes of the artifact."""
    with TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        shutil.copytree(ROOT / "data" / "datasets", store / "datasets")
        subprocess.run(
            ["uv", "run", "--quiet", "--no-project", "--isolated", "--no-python-downloads"]
            + ["--python", python]
            + ["--with-requirements", str(ROOT / "requirements_pipe.txt")]
            + ["python", "-m", "pipeline.train_model", str(store), "--trained-at", TRAINED_AT]
            + ["--log-level", "WARNING"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)},
            check=True,
        )
        (path,) = (store / "models").iterdir()
        return path.read_bytes()


def main() -> int:
    """Print the hash of each artifact; return 1 if they differ."""
    hashes = set()
    for seed, python in enumerate(sys.argv[1:] or PYTHONS):
        hashes.add(found := sha256(artifact_of(python, seed)).hexdigest())
        print(f"Python {python}: {found}", flush=True)
    return len(hashes) - 1


if __name__ == "__main__":
    sys.exit(main())
