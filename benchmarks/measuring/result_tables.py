"""What all benchmarks do with their results: print them as a table, and keep them as JSON."""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import psutil
from rich import box
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parents[1] / "results"
LIBRARIES = (
    "fastapi",
    "httptools",
    "numpy",
    "onnxruntime",
    "pandas",
    "pydantic",
    "scikit-learn",
    "scipy",
    "starlette",
    "uvicorn",
    "uvloop",
)
UNKNOWN = "-"
MAX_LINE_WIDTH = 1_000
"""A row is one line, however narrow the terminal is."""


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text below a header, as a table of Markdown.

    The first column is on the left, the others are on the right.
    """
    table = Table(box=box.MARKDOWN)
    for position, name in enumerate(header):
        table.add_column(name, justify="right" if position else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console(width=MAX_LINE_WIDTH, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    print(f"\n{title}\n\n{captured.get().strip()}", flush=True)


def write_results(name: str, results: Mapping[str, object]) -> None:
    """Write `results/<name>.json` with a description of this machine, over an earlier one."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {"machine": describe_machine(), **results}
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    print(f"\nWrote {path.relative_to(RESULTS.parents[1])}.")


def describe_machine() -> dict[str, object]:
    """Return what the numbers depend on besides the code."""
    return {
        "processors": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in LIBRARIES},
    }


def verdict(met: bool | None) -> str:
    """Return in a word whether a goal was met; None where it could not be measured."""
    if met is None:
        return UNKNOWN
    return "met" if met else "MISSED"


def number(value: float | None, form: str) -> str:
    """Return a number in a format such as `.3f`, or a dash where it could not be measured."""
    return UNKNOWN if value is None else format(value, form)
