"""What log lines look like on a terminal; `test_logs` has those in a file."""

import os
import pty
import re
import sys
from collections.abc import Callable, Iterator

import pytest

from pipeline.stages.logs import LOG, LogLevel, configure_logging

COLUMNS = 60
PATH = f"/a/store/reports/{'a_long-name' * 6}.html"
FORGED = "23:00:00 INFO    All is well."


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Return what logs a message at a level, to a terminal as standard error, and what is shown."""
    ours, theirs = pty.openpty()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    with os.fdopen(theirs, "w") as terminal:

        def show(message: str, level: LogLevel = "INFO") -> str:
            monkeypatch.setattr(sys, "stderr", terminal)  # pytest has set its own since
            configure_logging(level, "text")
            LOG.error(message)
            return os.read(ours, 10_000).decode().replace("\r\n", "\n")

        yield show
    os.close(ours)


def test_lines_are_short_and_wrapped_and_paths_stay_whole(
    on_terminal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    lines = on_terminal(f"{'Each of these words fits. ' * 3}Reported in {PATH}.").splitlines()

    assert re.match(r"\d\d:\d\d:\d\d ERROR   Each of these", lines[0])
    assert [line[:17].strip() for line in lines[1:]] == [""] * (len(lines) - 1)
    assert lines[-1].strip() == f"{PATH}."
    assert max(map(len, lines[:-1])) <= COLUMNS


@pytest.mark.parametrize(
    ("variables", "is_coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_levels_are_coloured_where_colours_are_wanted(
    variables: dict[str, str],
    is_coloured: bool,
    on_terminal: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert ("\x1b[1;31mERROR  \x1b[0m Hello." in on_terminal("Hello.")) is is_coloured


def test_at_debug_lines_name_their_place(on_terminal: Callable[..., str]) -> None:
    assert "test_log_lines.show: Hello." in on_terminal("Hello.", level="DEBUG")


def test_no_name_passes_for_a_record(on_terminal: Callable[..., str]) -> None:
    shown = on_terminal(f"Skipped week\n{FORGED}\r{'x' * COLUMNS} {FORGED}\x1b[2K.csv")

    others = shown.splitlines()[1:]
    assert others
    assert all(line.startswith(" ") and line.isprintable() for line in others)
