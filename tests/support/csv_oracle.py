"""What a weekly CSV means, by Python's `csv` module alone: the yardstick for the fast reader.

It shares no code with `pipeline.orders` but the names and limits of the columns.
"""

import csv
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.model.order import (
    FEATURES,
    HOURS,
    INVISIBLE,
    MAX_HOURS_TO_DISPATCH,
    MAX_ORDERS_PLACED,
    MAX_PRODUCT_CODE_LENGTH,
    ORDERS,
    PRODUCT,
)

Order = tuple[str, float, float]

FIELD = r'(?: *"(?:[^"]|"")*"[ \t]*|(?! *")[^,\r\n]*)'
SOUND = re.compile(rf"{FIELD}(?:,{FIELD})*[\r\n]*")
"""A row whose quotes are such as RFC 4180 has them, but for blanks around them."""
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
BLANKS = "".join(c for c in map(chr, range(0x3001)) if c.isspace() and c not in "\x1c\x1d\x1e\x1f")


@dataclass
class Meaning:
    """What is in a file: its orders in sequence, and what became of the lines below the header."""

    orders: list[Order]
    lines: int
    valid_lines: int = 0
    rejected: int = 0
    blank: int = 0


def meaning(content: bytes, max_line_bytes: int) -> Meaning | None:
    """Return what a file means, or None if it is to be refused as a whole."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)
    if any(len(line.rstrip("\r\n").encode()) > max_line_bytes for line in lines):
        return None
    try:
        rows = _rows(lines)
    except csv.Error:
        return None
    while rows and not rows[0][1].strip(BLANKS):
        del rows[0]
    if not rows or rows[0][2] > 1:
        return None
    header = [name.strip() for name in rows[0][0]]
    if any(header.count(name) != 1 for name in (*FEATURES, HOURS)):
        return None
    return _of_rows(rows[1:], header)


def _of_rows(rows: Sequence[tuple[list[str], str, int]], header: Sequence[str]) -> Meaning:
    found = Meaning([], sum(lines for *_, lines in rows))
    for fields, text, lines in rows:
        order = _order(fields, text, header)
        if not text.strip(BLANKS):
            found.blank += lines
        elif order is None:
            found.rejected += lines
        else:
            found.orders.append(order)
            found.valid_lines += lines
    return found


def _rows(lines: Sequence[str]) -> list[tuple[list[str], str, int]]:
    """Return the fields, the text and the number of lines of each row."""
    reader, rows, start = csv.reader(lines, skipinitialspace=True), [], 0
    for fields in reader:
        rows.append((fields, "".join(lines[start : reader.line_num]), reader.line_num - start))
        start = reader.line_num
    return rows


def _order(fields: list[str], text: str, header: Sequence[str]) -> Order | None:
    """Return the order of a row, or None if the row is bad."""
    if header[-1] in (ORDERS, HOURS, PRODUCT) and fields[len(header) :] == [""]:
        fields = fields[:-1]
    if len(fields) != len(header) or not SOUND.fullmatch(text):
        return None
    lines = re.findall(r"[^\r\n]+", text)
    if sum(_reads_as_row(line, header) for line in lines) > 1:
        return None
    values = dict(zip(header, fields))
    code = _code(values[PRODUCT])
    orders, hours = _number(values[ORDERS]), _number(values[HOURS])
    is_valid = code and 0 <= orders <= MAX_ORDERS_PLACED and 0 <= hours <= MAX_HOURS_TO_DISPATCH
    return (code, orders, hours) if is_valid else None


def _reads_as_row(line: str, header: Sequence[str]) -> bool:
    fields = [field.strip(' "') for field in line.split(",")]
    places = [header.index(ORDERS), header.index(HOURS)]
    return max(places) < len(fields) and all(_number(fields[p]) >= 0 for p in places)


def _number(text: str) -> float:
    """Return a number, or -1 for what is none."""
    return float(text) if NUMBER.fullmatch(text := text.strip(" \t\r\n")) else -1.0


def _code(text: str) -> str:
    """Return a product code, or nothing for what is none."""
    code = unicodedata.normalize("NFC", "".join(c for c in text if ord(c) not in INVISIBLE))
    code = code.strip(BLANKS)
    is_odd = len(code) > MAX_PRODUCT_CODE_LENGTH or any(
        unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in code
    )
    return "" if is_odd else code
