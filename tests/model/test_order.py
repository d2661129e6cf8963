"""The product code that a text stands for."""

import pytest

from pipeline.model.order import MAX_PRODUCT_CODE_LENGTH, normalised_code

CODE = "Schl\u00fcssel 1"
SAME_CODE = {
    "blanks": f" \t{CODE} ",
    "no-break space": f"{CODE}\u00a0",
    "wide blanks": f"\u2003{CODE}\u3000\u202f",
    "line breaks": f"{CODE}\r\n",
    "accent apart": "Schlu\u0308ssel 1",
    "zero-width space": f"{CODE}\u200b",
    "joiners within": "Schl\u200d\u00fc\u200css\u2060el 1",
    "joiner before an accent": "Schlu\u200d\u0308ssel 1",
    "byte order mark": f"\ufeff{CODE}",
    "soft hyphen": "Schl\u00fcs\u00adsel 1",
    "direction": f"\u200e\u202a{CODE}\u202c",
    "blanks between invisible characters": f"\u200b \u200b{CODE}\u200b \u200b",
}


@pytest.mark.parametrize("text", SAME_CODE.values(), ids=SAME_CODE.keys())
def test_what_nobody_sees_makes_no_other_code(text: str) -> None:
    assert normalised_code(text) == CODE == normalised_code(CODE)


@pytest.mark.parametrize(
    "code",
    ["SKU  001", "sku001", "007", "\x00SKU001", "SKU001\x1c", "\x1fß", "\U0001f680"]
    + ["a\u00a0b", "\ud800", ""],
)
def test_all_else_makes_another_code(code: str) -> None:
    assert normalised_code(code) == code


def test_a_text_too_long_for_a_code_takes_no_time() -> None:
    accents = "\u0300\u0316" * MAX_PRODUCT_CODE_LENGTH

    assert normalised_code(accents) == accents
