"""The rooms of `pipeline/`, as import-linter holds them: a picture of them, and what each owns."""

import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from textwrap import wrap
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
ROW, GAP, MARGIN = 66, 10, 20
COLUMN = 385
CHARACTERS = {COLUMN: 50, 2 * COLUMN + GAP: 94}
"""How many of them a line in a box of this width holds."""
STYLE = """
  svg { font-family: system-ui, sans-serif; fill: #1f2328; }
  .paper { fill: #ffffff; stroke: #d1d9e0; }
  .room { fill: #eef4fb; stroke: #4a7fb5; }
  .stage { fill: #fff4dd; stroke: #b5852a; }
  .name { font-size: 16px; font-weight: 600; }
  .owns { font-size: 13.5px; }
  @media (prefers-color-scheme: dark) {
    svg { fill: #e6edf3; }
    .paper { fill: #0d1117; stroke: #3d444d; }
    .room { fill: #16263a; stroke: #5b93cc; }
    .stage { fill: #33270d; stroke: #c9973a; }
  }
"""


def picture() -> str:
    """Return the rooms as SVG: each may import what is below it, on its own side or under both."""
    layers, serving = _contracts()
    boxes = [_box(0, "train_model", 0, COLUMN), _box(0, "serve_model", 1, COLUMN)]
    last_of_training = max(row for row, rooms in enumerate(layers) if set(rooms) - serving)
    for row, rooms in enumerate(layers):
        for room in rooms:
            is_shared = row > last_of_training
            width = 2 * COLUMN + GAP if is_shared else COLUMN
            boxes.append(_box(row + 1, room, int(room in serving and not is_shared), width))
    width = 2 * (MARGIN + COLUMN) + GAP
    height = 2 * MARGIN + (len(layers) + 1) * (ROW + GAP) - GAP
    x, y = MARGIN + COLUMN + 2 * GAP, MARGIN + (last_of_training + 1) * (ROW + GAP)
    return f'''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>The rooms of pipeline/; imports go down</title>
<style>{STYLE}</style>
<rect class="paper" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="8"/>
{"".join(boxes)}{_text(x, y, "A room may import those below it.")}
{_text(x, y + 22, "What serves imports nothing from the left.")}
</svg>'''


def _contracts() -> tuple[list[list[str]], set[str]]:
    """Return the rooms from the highest layer to the lowest, and those that serving may import."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers, wall = config["tool"]["importlinter"]["contracts"][:2]
    rooms = [list(_rooms(layer.split(" | "))) for layer in layers["layers"]]
    return [row for row in rooms if row], set(_rooms(wall["source_modules"]))


def _rooms(modules: list[str]) -> Iterator[str]:
    for module in modules:
        if (ROOT / module.replace(".", "/")).is_dir():
            yield module.removeprefix("pipeline.")


def _box(row: int, name: str, column: int, width: int) -> str:
    """Return one room, or a stage: its name, and the first line of its docstring."""
    x, y = MARGIN + column * (COLUMN + GAP), MARGIN + row * (ROW + GAP)
    owns = (import_module(f"pipeline.{name}").__doc__ or "").split("\n")[0]
    lines = wrap(owns, CHARACTERS[width])
    kind = "stage" if row == 0 else "room"
    return (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{ROW}" rx="6"/>\n'
        f"{_text(x + 12, y + 22, name, 'name')}\n"
        + "".join(f"{_text(x + 12, y + 41 + 17 * i, line)}\n" for i, line in enumerate(lines))
    )


def _text(x: int, y: int, words: str, kind: str = "owns") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(words)}</text>'
