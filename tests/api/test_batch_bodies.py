"""A long body is read in pieces, and holds what it would hold if it was read at once."""

import asyncio
import json
import random
from typing import Any

import pytest
from pydantic_core import from_json

from pipeline.api.batch_bodies import PIECE_BYTES, read_batch

N = 3 * PIECE_BYTES // 8
HARD = ['","', '"', "\\", '\\",\\"', "]", "[", "},{", "}", "é/~𝄞", ",", ""]
"""Texts that look like the places between values."""


def values(kind: str) -> list[Any]:
    """Return many values of one kind."""
    drawn = random.Random(1)
    if kind == "codes":
        return [f"SKU{drawn.randrange(10**6):06}" for _ in range(N)]
    if kind == "numbers":
        return [drawn.choice([drawn.randrange(400), drawn.uniform(0, 400)]) for _ in range(N)]
    if kind == "hard texts":
        return [drawn.choice(HARD) for _ in range(N)]
    if kind == "nested":
        return [{"product_code": [["SKU001"], {}], "orders_placed": []}] * N
    return [{"product_code": f"SKU{n}", "orders_placed": n} for n in range(N)]


def pauses_and_content(body: bytes) -> tuple[int, Any]:
    """Return how often reading a body gives way, and what it holds."""
    reading = read_batch(body)
    pauses = 0
    while True:
        try:
            reading.send(None)
        except StopIteration as stop:
            return pauses, stop.value
        pauses += 1


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    ("kinds", "is_divided"),
    [
        (["rows"], True),
        (["codes", "numbers"], True),
        (["numbers", "codes", "numbers"], True),
        (["numbers", "hard texts"], True),
        (["hard texts"], False),
        (["nested"], False),
    ],
    ids=str,
)
def test_a_long_body_is_read_in_pieces(kinds: list[str], is_divided: bool, indent: Any) -> None:
    content = {f"field_{chr(97 + n)}": values(kind) for n, kind in enumerate(kinds)}
    body = json.dumps(content, indent=indent).encode()

    pauses, read = pauses_and_content(body)

    assert read == content
    assert (pauses > 2) == is_divided
    assert pauses <= len(body) / PIECE_BYTES


LONG = json.dumps({"a": values("numbers"), "b": values("codes")}).encode()
COMMA = LONG.index(b",", PIECE_BYTES)
"""Where the first piece may end."""
WHOLE_ARRAY = LONG[: LONG.index(b"]") + 1]
ODD = {
    "cut": LONG[:-1],
    "cut in an array": LONG[: 2 * PIECE_BYTES],
    "nothing after a comma": LONG[: COMMA + 1] + b"]}",
    "a comma too many": LONG[:COMMA] + b"," + LONG[COMMA:],
    "an array too many": LONG[:COMMA] + b"],[" + LONG[COMMA + 1 :],
    "more after the end": LONG + b"1",
    "another blank": b"\f" + LONG,
    "a comma first": b"," + LONG[1:],
    "a second brace": WHOLE_ARRAY + b'{"b":[1]}',
    "no comma": WHOLE_ARRAY + b'"b":[1]}',
    "a name twice": WHOLE_ARRAY + b',"a":[1]}',
    "no array": WHOLE_ARRAY + b',"b":1}',
    "an escaped name": WHOLE_ARRAY + rb',"\u0062":[1]}',
    "an empty array": WHOLE_ARRAY + b',"b":[ ]}',
    "an empty array first": b'{"b":[],' + LONG[1:],
    "no object": WHOLE_ARRAY[5:],
    "blanks": b" " * PIECE_BYTES + b"{}",
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
def test_an_odd_body_is_what_it_is_at_once(body: bytes) -> None:
    def outcome(read: Any) -> Any:
        try:
            return read()
        except ValueError:
            return ValueError

    assert outcome(lambda: asyncio.run(read_batch(body))) == outcome(lambda: from_json(body))
