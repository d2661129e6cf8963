"""The documents as a site: MkDocs builds it, and no link is dead."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.helpers import ROOT

REPOSITORY = "https://github.com/user/name"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Copy what the site is made of and what its documents link to."""
    documents = [*ROOT.glob("*.md"), *ROOT.glob("[!.]*/README.md"), *ROOT.glob("[!.]*/*/README.md")]
    for path in (ROOT / "mkdocs.yml", ROOT / "tools" / "outside_links.py", *documents):
        target = tmp_path / "project" / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    shutil.copytree(ROOT / "docs", tmp_path / "project" / "docs", dirs_exist_ok=True)
    return tmp_path / "project"


def built(project: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Build the site; `--quiet` would let dead links pass."""
    command = [sys.executable, "-m", "mkdocs", "build"]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


def add_to_index(project: Path, text: str) -> None:
    with (project / "docs" / "index.md").open("a") as index:
        index.write(f"\n{text}\n")


def test_every_document_is_a_page_that_loads_nothing_from_elsewhere(project: Path) -> None:
    site = built(project, REPOSITORY_URL=REPOSITORY)
    assert site.returncode == 0, site.stderr

    pages = {path: path.read_text() for path in (project / "site").rglob("*.html")}
    documents = len(list((project / "docs").rglob("*.md")))
    assert len(pages) == documents + 1, "each document, and the page for what is not found"
    for path, page in pages.items():
        loaded = re.findall(r'<(?:script|img)[^>]*src="([^"]+)|<link[^>]*href="([^"]+)', page)
        assert [urls for urls in loaded if any("//" in url for url in urls)] == [], path
    index = pages[project / "site" / "index.html"]
    assert f'href="{REPOSITORY}/blob/HEAD/benchmarks/README.md"' in index
    assert 'href="how-to/refused_weeks/"' in index


def test_without_a_repository_the_words_of_an_outside_link_remain(project: Path) -> None:
    add_to_index(project, "See [it all](../benchmarks/README.md#a), not `[this](../mkdocs.yml)`.")
    site = built(project)

    assert site.returncode == 0, site.stderr
    index = (project / "site" / "index.html").read_text()
    assert "See it all, not <code>[this](../mkdocs.yml)</code>." in index


def test_each_dead_link_is_told_and_ends_the_build(project: Path) -> None:
    dead = [
        "how-to/no_such_page.md",
        "../no_such_file.md",
        "../../project/../outside.md",
        "how-to/refused_weeks.md#no-such-heading",
        "/how-to/refused_weeks.md",
    ]
    (project.parent / "outside.md").write_text("# Not of the project\n")
    add_to_index(project, "\n".join(f"[a dead link]({target})" for target in dead))
    site = built(project, REPOSITORY_URL=REPOSITORY)

    assert site.returncode == 1
    told = [line for line in site.stderr.splitlines() if line.startswith("WARNING")]
    for target in dead:
        assert any("index.md" in line and f"'{target}" in line for line in told), target
    assert len(told) == len(dead)
