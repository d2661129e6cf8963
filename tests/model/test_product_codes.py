"""Codes in little memory behave like a sorted list of strings, and tell where each stands."""

import random

import numpy as np
import pytest

from pipeline.model.product_codes import ProductCodes

ODD = sorted(["SKU001", "SKU001 ", "Schraube Ø 5\n", "\n", "\0", "部品", "😀", "a\nb"])
MANY = sorted(f"{number:x}" for number in random.Random(1).sample(range(10**9), 20_000))


@pytest.mark.parametrize("codes", [ODD, MANY, ["A"]], ids=["odd", "many", "one"])
def test_they_are_a_sequence_in_which_each_code_is_found(codes: list[str]) -> None:
    found = ProductCodes(codes)

    assert [*found] == codes and len(found) == len(codes)
    assert found[-1] == codes[-1] and found[1:3] == tuple(codes[1:3])
    assert [found.position(code) for code in codes] == [*range(len(codes))]
    assert found.positions(codes).tolist() == [*range(len(codes))]
    assert found.known_positions(codes[::-1]).tolist() == [*range(len(codes))][::-1]
    assert found.index(codes[-1]) == len(codes) - 1
    assert found.those_of(np.arange(len(codes)) == 0) == (codes[0],)


@pytest.mark.parametrize("text", ["", "SKU00", "sku001", "b", "\ud800", "\uffff" * 300])
def test_other_texts_are_not_found(text: str) -> None:
    codes = ProductCodes(ODD)

    assert text not in codes and codes.position(text) is None
    assert codes.positions(["\n", text]).tolist() == [1, -1]
    with pytest.raises(ValueError, match="is not among the 8 codes"):
        codes.index(text)
    with pytest.raises(KeyError):
        codes.known_positions(["\n", text])


def test_there_may_be_none() -> None:
    assert not ProductCodes([])
    with pytest.raises(IndexError):
        ProductCodes(["A"])[1]
