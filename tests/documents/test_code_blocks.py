"""Code in the documents runs, or says why it does not.

A block that no test runs stands below a comment, `<!-- not run: why -->`; below the title of a
page, the comment is for all its blocks. Blocks of text are output: where a test runs the page,
each of their lines is among what the commands before have printed, with … for anything.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.support.helpers import ROOT, free_port

pytestmark = pytest.mark.documents

TUTORIAL, ROLL_BACK = "docs/tutorial/index.md", "docs/how-to/roll_back.md"
CARRIED_OUT = {
    "docs/how-to/add_a_candidate.md": "tests/documents/test_how_to.py",
    "docs/how-to/add_a_feature.md": "tests/documents/test_how_to.py",
    "docs/how-to/call_the_api.md": "tests/documents/test_clients.py",
    TUTORIAL: "tests/documents/test_code_blocks.py",
    ROLL_BACK: "tests/documents/test_code_blocks.py",
}
"""The pages whose blocks run, and what runs them."""
BLOCK = re.compile(
    r"(?P<excuse>^ *<!-- not run: [^>]+ -->\n\s*)?"
    r"^ *```(?P<language>\w*)\n(?P<code>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
EXCUSED_PAGE = re.compile(r"\A# .+\n\n<!-- not run: [^>]+ -->\n")
OUTPUT = "text"


class Block(NamedTuple):
    """A fenced block of a page, and whether a comment says why it does not run."""

    language: str
    code: str
    excused: bool


@cache
def blocks_of(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    excused = EXCUSED_PAGE.match(text) is not None
    found = BLOCK.finditer(text)
    return [Block(m["language"], m["code"], excused or m["excuse"] is not None) for m in found]


def pages() -> list[str]:
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def test_every_block_runs_or_says_why_not() -> None:
    unexplained = {
        page: [block.code for block in blocks if not block.excused and block.language != OUTPUT]
        for page in pages()
        if (blocks := blocks_of(page)) and page not in CARRIED_OUT
    }

    assert {page: codes for page, codes in unexplained.items() if codes} == {}


@pytest.mark.parametrize("page", CARRIED_OUT)
def test_what_carries_a_page_out_names_it(page: str) -> None:
    assert Path(page).stem in (ROOT / CARRIED_OUT[page]).read_text(encoding="utf-8")
    assert any(not block.excused and block.language != OUTPUT for block in blocks_of(page))


def test_blocks_that_do_not_run_can_at_least_be_read() -> None:
    blocks = [block for page in pages() for block in blocks_of(page)]
    scripts = [block.code for block in blocks if block.language == "sh"]
    for script in scripts:
        read = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert (read.returncode, read.stderr) == (0, ""), script
    for block in blocks:
        if block.language == "json":
            json.loads(block.code)
        elif block.language == "yaml":
            list(yaml.safe_load_all(block.code))
    assert len(scripts) > 30


@pytest.mark.slow
def test_the_tutorial_and_the_way_back_do_what_they_say(tmp_path: Path) -> None:
    """On a copy of the project, one page after the other, in one shell."""
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("pipeline", "data/datasets"):  # of the data, nothing that a demo has left there
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    port = str(free_port())
    environment = {name: text for name, text in os.environ.items() if not name.startswith("TTD_")}
    environment |= {"TTD_PORT": port, "TTD_DRAIN_SECONDS": "0"}
    environment |= {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent), "PYTHONDONTWRITEBYTECODE": ""}
    blocks = [block for page in (TUTORIAL, ROLL_BACK) for block in blocks_of(page)]
    # What a block prints ends with its number, so that a block of text is compared with the last.
    script = "set -euo pipefail\n" + "\n".join(
        f"{block.code}echo '{mark(number)}'"
        for number, block in enumerate(blocks)
        if block.language == "sh" and not block.excused
    )
    done = subprocess.run(
        ["bash", "-c", script.replace(":8000", f":{port}")],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    assert done.returncode == 0, done.stdout
    for number, block in enumerate(blocks):
        if block.language == OUTPUT:
            printed = done.stdout.split(mark(number - 1))[0].split("--- end of block")[-1]
            missing = [line for line in block.code.splitlines() if not is_in(line, printed)]
            assert missing == [], printed


def mark(number: int) -> str:
    return f"--- end of block {number} ---"


def is_in(line: str, printed: str) -> bool:
    """Tell whether a line with … for anything is among those that were printed."""
    pattern = ".*".join(re.escape(part) for part in line.split("…"))
    return re.search(pattern, printed) is not None
