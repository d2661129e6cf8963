"""`make demo` and the README: what it promises is what happens."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.helpers import ROOT

pytestmark = pytest.mark.documents

VARIABLE_PARTS = re.compile(
    r"(?<=time_to_dispatch_)[0-9T-]+_[0-9a-f]{16}|(?<=127\.0\.0\.1:)\d+|(?<=--port )\d+"
)
COMMANDS = re.compile(r"(?:^|`)make ([a-z -]+)", re.MULTILINE)


@pytest.mark.system
def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for folder in ("pipeline", "examples", "data/datasets"):
        shutil.copytree(ROOT / folder, checkout / folder)
    # Neither settings of the shell nor a proxy may lead the demo away from the sample store.
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout),
        "TTD_STORE": str(tmp_path / "production"),
        "http_proxy": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "examples.demo"]

    demo = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)

    assert demo.returncode == 0, demo.stderr
    readme = (ROOT / "README.md").read_text()
    (shown,) = re.findall(r"```text\n\$ make demo\n(.*?)```", readme, flags=re.DOTALL)
    assert VARIABLE_PARTS.sub("…", demo.stdout) == VARIABLE_PARTS.sub("…", shown)
    (report,) = re.findall(r"data/reports/\S+", demo.stdout)
    assert (checkout / report).is_file()


def test_the_makefile_has_the_targets_that_the_documents_name() -> None:
    (targets,) = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = {
        target: path.name
        for path in (*ROOT.glob("*.md"), *ROOT.glob("[b-t]*/**/*.md"))
        for words in COMMANDS.findall(path.read_text())
        for target in words.split()
    }

    assert {"demo", "test", "week", "deploy"} <= named.keys()
    assert {name: page for name, page in named.items() if name not in targets.split()} == {}
