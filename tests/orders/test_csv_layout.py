"""Headers and delimiters that other programs write are told from those that they should be."""

import pytest

from pipeline.stages.errors import DatasetError
from tests.support.order_files import read_order_rows

HEADER = "product_code,orders_placed,hours_to_dispatch\n"
SOUND = "SKU001,112,8.28\n"


@pytest.mark.parametrize(
    "names",
    [
        ("Product_Code", "Orders_Placed", "HOURS_TO_DISPATCH"),
        ("product code", "Orders Placed", "hours-to-dispatch"),
        ("ProductCode", "ordersplaced", "Hours to dispatch"),
        ("product", "orders", "hours_dispatch"),
        ("product_codes", "order_placed", "hours_to_dispach"),
        ("\u200bproduct_code", "orders_placed.", "hours_to_dispatch [h]"),
    ],
)
def test_names_that_nearly_match_are_told_with_the_right_ones(names: tuple[str, ...]) -> None:
    with pytest.raises(DatasetError) as refusal:
        read_order_rows(f"day,{','.join(names)}\nFri,{SOUND}".encode())

    for name, column in zip(names, HEADER.strip().split(",")):
        assert f"the column {column} is missing: should {name!r} read {column}?" in str(
            refusal.value
        )


def test_a_name_is_not_suggested_where_none_is_near() -> None:
    with pytest.raises(DatasetError) as refusal:
        read_order_rows(f"day,product_code,orders_placed\nFri,{SOUND}".encode())

    assert refusal.value.message.headline.endswith(": the column hours_to_dispatch is missing.")


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("sep=,\r\n" + HEADER + SOUND, ["Excel's 'sep='", "Remove that line"]),
        ("SEP=;\n" + HEADER.replace(",", ";"), ["Excel's 'sep='"]),
        (
            (HEADER + SOUND).replace(",", ";").replace(".", ","),
            ["separated by semicolons", "a decimal comma", "Save it as CSV in UTF-8"],
        ),
        ((HEADER + SOUND).replace(",", "\t"), ["separated by tabs", "should be a comma"]),
        ((HEADER + SOUND).replace(",", "|"), ["separated by vertical bars"]),
        (SOUND * 2, ["it has no header", "'SKU001,112,8.28'"]),
    ],
)
def test_another_sort_of_csv_is_named(text: str, facts: list[str]) -> None:
    with pytest.raises(DatasetError) as refusal:
        read_order_rows(text.encode())

    assert [fact for fact in facts if fact not in str(refusal.value)] == []
    assert "is missing" not in str(refusal.value)


def test_columns_that_are_not_used_are_listed_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for bad_row in ("", "Sat,x,SKU001,-1,2,\n"):
        caplog.clear()
        read_order_rows(f"day,note,{HEADER.strip()},\nFri,x,{SOUND.strip()},\n{bad_row}".encode())
        assert caplog.messages == ["Columns not used: 'day', 'note'."]
    caplog.clear()
    read_order_rows((HEADER + SOUND).encode())
    assert caplog.messages == []
