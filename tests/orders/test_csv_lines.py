"""Stray quotes: no row that they swallow goes unseen, and sound quotes are read as meant."""

import pytest

from pipeline.orders.csv_lines import bytes_row_by_row
from pipeline.orders.csv_text import INSIDE_QUOTES
from pipeline.stages.errors import DatasetError
from tests.support.order_files import read_order_rows

COLUMNS = ["note", "product_code", "orders_placed", "hours_to_dispatch", "remark"]
LAST = 999


def week(quotes: dict[int, str], end: str = "\n") -> bytes:
    """Return a week of 1,000 rows, with a quote before, within or after one field of some rows.

    Args:
        quotes: for each of these rows the field, with a quote where it stands in the file.
        end: of each line.
    """
    rows = [["n", f"SKU00{i % 5 + 1}", str(i), f"{i / 100:.2f}", "r"] for i in range(LAST + 1)]
    for position, quoted in quotes.items():
        rows[position] = [quoted if f == quoted.replace('"', "") else f for f in rows[position]]
    return end.join(map(",".join, [COLUMNS, *rows, []])).encode()


@pytest.mark.parametrize(
    ("quotes", "lost"),
    [
        ({200: '"SKU001', 600: 'SKU"001'}, 401),
        ({200: '"SKU001', 600: 'SKU001"'}, 401),
        ({200: '"SKU001', 201: 'SKU"002'}, 2),
        ({200: '"SKU001', 600: '"6.00'}, 401),
        ({200: '"200', 600: '"600'}, 401),
        ({200: '"2.00', 600: '"SKU001'}, 401),
        ({200: '"2.00', 600: '6"00'}, 401),
        ({200: '"n', 600: '"n'}, 401),
        ({200: '"n', 201: '"n'}, 2),
        ({200: '"r', 600: 'r"'}, 401),
        ({200: '"r', 201: 'r"'}, 2),
        ({200: '"SKU001', 300: 'SKU"001', 500: '"r', 549: 'r"'}, 151),
        ({200: '"SKU001'}, 800),
        ({200: '"r'}, 800),
        ({LAST: '"SKU005'}, 1),
        ({LAST: '"r'}, 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_row_that_a_stray_quote_swallows_is_counted(
    quotes: dict[int, str], lost: int, end: str
) -> None:
    valid, rejected = read_order_rows(week(quotes, end))

    assert (len(valid), len(rejected)) == (LAST + 1 - lost, lost)
    assert set(valid["product_code"]) == {f"SKU00{i}" for i in range(1, 6)}
    assert (rejected["reason"] != INSIDE_QUOTES).sum() == (len(quotes) + 1) // 2
    assert rejected["orders_placed"].str.replace('"', "").tolist() == [
        str(i) for i in range(LAST + 1) if i not in set(valid["orders_placed"])
    ]


@pytest.mark.parametrize("code", ['"3.5" disk"', '"3.5" disk', '"SKU"001'])
def test_a_code_that_goes_on_after_its_quote_is_no_other_product(code: str) -> None:
    rows = read_order_rows(week({}) + f"n,{code},1,2,r\n".encode())

    assert rows.rejected["reason"].tolist() == ["row has a stray quote"]
    assert rows.rejected["product_code"].tolist() == [code]


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ('3.5" disk', '3.5" disk'),
        ('"3.5"" disk"', '3.5" disk'),
        ('"disk, 3.5"""', 'disk, 3.5"'),
        ('"a""b"', 'a"b'),
        ("'q'", "'q'"),
        ('5"', '5"'),
    ],
)
def test_a_sound_quoted_code_is_read_in_one_pass(field: str, code: str) -> None:
    content = week({}) + f'n,{field},1,2,"urgent, ""now"""\n'.encode()

    assert bytes_row_by_row(content) == len(content)
    rows = read_order_rows(content)
    assert rows.rejected.empty and code in set(rows.valid["product_code"])


@pytest.mark.parametrize(
    "row",
    [
        '"first line\nsecond, third, 4",SKU009,1,2,r\n',
        'n,SKU009,1,2,"call\r\n\r\nbefore 5,then leave"\n',
        'n,"SKU009" , "1" ,"2"\t,r\n',
        'n,"SKU009\n",1,"2\n",r\n',
        'n, "SKU009",1,2,r\n',
    ],
)
def test_quotes_that_lose_nothing_are_no_fault(row: str) -> None:
    rows = read_order_rows(row.join([",".join(COLUMNS) + "\n", ""]).encode())

    assert rows.rejected.empty
    assert rows.valid.to_numpy().tolist() == [["SKU009", 1.0, 2.0]]


def test_a_quote_that_swallows_more_than_a_field_can_hold_is_named_with_its_line() -> None:
    content = week({200: '"SKU001'}) + b"n,SKU001,1,2,r\n" * 10_000

    with pytest.raises(DatasetError, match="not a CSV file from line 202 on: .* quote too many"):
        read_order_rows(content)


def test_a_quote_in_the_header_is_named() -> None:
    with pytest.raises(DatasetError, match="a quote in the header is not closed"):
        read_order_rows(b'"' + week({}))
