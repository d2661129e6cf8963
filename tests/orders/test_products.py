"""Products of rows as numbers."""

from typing import Any

import pandas as pd
import pytest

from pipeline.orders.products import positions_of

CODES = pd.Series(["B", "A", "B", "D", "C"])


@pytest.mark.parametrize("codes", [CODES, CODES.astype(object), CODES.astype("category")])
def test_products_are_numbered_by_their_codes(codes: "pd.Series[Any]") -> None:
    positions, sorted_codes = positions_of(codes)

    assert (positions.tolist(), sorted_codes.tolist()) == ([1, 0, 1, 3, 2], ["A", "B", "C", "D"])


def test_products_without_rows_are_left_out() -> None:
    some = CODES.astype("category")[[0, 3, 4]]

    positions, codes = positions_of(some)

    assert (positions.tolist(), codes.tolist()) == ([0, 2, 1], ["B", "C", "D"])
