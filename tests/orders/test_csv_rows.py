"""Reading the rows of a CSV: what is valid, what is set aside and why, what is refused."""

import numpy as np
import pytest

from pipeline.orders.csv_rows import CHUNK_ROWS
from pipeline.orders.csv_text import INSIDE_QUOTES
from pipeline.orders.order_rows import OrderRows
from pipeline.orders.row_rules import COLUMNS
from pipeline.stages.errors import DatasetError
from tests.support.order_files import read_order_rows

HEADER = "product_code,orders_placed,hours_to_dispatch\n"
SOUND = "SKU001,112,8.28\nSKU002,7.5,0\n"


def read(text: str) -> OrderRows:
    return read_order_rows(text.encode())


def test_rows_are_read_alike_whether_or_not_the_file_has_bad_rows() -> None:
    rows = read(HEADER + SOUND)
    sound = rows.valid
    mixed = read(HEADER + SOUND + "SKU003,-1,2\n").valid

    assert sound["product_code"].tolist() == ["SKU001", "SKU002"]
    assert sound["orders_placed"].tolist() == [112.0, 7.5]
    assert sound["hours_to_dispatch"].tolist() == [8.28, 0.0]
    assert rows.rejected.empty and sound.equals(mixed)
    assert sound.dtypes.astype(str).to_dict() == {name: "float64" for name in COLUMNS} | {
        "product_code": "category"
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("SKU001,-1,2", "orders_placed is negative"),
        ("SKU001,1,-2", "hours_to_dispatch is negative"),
        ("SKU001,inf,2", "orders_placed is above 1,000,000"),
        ("SKU001,1,Infinity", "hours_to_dispatch is above 100,000"),
        ("SKU001,1,-inf", "hours_to_dispatch is negative"),
        ("SKU001,1,100000.5", "hours_to_dispatch is above 100,000"),
        ("SKU001,,2", "orders_placed is missing"),
        ("SKU001,1", "hours_to_dispatch is missing; row has fewer fields than the header"),
        ("SKU001,many,2", "orders_placed is not a number"),
        ("SKU001,1,nan", "hours_to_dispatch is not a number"),
        ('SKU001,1,"15,221"', "hours_to_dispatch has a decimal comma instead of a point"),
        ('SKU001,"1.015,5",1', "orders_placed has a decimal comma instead of a point"),
        ("SKU001,True,2", "orders_placed is not a number"),
        ("SKU001,1_000,2", "orders_placed is not a number"),
        ('"  ",1,2', "product_code is missing"),
        ("SKU\x0b001,1,2", "product_code contains a line break"),
        ("SKU\u2028001,1,2", "product_code contains a line break"),
        ("SKU\t001,1,2", "product_code contains a control character"),
        ("\x00SKU001,1,2", "product_code contains a control character"),
        ("SKU001\x9f,1,2", "product_code contains a control character"),
        ("SKU001\x1c,1,2", "product_code contains a control character"),
        ("\x1fSKU001,1,2", "product_code contains a control character"),
        ("SKU001,1\x0b,2", "orders_placed is not a number"),
        ("SKU001,\u0661,2", "orders_placed is not a number"),
        (f"{'9' * 201},1,2", "product_code is longer than 200 characters"),
        ("SKU001,1,2,x", "row has more fields than the header"),
        ("SKU001,1,2.5,5", "row has more fields than the header"),
        (
            "SKU001,1,2,5",
            "row has more fields than the header; "
            "hours_to_dispatch has a decimal comma instead of a point",
        ),
        (
            ",-1,x",
            "product_code is missing; orders_placed is negative; hours_to_dispatch is not a number",
        ),
    ],
)
def test_a_bad_row_is_set_aside_with_its_reasons(row: str, reason: str) -> None:
    for text in (f"{HEADER}{SOUND}{row}\n", f"{HEADER}{row}\n{SOUND}"):
        rows = read(text)

        assert rows.rejected["reason"].tolist() == [reason]
        assert len(rows.valid) == 2


def test_a_field_too_many_in_every_row_never_shifts_the_columns() -> None:
    rows = read(f"{HEADER}SKU001,1,2,3\nSKU002,4,5,6\n")

    assert rows.valid.empty
    assert rows.rejected["product_code"].tolist() == ["SKU001", "SKU002"]


@pytest.mark.parametrize("end", ["", ",", ",late", ",,"])
def test_decimal_commas_outside_quotes_are_told_even_where_a_row_seems_no_longer(end: str) -> None:
    rows = read(f"{HEADER.strip()},note\nSKU001,274,15,221,{end}\nSKU001,2,3,4\n")

    assert rows.valid["orders_placed"].tolist() == [2.0]
    (reason,) = rows.rejected["reason"]
    assert "hours_to_dispatch has a decimal comma instead of a point" in reason


def test_bad_rows_keep_the_words_they_came_in_and_every_column() -> None:
    rows = read("note,product_code,orders_placed,hours_to_dispatch\nurgent,007,1e1,-0.50\n,A,1,2")

    assert rows.rejected.to_dict("records") == [
        {
            "note": "urgent",
            "product_code": "007",
            "orders_placed": "1e1",
            "hours_to_dispatch": "-0.50",
            "reason": "hours_to_dispatch is negative",
        }
    ]


@pytest.mark.parametrize("field", ['"SKU\n001"', '"SKU\r\n001"', '"SKU\r001"'])
def test_a_code_with_a_line_break_is_bad_once_for_each_of_its_lines(field: str) -> None:
    rows = read(f"{HEADER}{SOUND}{field},1,2\n")

    assert len(rows.valid) == 2
    assert rows.rejected["reason"].tolist() == ["product_code contains a line break", INSIDE_QUOTES]


@pytest.mark.parametrize("bad_rows", ["", "A,-1,2\n"])
def test_codes_that_look_alike_are_one_product(bad_rows: str) -> None:
    codes = [
        "Schl\u00fcssel",
        "Schlu\u0308ssel",
        "Schl\u00fcssel\u00a0",
        "\u200bSchl\u00fcssel",
        "A",
    ]

    rows = read(HEADER + "".join(f"{code},1,2\n" for code in codes) + bad_rows)

    assert rows.valid["product_code"].tolist() == ["Schl\u00fcssel"] * 4 + ["A"]
    assert rows.valid["product_code"].cat.categories.tolist() == ["A", "Schl\u00fcssel"]


def test_a_code_of_invisible_characters_only_is_missing() -> None:
    rows = read(f"{HEADER}{SOUND}\u00a0\u200b,1,2\n")

    assert rows.rejected["reason"].tolist() == ["product_code is missing"]


def test_codes_that_differ_only_by_case_stay_apart_and_are_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = read(f"{HEADER}SKU1,1,2\nsku1 ,1,2\nSku2,1,2\n1e5,1,2\n1E5,1,2\n")

    assert rows.valid["product_code"].nunique() == 5
    assert "upper and lower case" in caplog.text
    assert caplog.text.endswith("'1E5' and '1e5', 'SKU1' and 'sku1'.\n")
    caplog.clear()
    read(f"{HEADER}SKU1,1,2\nSKU1 ,1,2\nSKU2,1,2\nsku1,-1,2\n")
    assert caplog.text == ""


def test_a_code_of_the_greatest_length_is_valid() -> None:
    assert len(read(f"{HEADER}{'ß' * 200},1,2\n").valid) == 1


@pytest.mark.parametrize(
    "codes",
    [["007", "7", "08"], ["1e5", "2.0"], ["True", "False"], ["NA"], ["B", "007"], ["007", "B"]],
)
@pytest.mark.parametrize("bad_rows", ["", "A,-1,2\n"])
def test_codes_that_look_like_something_else_stay_as_they_are(
    codes: list[str], bad_rows: str
) -> None:
    rows = read(HEADER + "".join(f"{code},1,2\n" for code in codes) + bad_rows)

    assert rows.valid["product_code"].tolist() == codes


def test_numbers_at_their_limits_are_valid() -> None:
    assert len(read(f"{HEADER}A,1000000,100000\nA,0,0\n").valid) == 2


def test_columns_with_awkward_names_are_kept_apart() -> None:
    rows = read(
        "product_code,a,reason,a,,orders_placed,hours_to_dispatch\n"
        "SKU001,b,call me,c,d,1,2\n"
        "SKU001,b,call me,c,d,-1,2,e\n"
    )

    assert len(rows.valid) == 1
    assert rows.rejected.to_dict("records") == [
        {
            "product_code": "SKU001",
            "a_2": "b",
            "reason_3": "call me",
            "a_4": "c",
            "_5": "d",
            "orders_placed": "-1",
            "hours_to_dispatch": "2",
            "_8": "e",
            "reason": "orders_placed is negative; row has more fields than the header",
        }
    ]


def test_spaces_around_fields_and_names_do_not_matter() -> None:
    rows = read("product_code , orders_placed,hours_to_dispatch\n SKU001 , 1 , 2 \nSKU001,3,4\n")

    assert rows.valid["product_code"].tolist() == ["SKU001", "SKU001"]
    assert rows.valid["hours_to_dispatch"].tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEADER + SOUND,
        (HEADER + SOUND).replace("\n", "\r\n"),
        HEADER + "\n" + SOUND + "\n\n",
        (HEADER + SOUND).replace("\n", ",\n").replace("dispatch,", "dispatch"),
        "day,hours_to_dispatch,product_code,orders_placed\nFri,8.28,SKU001,112\nSat,0,SKU002,7.5\n",
    ],
    ids=["byte order mark", "CRLF", "blank lines", "final commas", "other columns and order"],
)
def test_harmless_variations_of_a_csv_are_read_in_full(text: str) -> None:
    rows = read(text)

    assert rows.valid["product_code"].tolist() == ["SKU001", "SKU002"]
    np.testing.assert_array_equal(rows.valid["hours_to_dispatch"], [8.28, 0.0])


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        (b"", ["it is empty"]),
        (b"\n\n", ["it is empty"]),
        (HEADER.encode(), ["no rows below the header"]),
        (b"product_code,orders_placed\nA,1\n", ["column hours_to_dispatch is missing"]),
        (
            b"code,orders_placed\n",
            [
                "column product_code is missing",
                "column hours_to_dispatch is missing",
                "the header reads 'code,orders_placed'",
                "no rows below the header",
            ],
        ),
        (
            (HEADER + SOUND).replace(",", ";").encode(),
            ["fields are separated by semicolons: the delimiter should be a comma"],
        ),
        (HEADER.replace("\n", ",product_code\nA,1,2,B").encode(), ["product_code is there twice"]),
        (b"\x89PNG\r\n\x1a\n\x00\x00", ["not UTF-8 text"]),
        (HEADER.encode() + b"A,1,2\n\xff\xfe,1,2\n", ["not UTF-8 text"]),
    ],
)
def test_what_is_not_a_csv_of_orders_is_refused_with_all_faults(
    content: bytes, faults: list[str]
) -> None:
    with pytest.raises(DatasetError) as refusal:
        read_order_rows(content)

    assert [fault for fault in faults if fault not in str(refusal.value)] == []


@pytest.mark.parametrize("body", ["A,True,2\nA,False,3\n", "A,1,TRUE\n"])
def test_a_column_of_nothing_but_truth_values_is_not_taken_for_numbers(body: str) -> None:
    rows = read(HEADER + body)

    assert rows.valid.empty
    assert rows.rejected["reason"].str.endswith("is not a number").all()


def test_bad_rows_in_every_chunk_of_a_long_file_are_set_aside_and_none_is_lost() -> None:
    rows = read(f"{HEADER}SKU001,-1,1\n{CHUNK_ROWS // 2 * SOUND}SKU001,1,soon\n")

    assert len(rows.valid) == CHUNK_ROWS // 2 * 2
    assert rows.rejected["reason"].tolist() == [
        "orders_placed is negative",
        "hours_to_dispatch is not a number",
    ]
    assert rows.valid["orders_placed"].sum() == CHUNK_ROWS // 2 * (112 + 7.5)
