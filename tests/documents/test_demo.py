"""`make demo` and the README: what it promises is what happens."""

import re
from pathlib import Path

import pytest

from tests.support.helpers import ROOT
from tools.live_reference import demo

COMMANDS = re.compile(r"(?:^|`)make ([a-z -]+)", re.MULTILINE)


def test_the_demo_prints_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither settings of the shell nor a proxy lead it away from the sample store."""
    monkeypatch.setenv("TTD_STORE", str(tmp_path / "production"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")

    assert demo() in (ROOT / "README.md").read_text()


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
