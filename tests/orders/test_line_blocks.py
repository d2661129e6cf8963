"""Files larger than a block: nothing is lost or seen twice where two blocks meet."""

import io

import pytest

from pipeline.orders.csv_rows import CsvOrders
from pipeline.orders.line_blocks import BLOCK_BYTES, MAX_LINE_BYTES, LineBlocks
from pipeline.stages.errors import DatasetError
from tests.support.order_files import HEADER

ROW = b"SKU001,1,2," + b"x" * 88 + b"\n"
BEFORE = BLOCK_BYTES // len(ROW) - 1
"""So many rows do not fill a block."""


def counts(body: bytes) -> tuple[int, int]:
    """Return how many rows with a note are valid, and how many are bad."""
    file = io.BytesIO(HEADER.strip().encode() + b",note\n" + body)
    chunks = list(CsvOrders(file).chunks())
    assert len(chunks) > 1
    return sum(len(rows.valid) for rows in chunks), sum(len(rows.rejected) for rows in chunks)


@pytest.mark.parametrize(
    ("middle", "valid", "rejected"),
    [
        (b"", 0, 0),
        (ROW.replace(b"\n", b"\r\n"), 1, 0),
        (b"SKU001,1,2," + b'"' + b"long\n" * 200 + b'"\n', 1, 0),
        (b'SKU001,1,2,"' + ROW * 3 + b'x"\n', 0, 4),
        (b"\n" * 300, 0, 0),
        (b"SKU001,-1,2,x\n" * 20, 0, 20),
    ],
    ids=["nothing", "CRLF", "a long field", "a stray quote", "blank lines", "bad rows"],
)
@pytest.mark.parametrize("end", [b"", b"SKU001,-1,2,x\n"], ids=["sound", "bad"])
def test_rows_where_two_blocks_meet_are_counted_once(
    middle: bytes, valid: int, rejected: int, end: bytes
) -> None:
    found = counts(ROW * BEFORE + middle + ROW * 9 + end)

    assert found == (BEFORE + valid + 9, rejected + bool(end))


def test_lines_that_end_as_on_old_macs_are_blocks_too() -> None:
    assert counts((ROW * (BEFORE + 9)).replace(b"\n", b"\r")) == (BEFORE + 9, 0)


def test_text_in_another_encoding_is_named_with_its_line_in_any_block() -> None:
    with pytest.raises(DatasetError, match=f"not UTF-8 text in line {BEFORE + 12:,}"):
        counts(ROW * (BEFORE + 10) + b"SKU\xff,1,2,x\n")


def test_a_stray_quote_is_named_with_its_line_in_any_block() -> None:
    with pytest.raises(DatasetError, match=f"CSV file from line {BEFORE + 12:,} on: .* too many"):
        counts(ROW * (BEFORE + 10) + b'"SKU,1,2,x\n' + ROW * 2_000)


@pytest.mark.parametrize("end", ["", "\n", "\r", "\r\n"], ids=repr)
@pytest.mark.parametrize("length", [MAX_LINE_BYTES, MAX_LINE_BYTES + 1, BLOCK_BYTES + 1])
@pytest.mark.parametrize("before", [0, 9])
def test_a_line_that_is_too_long_is_refused(end: str, length: int, before: int) -> None:
    body = ROW * before + b"x" * length + end.encode() + b"x\n" * bool(end)
    lines = LineBlocks(io.BytesIO(body))

    if length == MAX_LINE_BYTES:
        assert len([*lines.ahead()]) == before + 1 + bool(end)
        return
    with pytest.raises(DatasetError, match=f"line {before + 1} is longer than 131,072 bytes"):
        list(lines.ahead())
    with pytest.raises(DatasetError, match=f"line {before + 1} is longer than 131,072 bytes"):
        while block := lines.peek():
            lines.skip(block)
