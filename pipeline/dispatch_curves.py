"""Regressors from product and orders placed to hours to dispatch, as scikit-learn estimators."""

from typing import NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from pipeline.order_rows import ORDERS, PRODUCT

FEATURES = [PRODUCT, ORDERS]
ROUNDING = 1e-9
"""Order counts of a product that differ by less than this share of their mean are the same."""

Floats = npt.NDArray[np.float64]


class DispatchCurve(Protocol):
    """What the rest of the pipeline asks of a fitted regressor."""

    def predict(self, X: pd.DataFrame) -> Floats:
        """Return the estimated hours to dispatch, shape (n_rows,).

        Args:
            X: columns `product_code` and `orders_placed`, shape (n_rows, 2).

        Raises:
            ValueError: a product was not among those fitted.
        """


class PerProductLine(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A straight line for each product: hours = intercept + slope · orders, never below zero.

    The lines are fitted by least squares under the condition that no slope is negative, which
    for a line with a free intercept means that a negative slope becomes zero and the intercept
    the mean. Where the rows of a product say nothing reliable about its slope (they are fewer
    than `min_rows`, or all at one order count), the line goes through the mean of the product with
    the slope that all products have in common (the pooled within-product slope).

    Args:
        min_rows: a product with fewer rows takes the common slope.

    Attributes:
        products_: sorted product codes, shape (n_products,).
        intercepts_: hours at zero orders, shape (n_products,).
        slopes_: hours per order placed, not negative, shape (n_products,).
        borrowed_: whether a product took the common slope, shape (n_products,).
        clipped_: whether hours fell as orders rose, so that the slope was set to zero, shape
            (n_products,).
    """

    products_: npt.NDArray[np.object_]
    intercepts_: Floats
    slopes_: Floats
    borrowed_: npt.NDArray[np.bool_]
    clipped_: npt.NDArray[np.bool_]

    def __init__(self, min_rows: int = 5) -> None:
        """Store the parameters."""
        self.min_rows = min_rows

    def fit(self, X: pd.DataFrame, y: npt.ArrayLike) -> Self:
        """Fit one line per product.

        Args:
            X: columns `product_code` and `orders_placed`, shape (n_rows, 2).
            y: hours to dispatch, shape (n_rows,).
        """
        hours = np.asarray(y, dtype=float)
        check_consistent_length(X, hours)
        product, codes = pd.factorize(X[PRODUCT], sort=True)
        sums = _product_sums(product, X[ORDERS].to_numpy(dtype=float), hours)
        all_at_one_count = sums.spread <= sums.rows * (ROUNDING * sums.mean_orders) ** 2
        own_slopes = sums.covariation / np.where(all_at_one_count, 1.0, sums.spread)
        usable = np.where(all_at_one_count, 0.0, sums.spread).sum() > 0
        common_slope = sums.covariation.sum() / sums.spread.sum() if usable else 0.0

        self.products_ = np.asarray(codes, dtype=object)
        self.borrowed_ = (sums.rows < self.min_rows) | all_at_one_count
        slopes = np.where(self.borrowed_, common_slope, own_slopes)
        self.clipped_ = slopes < 0
        self.slopes_ = np.maximum(slopes, 0.0)
        self.intercepts_ = sums.mean_hours - self.slopes_ * sums.mean_orders
        self.feature_names_in_ = np.asarray(FEATURES, dtype=object)
        self.n_features_in_ = len(FEATURES)
        return self

    def predict(self, X: pd.DataFrame) -> Floats:
        """See `DispatchCurve.predict`; the estimates are not negative."""
        check_is_fitted(self)
        product = pd.Index(self.products_).get_indexer(pd.Index(X[PRODUCT]))
        if (product < 0).any():
            unknown = sorted(set(X[PRODUCT][product < 0]))
            raise ValueError(f"Unknown product codes: {', '.join(map(repr, unknown[:5]))}")
        orders = X[ORDERS].to_numpy(dtype=float)
        hours: Floats = self.intercepts_[product] + self.slopes_[product] * orders
        return np.maximum(hours, 0.0)


class _ProductSums(NamedTuple):
    """What least squares needs to know of each product; all of shape (n_products,).

    Attributes:
        rows: number of rows.
        mean_orders: mean of the orders placed.
        mean_hours: mean of the hours to dispatch.
        spread: sum of (orders - mean orders)².
        covariation: sum of (orders - mean orders) · (hours - mean hours).
    """

    rows: Floats
    mean_orders: Floats
    mean_hours: Floats
    spread: Floats
    covariation: Floats


def _product_sums(product: npt.NDArray[np.intp], orders: Floats, hours: Floats) -> _ProductSums:
    """Sum over the rows of each product, in two passes for the sake of precision."""

    def sum_by_product(values: Floats) -> Floats:
        return np.bincount(product, weights=values).astype(float)

    rows = sum_by_product(np.ones_like(orders))
    mean_orders = sum_by_product(orders) / rows
    mean_hours = sum_by_product(hours) / rows
    orders_from_mean = orders - mean_orders[product]
    spread = sum_by_product(orders_from_mean**2)
    covariation = sum_by_product(orders_from_mean * (hours - mean_hours[product]))
    return _ProductSums(rows, mean_orders, mean_hours, spread, covariation)
