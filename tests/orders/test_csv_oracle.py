"""Files that nobody would think of mean what Python's `csv` module says, or are refused.

A longer campaign than the one of every test run, with other files each time:

    make fuzz-csv
"""

import gzip
import io
import os
import time

import pytest
from hypothesis import HealthCheck, example, given, settings

from pipeline.orders.csv_rows import CsvOrders
from pipeline.orders.line_blocks import BLOCK_BYTES, MAX_LINE_BYTES
from pipeline.orders.order_rows import OrderRows
from pipeline.stages.errors import DatasetError
from tests.support.csv_files import REPEATS, csv_files
from tests.support.csv_oracle import Order, meaning
from tests.support.order_files import HEADER, read_order_rows

FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "0"))
"""How long the campaign is; 0 means the short one, which is the same each time."""
SMALL_BLOCK = 4096
HEAD = HEADER.encode()
NOTED = HEAD.replace(b"\n", b",note\n")
Rows = tuple[list[Order], int]
"""The orders of a file in sequence, and how many of its lines are rejected."""


def of(chunk: OrderRows) -> Rows:
    columns = (chunk.valid[name].tolist() for name in HEADER.strip().split(","))
    return [*zip(*columns, strict=True)], len(chunk.rejected)


def read_in_blocks(content: bytes, block_bytes: int) -> Rows:
    chunks = [of(rows) for rows in CsvOrders(io.BytesIO(content), block_bytes).chunks()]
    return [order for orders, _ in chunks for order in orders], sum(n for _, n in chunks)


@settings(
    max_examples=60,
    derandomize=not FUZZ_SECONDS,
    deadline=None,
    database=None,
    suppress_health_check=[*HealthCheck],
)
@given(csv_files((*REPEATS * 20, 20_000, 100_000) if FUZZ_SECONDS else REPEATS))
@example(NOTED + b'SKU001,1,x,"' + b"SKU002,y,2,n\n" * 70 + b'"\n' + b"SKU003,1,2,n\n" * 114)
@example(NOTED.replace(b"hours", b"day,hours", 1) + b"SKU001,5,7,n\n" + b"SKU001,1,5,7,n\n")
@example(NOTED + b"SKU001,1,2" + b"," * 30_000 + b"\n" + b"SKU001,x,2,\n" * 2_000)
@example(HEAD + b"SKU001\x1c,1,2\n\x1fSKU001,1,2\nSKU001,1\x1c,2\n\x1d\n")
def check_a_file(content: bytes) -> None:
    for block_bytes in (BLOCK_BYTES, max(SMALL_BLOCK, len(content) // 20)):
        expected = meaning(content, min(MAX_LINE_BYTES, block_bytes // 2))
        try:
            found = read_in_blocks(content, block_bytes)
        except DatasetError as refusal:
            assert expected is None, f"refused as {refusal}"
            continue
        assert expected is not None, f"taken with {len(found[0])} orders"
        assert found == (expected.orders, expected.rejected)
        assert expected.valid_lines + expected.rejected + expected.blank == expected.lines


@pytest.mark.slow
@pytest.mark.timeout(2 * FUZZ_SECONDS + 300)
def test_a_file_is_refused_or_each_line_of_it_is_in_a_row_as_python_reads_it() -> None:
    end = time.monotonic() + FUZZ_SECONDS
    check_a_file()
    while time.monotonic() < end:
        check_a_file()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=repr)
def test_a_packed_file_is_read_as_it_would_be_unpacked(end: bytes) -> None:
    content = (NOTED + b'SKU001,1,2,"a\n\nb"\nSKU002,3,-4,"c\nd"\n\n' * 900).replace(b"\n", end)
    expected = meaning(content, MAX_LINE_BYTES)

    assert expected is not None and (len(expected.orders), expected.rejected) == (900, 1800)
    found = of(read_order_rows(gzip.compress(content)))
    assert found == (sorted(expected.orders), expected.rejected)
