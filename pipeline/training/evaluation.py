"""How good a model is on rows that it was not fitted on, and what it says over a grid of orders."""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import r2_score

from pipeline.curves.estimator import DispatchCurve
from pipeline.curves.noise import MEAN_ABSOLUTE_NORMAL
from pipeline.model.arrays import Floats
from pipeline.model.metadata import Metrics
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.orders.features import features_of
from pipeline.training.selection import OutOfSample

GRID_POINTS, MIN_GRID_POINTS, MAX_POINTS = 41, 9, 4_000_000
"""Points of each product; of many products fewer, down to one for each knot of a curve."""
ROUNDING_HOURS = 1e-9
"""Estimates that differ by less, by rounding, are the same."""
MAX_SOME_POINTS = 500_000
PRODUCTS_AT_ONCE = 20_000
"""So that the points of a million products, as rows, take no memory."""


class GridEstimates(NamedTuple):
    """Estimates for every product, from zero to the most orders placed that were seen with it.

    Attributes:
        products: sorted product codes, shape (n_products,).
        orders: evenly spaced order counts, shape (n_products, n_points).
        hours: estimates for them, of the same shape.
    """

    products: npt.NDArray[np.object_]
    orders: Floats
    hours: Floats

    def filled(self, estimate: Callable[[pd.DataFrame], Floats]) -> Self:
        """Return the grid with a model's estimates, asked for 20,000 products at a time."""
        hours = np.empty_like(self.orders)
        for start in range(0, len(hours), PRODUCTS_AT_ONCE):
            part = slice(start, start + PRODUCTS_AT_ONCE)
            some = GridEstimates(self.products[part], self.orders[part], hours[part])
            hours[part] = estimate(some.points()).reshape(hours[part].shape)
        return self._replace(hours=hours)

    def points(self) -> pd.DataFrame:
        """Return product and orders placed of all points, product by product."""
        products = np.repeat(self.products, self.orders.shape[1])
        return features_of(pd.DataFrame({PRODUCT: products, ORDERS: self.orders.ravel()}))

    def some_points(self) -> pd.DataFrame:
        """Return some of the points: at most 500,000, or one of each product if that is more."""
        n_products, n_points = self.orders.shape
        per_product = int(np.clip(MAX_SOME_POINTS // max(n_products, 1), 1, n_points))
        # Other points of each product, so that all are there.
        shift = np.arange(n_products)[:, np.newaxis]
        taken = (shift + np.arange(per_product) * n_points // per_product) % n_points
        orders = np.take_along_axis(self.orders, np.sort(taken, axis=1), axis=1)
        return self._replace(orders=orders).points()


def compute_metrics(
    test: OutOfSample, is_inlier: npt.NDArray[np.bool_], noise_hours: Floats, train_rows: int
) -> Metrics:
    """Measure how good a model is on test rows.

    Args:
        test: rows that the model was not fitted on.
        is_inlier: which of them are no outliers, shape (n_rows,).
        noise_hours: standard deviation of the noise of the rows, shape (n_rows,).
        train_rows: number of rows that the model was fitted on.
    """
    inliers = test.where(is_inlier)
    return Metrics(
        r_squared=_r_squared(inliers),
        mean_absolute_error_hours=float(np.abs(inliers.residuals).mean()),
        # σ · E |Z|: the mean absolute error of a perfect model
        noise_floor_hours=float(noise_hours[is_inlier].mean() * MEAN_ABSOLUTE_NORMAL),
        train_rows=train_rows,
        test_rows=len(inliers.rows),
        r_squared_with_outliers=_r_squared(test),
        mean_absolute_error_with_outliers_hours=float(np.abs(test.residuals).mean()),
    )


def _r_squared(test: OutOfSample) -> float | None:
    """Return R², or None where all hours are the same."""
    truth = test.rows[HOURS].to_numpy()
    return float(r2_score(truth, test.estimates)) if np.ptp(truth) > 0 else None


def estimate_on_grid(model: DispatchCurve, most_orders: "pd.Series[float]") -> GridEstimates:
    """Ask a model for every product, from zero to the most orders placed.

    Args:
        model: gives the estimates.
        most_orders: of each product, by its code, sorted.
    """
    products = most_orders.index.to_numpy(dtype=object)
    points = int(np.clip(MAX_POINTS // len(products), MIN_GRID_POINTS, GRID_POINTS))
    grid = np.linspace(0.0, most_orders.to_numpy(dtype=float), points, axis=1, dtype=float)
    return GridEstimates(products, grid, grid).filled(model.predict)


def is_flat(grid: GridEstimates) -> bool:
    """Tell whether no estimate depends on the orders placed."""
    return len(flat_products(grid)) == len(grid.products)


def flat_products(grid: GridEstimates) -> tuple[str, ...]:
    """Return the products whose estimate is the same for every number of orders seen."""
    flat = np.ptp(grid.hours, axis=1) <= ROUNDING_HOURS
    return tuple(map(str, grid.products[flat]))
