"""Parquet: the types of columns that are orders, and those that are not."""

import io
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.orders.row_rules import COLUMNS
from pipeline.stages.errors import DatasetError
from tests.support.order_files import DELIVERED_AT, in_parquet, read_order_rows

CODES = ["SKU001", "SKU002"]


@pytest.mark.parametrize(
    "columns",
    [
        {"product_code": pa.array(CODES, pa.large_string())},
        {"product_code": pa.array(CODES, pa.string_view())},
        {"product_code": pa.array(CODES).dictionary_encode()},
        {"product_code": ["SKU001 ", "\u200bSKU002"]},
        {"orders_placed": pa.array([112, 7], pa.int16())},
        {"orders_placed": [Decimal("112.00"), Decimal("7.00")]},
        {"orders_placed": pa.array([112, 7]).dictionary_encode()},
        {"hours_to_dispatch": [Decimal("8.28"), Decimal("0.50")]},
        {"note": [{"nested": 1}, None], "when": [DELIVERED_AT] * 2},
    ],
)
def test_every_type_of_text_and_number_is_read_alike(columns: dict[str, Any]) -> None:
    rows = read_order_rows(in_parquet(**columns))

    assert rows.rejected.empty
    assert rows.valid.to_numpy().tolist() == [["SKU001", 112.0, 8.28], ["SKU002", 7.0, 0.5]]
    assert rows.valid.columns.tolist() == COLUMNS


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"product_code": ["SKU001", None]}, "product_code is missing"),
        ({"product_code": pa.array(["A", None]).dictionary_encode()}, "product_code is missing"),
        ({"product_code": ["A", "B\nC"]}, "product_code contains a line break"),
        ({"product_code": ["A", "B\u2028C"]}, "product_code contains a line break"),
        ({"product_code": ["A", "B\x00"]}, "product_code contains a control character"),
        ({"product_code": ["A", "B\x1c"]}, "product_code contains a control character"),
        ({"orders_placed": [1, None]}, "orders_placed is missing"),
        ({"hours_to_dispatch": [1.0, float("nan")]}, "hours_to_dispatch is not a number"),
        ({"hours_to_dispatch": [1.0, float("inf")]}, "hours_to_dispatch is above 100,000"),
        ({"orders_placed": [1, -3]}, "orders_placed is negative"),
        (
            {"product_code": ["A", "B\n"], "orders_placed": pa.array([2, -1], pa.int8())},
            "orders_placed is negative",
        ),
    ],
)
def test_a_bad_row_is_set_aside_with_its_reason(columns: dict[str, Any], reason: str) -> None:
    rows = read_order_rows(in_parquet(**columns))

    assert len(rows.valid) == 1
    assert rows.rejected["reason"].tolist() == [reason]


def test_a_column_of_nothing_but_nulls_makes_every_row_bad() -> None:
    rows = read_order_rows(in_parquet(orders_placed=pa.nulls(2)))

    assert rows.rejected.iloc[0].to_dict() == {
        "product_code": "SKU001",
        "orders_placed": "",
        "hours_to_dispatch": "8.28",
        "reason": "orders_placed is missing",
    }


@pytest.mark.parametrize(
    ("name", "values", "faults"),
    [
        ("product_code", [7, 8], ["type int64, not text", "Leading zeros belong to a code"]),
        ("product_code", pa.array([b"A", b"B"]), ["type binary, not text"]),
        ("product_code", [{"sku": "A"}] * 2, ["type struct<sku: string>, not text"]),
        ("orders_placed", ["1", "2"], ["type string, not a number"]),
        ("orders_placed", [True, False], ["type bool, not a number"]),
        ("orders_placed", [[1], [2]], ["not a number"]),
        ("hours_to_dispatch", [DELIVERED_AT] * 2, ["not a number"]),
    ],
)
def test_a_column_of_another_type_is_refused(name: str, values: Any, faults: list[str]) -> None:
    with pytest.raises(DatasetError, match=f"the column {name} is of the ") as refusal:
        read_order_rows(in_parquet(**{name: values}))

    assert [fault for fault in faults if fault not in str(refusal.value)] == []


def test_missing_columns_are_named_with_what_they_may_be_called() -> None:
    with pytest.raises(DatasetError, match="should 'Hours_To_Dispatch' read hours_to_dispatch"):
        read_order_rows(_renamed("hours_to_dispatch", "Hours_To_Dispatch"))


def test_a_column_that_is_there_twice_is_named() -> None:
    with pytest.raises(DatasetError, match="the column orders_placed is there twice"):
        read_order_rows(_renamed("note", "orders_placed", note=[1, 2]))


@pytest.mark.parametrize("cut", [slice(None, -1), slice(None, 20), slice(4, 5)])
def test_a_damaged_file_is_refused(cut: slice) -> None:
    with pytest.raises(DatasetError, match="damaged Parquet file"):
        read_order_rows(b"PAR1" + in_parquet()[4:][cut])


def test_a_file_with_damaged_rows_is_refused() -> None:
    content = in_parquet()

    with pytest.raises(DatasetError, match="damaged Parquet file"):
        read_order_rows(content[:4] + bytes(100) + content[104:])


def _renamed(name: str, new: str, **columns: Any) -> bytes:
    """Return a Parquet file one of whose columns has another name."""
    content = io.BytesIO()
    table = parquet.read_table(io.BytesIO(in_parquet(**columns)))
    names = [new if column == name else column for column in table.column_names]
    parquet.write_table(table.rename_columns(names), content)
    return content.getvalue()
