"""Regular expressions: each one of the pipeline takes a moment for whatever text, however hostile.

A quadratic one would take minutes for what is tried here, and an exponential one for ever.
"""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample, Unsatisfiable
from hypothesis.strategies import from_regex

from pipeline.orders.csv_rows import ANY_FIELD, NUMBER
from tests.support.helpers import ROOT

pytestmark = pytest.mark.slow

WAYS = ("search", "match", "fullmatch", "sub", "findall", "finditer")
MANY = 20_000
PUMPED = ' 0a",.'
PLACES = 8
KILLER = "\0"
"""A character that none expects."""
LINE_OF_A_WEEK = re.compile(f"{ANY_FIELD},{NUMBER},(?:{NUMBER}|)\r?\n?")
"""As `csv_rows` puts it together for a file."""


class Use(NamedTuple):
    """A regular expression, and how it is used."""

    pattern: re.Pattern[str] | re.Pattern[bytes]
    way: str


def uses() -> Iterator[Use]:
    """Find all that the pipeline's code uses, by the calls of `re` in it."""
    yield Use(LINE_OF_A_WEEK, "fullmatch")
    sources = {path: path.read_text() for path in sorted((ROOT / "pipeline").rglob("*.py"))}
    for path, source in sources.items():
        if "import re\n" not in source:
            continue
        module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        known = {"re": re, **vars(module)}
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {f"re.{w}" for w in WAYS}:
                text = ast.unparse(node.args[0])
                pattern = re.compile(eval(text, known))  # noqa: S307 - of our own code
                yield Use(pattern, ast.unparse(node.func)[3:])
        everything = "".join(sources.values())
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                ways = re.findall(rf"\b{name}\.({'|'.join(WAYS)})\b", everything)
                yield from (Use(value, way) for way in set(ways) or WAYS)


USES = sorted({(use.pattern.pattern, use.way): use for use in uses()}.values(), key=str)


def example_of(pattern: re.Pattern[str] | re.Pattern[bytes]) -> str:
    """Return a text that fits an expression, from which hostile ones are made."""
    quickly = settings(
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        max_examples=10,
        phases=[Phase.generate],
    )
    texts = from_regex(pattern, fullmatch=True)
    try:
        text: Any = find(texts, lambda one: len(one) > 0, settings=quickly)
    except (NoSuchExample, Unsatisfiable):  # what fits has to stand inside of something else
        text = ""
    return text if isinstance(text, str) else text.decode("latin-1")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("use", USES, ids=lambda use: f"{use.way} {use.pattern.pattern!r}")
def test_no_text_makes_an_expression_go_back_again_and_again(use: Use) -> None:
    is_text = isinstance(use.pattern.pattern, str)
    first = ["" if is_text else b""] if use.way == "sub" else []
    example = example_of(use.pattern)
    for place in range(0, len(example) + 1, max(1, len(example) // PLACES)):
        for pumped in {*PUMPED, *example[max(0, place - 1) : place + 1]}:
            text = example[:place] + pumped * MANY + KILLER + example[place:]
            result = getattr(use.pattern, use.way)(
                *first, text if is_text else text.encode("latin-1")
            )
            if use.way == "finditer":
                list(result)
