"""Codes close to an unknown one are found, the closest alone, whatever the number of products."""

import random

import pytest

from pipeline.model.similar_codes import MAX_CODE_LETTERS, MAX_SIMILAR_CODES, SimilarCodes

CODES = [*(f"SKU{n:03}" for n in range(1, 11)), "Pump-07/b", "PUMP 7A", "Größe É", "8", "~"]
SIMILAR = {
    "another case": ("sku001", ["SKU001"]),
    "too few zeros": ("SKU1", ["SKU001"]),
    "too many zeros": ("SKU0001", ["SKU001"]),
    "a hyphen": ("SKU-001", ["SKU001"]),
    "blanks": (" sku 001\n", ["SKU001"]),
    "all of these": ("pump 007_B", ["Pump-07/b"]),
    "only zeros in the middle": ("PUMP007B", ["Pump-07/b"]),
    "wide letters": ("ＳＫＵ００１", ["SKU001"]),
    "an accent apart": ("GRÖSSE E\u0301", ["Größe É"]),
    "a letter is missing": ("SK001", ["SKU001"]),
    "a letter too many": ("SKUU001", ["SKU001"]),
    "two letters swapped": ("SUK001", ["SKU001"]),
    "letters instead of zeros": ("SKUOO1", ["SKU001"]),
    "another digit": ("SKU011", ["SKU001", "SKU010"]),
    "between two": ("pump-7", ["Pump-07/b", "PUMP 7A"]),
    "one digit": ("08", ["8"]),
    "one other digit": ("9", []),
    "nothing like it": ("VALVE", []),
    "no letter": ("~~", []),
    "empty": ("", []),
    "no character": ("\ud800", []),
    "too long": ("SKU001" + " " * MAX_CODE_LETTERS, []),
}


@pytest.mark.parametrize(("code", "similar"), SIMILAR.values(), ids=SIMILAR.keys())
def test_the_closest_codes_are_found(code: str, similar: list[str]) -> None:
    assert SimilarCodes(CODES).similar_to(code) == similar


def test_of_many_close_codes_the_closest_as_written_are_named() -> None:
    codes = [f"SKU{n}" for n in range(10, 100)]
    similar = SimilarCodes([*codes, "sku-5 "]).similar_to("SKU5")
    assert similar == ["sku-5 "]
    similar = SimilarCodes(["A-1", "a1", "A1 ", *codes, "a-1", "A01", "a.1"]).similar_to("A 1")
    assert (len(similar), similar[0]) == (MAX_SIMILAR_CODES, "A-1")


@pytest.mark.parametrize("place", range(11))
def test_one_wrong_letter_among_very_many_products_is_found_wherever_it_is(place: int) -> None:
    drawn = random.Random(3)
    codes = {f"{drawn.choice('ABCDE')}-{drawn.randrange(10**9):09}" for _ in range(20_000)}
    meant = min(codes)
    wrong = f"{meant[:place]}X{meant[place + 1 :]}"
    assert SimilarCodes(list(codes)).similar_to(wrong)[:1] == [meant]
