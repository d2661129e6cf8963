"""The same week, code and pins give the same artifact, to the byte."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.helpers import ROOT

pytestmark = pytest.mark.system


def artifact_of(store: Path, hash_seed: str) -> Path:
    """Train in a process of its own, whose sets have an order of their own."""
    subprocess.run(
        [sys.executable, "-m", "pipeline.train_model", str(store)]
        + ["--trained-at", "2026-11-23T18:49:11Z"],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
    )
    (artifact,) = (store / "models").iterdir()
    return artifact


def test_two_trainings_give_the_same_bytes(sample_store: Path, tmp_path: Path) -> None:
    other_store = shutil.copytree(sample_store, tmp_path / "other")

    # With these seeds, skl2onnx names its sets of operators in different order.
    first, second = artifact_of(sample_store, "0"), artifact_of(other_store, "7")

    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
