"""`make demo` and the README: what it promises is what happens."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.support.helpers import ROOT, free_port
from tools.live_reference import copy_for_demo, demo

COMMANDS = re.compile(r"(?:^|`)make ([a-z -]+)", re.MULTILINE)


def test_the_demo_prints_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither settings of the shell nor a proxy lead it away from the sample store."""
    monkeypatch.setenv("TTD_STORE", str(tmp_path / "production"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")

    assert demo() in (ROOT / "README.md").read_text()


@pytest.mark.system
def test_a_service_that_is_kept_runs_until_ctrl_c(tmp_path: Path) -> None:
    copy_for_demo(str(tmp_path))
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "examples.demo", "--keep-on-port", str(port)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as demo_process:
        assert demo_process.stdout
        shown = next(line for line in demo_process.stdout if "until Ctrl-C" in line)
        with urlopen(shown.split()[-1]) as page:
            assert page.status == 200
        demo_process.send_signal(signal.SIGINT)
        rest = demo_process.stdout.read()

    assert demo_process.returncode == 0
    assert "Finished serve-model stage." in rest


def test_a_port_that_is_taken_is_told_before_anything_is_trained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", "examples.demo", "--keep-on-port", port]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Cannot serve on port {port}: Address already in use. Stop")


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
