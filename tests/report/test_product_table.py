"""The list of all products in a report, and the words for what changes for whom."""

import json
from typing import Any

import numpy as np
import pandas as pd

from pipeline.model.metadata import CatalogueChange
from pipeline.report.changes import changes_in_words
from pipeline.report.product_table import ListedProduct, as_data, list_products
from pipeline.training.evaluation import GridEstimates
from tests.support.builders import KEPT, comparison, metadata

NO_GRID = np.zeros((0, 0))


def grid_of(products: list[str]) -> GridEstimates:
    return GridEstimates(np.array(products, dtype=object), NO_GRID, NO_GRID)


def test_products_are_listed_with_error_movement_and_remarks_the_worst_first() -> None:
    codes = ["A", "B", "C"]
    facts = metadata(codes, catalogue={"rows": [3, 2, 1]}, remarks={"wide": ["B"], "unfit": ["B"]})
    errors = pd.Series({"A": 0.51234, "B": 1.0})

    listed = list_products(facts, errors, grid_of(codes), np.array([1.5, np.nan, 0.0]))

    assert listed == [
        ListedProduct("B", 2, 1.0, None, "unfit, wide"),
        ListedProduct("A", 3, 0.5123, 1.5, ""),
        ListedProduct("C", 1, None, 0.0, ""),
    ]
    assert list_products(facts, errors, grid_of(codes), None)[1].movement is None


def test_very_many_products_stay_small_and_none_ends_the_element() -> None:
    codes = sorted(["</script>", *(f"PART-{number:08}" for number in range(10_000))])
    rows = np.arange(len(codes)) + 1
    facts = metadata(codes, catalogue={"rows": rows.tolist()})
    errors = pd.Series(np.linspace(0.123456, 99.0, len(codes)), codes)

    data = as_data(list_products(facts, errors, grid_of(codes), np.linspace(0.5, 2, len(codes))))

    assert len(data) < 600_000
    assert "</script>" not in data
    assert "</script>" in json.loads(data)["code"]


def test_what_changes_is_told_to_people() -> None:
    apart = {"product_code": ["N"], "share": 0.1, "by_chance": 0}
    moved = comparison(
        median_ratio=1.04,
        shifts=[
            {"product_code": code, "ratio": ratio, "rows": 9}
            for code, ratio in {"A": 1.5, "B": 0.75, "C": 1.001}.items()
        ],
    )
    difference = CatalogueChange.model_validate({"vanished": apart, "new": apart, "rewritten": []})
    dropped = [{"reason": "retired", "product_code": ["X", "Y"]}]
    changes: dict[str, Any] = {
        "catalogue_change": difference,
        "earlier_weeks": [KEPT],
        "dropped": dropped,
    }

    told = changes_in_words(metadata(comparison=moved, **changes)).replace("\u00a0", " ")

    assert told == (
        "Customers see 4 % more hours for the typical product. "
        "Most for A 50 % more hours; B 25 % fewer hours. New: 1 product. "
        f"Without orders this week, on an older curve: {len(KEPT['product_code'])} product. "
        "Gone, without an estimate from now on: 2 products."
    )
    same = comparison(median_ratio=1.0, shifts=[])
    refused = metadata(comparison=same, refused_because=["R² is too low"])
    assert (
        changes_in_words(refused) == "Customers would see the same hours for the typical product."
    )
    assert changes_in_words(metadata()).startswith("There is no model to compare with.")
