"""Columns come back from text as they were."""

import numpy as np
import pytest

from pipeline.model.columns import pack, pack_texts, unpack, unpack_texts

CODES = ["SKU001", "Schraube Ø 5\n", "", "部品"]


def test_columns_and_texts_come_back() -> None:
    content, lengths = pack_texts(CODES)
    columns = {"content": content, "lengths": lengths, "hours": np.eye(2), "none": np.zeros((0, 3))}

    text = pack(columns)
    found = unpack(text)

    assert found.keys() == columns.keys()
    assert all(np.array_equal(found[name], columns[name]) for name in columns)
    assert unpack_texts(found["content"], found["lengths"]) == CODES
    assert pack(columns) == text


@pytest.mark.parametrize("text", ["", "no base64!", "bm90aGluZw=="])
def test_other_text_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no columns"):
        unpack(text)


@pytest.mark.parametrize("lengths", [[1], [-1, 3], [3]])
def test_lengths_that_do_not_fit_are_told(lengths: list[int]) -> None:
    content, _ = pack_texts(["ab"])
    with pytest.raises(ValueError, match="add up"):
        unpack_texts(content, np.array(lengths))
