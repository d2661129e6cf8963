"""All products of a week as the report lists them: their rows, error and movement.

The columns go into the page as data, and its script searches and sorts them. Without the script,
the first rows are there.
"""

import json
from typing import NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline.model.arrays import Floats
from pipeline.model.metadata import DOUBTS, REMARKS, ModelMetadata
from pipeline.report.formatting import short
from pipeline.training.evaluation import GridEstimates

MAX_PRODUCTS = 20_000
"""Those with the most rows; more would make a page of several megabytes."""
SIGNIFICANT_DIGITS = 4


class ListedProduct(NamedTuple):
    """A product as the table has it.

    Attributes:
        code: its code, short enough for a line.
        rows: its valid rows of this week.
        error: mean absolute error on its test rows, in hours; None without test rows.
        movement: how many times as high its estimates are as the champion's; None without these.
        remarks: what deserves a second look, doubts first.
    """

    code: str
    rows: int
    error: float | None
    movement: float | None
    remarks: str


def list_products(
    metadata: ModelMetadata, errors: "pd.Series[float]", grid: GridEstimates, ratios: Floats | None
) -> list[ListedProduct]:
    """Return the products with orders this week, those with the largest error first.

    Args:
        metadata: of the model.
        errors: mean absolute error of products on test rows, by code.
        grid: what the ratios are of.
        ratios: challenger's to champion's estimates, NaN where there are none; None without these.
    """
    moved = {} if ratios is None else dict(zip(grid.products, ratios.tolist(), strict=True))
    remarks = _remarks(metadata)
    largest = sorted(metadata.own_rows.items(), key=lambda item: -item[1])[:MAX_PRODUCTS]
    found = errors.to_dict()
    listed = [
        ListedProduct(
            short(code), rows, _rounded(found.get(code)), _rounded(moved.get(code)),
            ", ".join(remarks.get(code, ())),
        )
        for code, rows in largest
    ]  # fmt: skip
    return sorted(listed, key=lambda one: -1.0 if one.error is None else one.error, reverse=True)


def as_data(products: list[ListedProduct]) -> Markup:
    """Return products as columns in JSON that may stand in a script element."""
    columns = {
        name: [getattr(product, name) for product in products] for name in ListedProduct._fields
    }
    text = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704  # nothing ends the element


def _remarks(metadata: ModelMetadata) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for remark in (*DOUBTS, *(name for name in REMARKS if name not in DOUBTS)):
        for code in getattr(metadata.remarks, remark):
            found.setdefault(code, []).append(remark.replace("_", " "))
    return found


def _rounded(value: float | None) -> float | None:
    if value is None or not np.isfinite(value):
        return None
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
