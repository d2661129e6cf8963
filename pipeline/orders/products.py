"""The products of rows as numbers, which are far faster to compare than their codes."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def positions_of(products: "pd.Series[Any]") -> tuple[npt.NDArray[np.intp], "pd.Index[str]"]:
    """Number the products of rows by their codes.

    Args:
        products: code of each row, as text or as sorted categories, shape (n_rows,).

    Returns:
        Position of each row's product among the codes, shape (n_rows,), and the sorted codes that
        occur, shape (n_products,).
    """
    if not isinstance(products.dtype, pd.CategoricalDtype):
        positions, codes = pd.factorize(products, sort=True)
        return positions, pd.Index(codes)
    numbers = products.cat.codes.to_numpy()
    occurs = np.bincount(numbers, minlength=len(products.cat.categories)) > 0
    if occurs.all():
        return numbers.astype(np.intp), products.cat.categories
    return (np.cumsum(occurs) - 1)[numbers], products.cat.categories[occurs]


def positions_among(codes: "pd.Index[str]", products: "pd.Series[Any]") -> npt.NDArray[np.intp]:
    """Return where the products of rows stand among codes, shape (n_rows,); -1 for others.

    Args:
        codes: of text, sorted or not, no two alike.
        products: code of each row, as text or as categories, shape (n_rows,).
    """
    if not isinstance(products.dtype, pd.CategoricalDtype):
        return codes.get_indexer(pd.Index(products))
    of_categories = codes.get_indexer(products.cat.categories)
    return of_categories[products.cat.codes.to_numpy()]
