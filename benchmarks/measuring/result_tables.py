"""What all benchmarks do with their results: print them as a table, and keep them as JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

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


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text below a header: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    lines = [
        "  ".join(
            cell.rjust(width) if position else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(cells, widths))
        )
        for cells in (header, ["-" * width for width in widths], *rows)
    ]
    print(f"\n{title}\n", *lines, sep="\n", flush=True)


def write_results(name: str, results: Mapping[str, object]) -> None:
    """Write `results/<name>.json` with a description of this machine, over an earlier one."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {"machine": describe_machine(), **results}
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    print(f"\nWrote {path.relative_to(RESULTS.parents[1])}.")


def describe_machine() -> dict[str, object]:
    """Return what the numbers depend on besides the code."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processors": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
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
