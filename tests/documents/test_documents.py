"""The documents as a site: Zensical builds it, no link is dead, and pages are near."""

import re
from pathlib import Path

import pytest

from tests.support.site import REPOSITORY, built, copy_of_documents

LOADED = re.compile(r'<(?:script|img)[^>]*\ssrc="?([^"\s>]+)|<link[^>]*\shref="?([^"\s>]+)')
LINK = re.compile(r'<a\s[^>]*href="?([^"\s>#]+)')


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_of_documents(tmp_path / "project")


def add_to_index(project: Path, text: str) -> None:
    with (project / "docs" / "index.md").open("a") as index:
        index.write(f"\n{text}\n")


def linked_from(page: Path, pattern: re.Pattern[str] = LINK) -> set[Path]:
    """Return the files of the site that a page leads to, whether they exist or not."""
    urls = {"".join(found) for found in pattern.findall(page.read_text())}
    files = [(page.parent / url).resolve() for url in urls if ":" not in url]
    return {file / "index.html" if file.is_dir() else file for file in files}


def test_every_document_is_a_page_that_loads_nothing_from_elsewhere(project: Path) -> None:
    code, told = built(project, REPOSITORY_URL=REPOSITORY)
    assert code == 0, told

    site = project / "site"
    pages = {path: path.read_text() for path in site.rglob("*.html")}
    documents = len(list((project / "docs").rglob("*.md")))
    assert len(pages) == documents + 1, "each document, and the page for what is not found"
    for path, page in pages.items():
        loaded = {"".join(found) for found in LOADED.findall(page)}
        assert [url for url in loaded if "//" in url and REPOSITORY not in url] == [], path
    index = site / "index.html"
    assert f'href="{REPOSITORY}/blob/HEAD/benchmarks/README.md"' in pages[index]
    assert site / "how-to" / "refused_weeks" / "index.html" in linked_from(index)


def test_every_page_is_within_two_clicks_and_every_file_is_there(project: Path) -> None:
    code, told = built(project)
    assert code == 0, told

    pages = set((project / "site").rglob("*.html")) - {project / "site" / "404.html"}
    leads_to = {page: linked_from(page) for page in pages}
    one_click = leads_to[project / "site" / "index.html"]
    two_clicks = set().union(*(leads_to[page] for page in one_click & pages))
    assert {str(page) for page in pages - one_click - two_clicks} == set()
    for page, links in leads_to.items():
        files = links | linked_from(page, LOADED)
        assert [str(file) for file in files if not file.is_file()] == [], page


def test_without_a_repository_the_words_of_an_outside_link_remain(project: Path) -> None:
    add_to_index(project, "See [it all](../benchmarks/README.md#a), not `[this](../mkdocs.yml)`.")
    code, told = built(project)

    assert code == 0, told
    index = (project / "site" / "index.html").read_text()
    assert "See it all, not <code>[this](../mkdocs.yml)</code>." in index


def test_each_dead_link_out_of_the_documents_is_told_and_ends_the_build(project: Path) -> None:
    dead = ["../no_such_file.md", "../../project/../outside.md", "/how-to/refused_weeks.md"]
    (project.parent / "outside.md").write_text("# Not of the project\n")
    add_to_index(project, "\n".join(f"[a dead link]({target})" for target in dead))
    code, told = built(project)

    assert (code, told.splitlines()) == (
        1,
        [f"docs/index.md links to '{target}', which the project does not have." for target in dead],
    )


def test_each_dead_link_between_documents_is_told_and_ends_the_build(project: Path) -> None:
    dead = ["how-to/no_such_page.md", "how-to/refused_weeks.md#no-such-heading"]
    add_to_index(project, "\n".join(f"[a dead link]({target})" for target in dead))
    code, told = built(project)

    assert code == 1
    assert len(re.findall(r"Warning: (?:page|anchor) does not exist", told)) == len(dead), told
