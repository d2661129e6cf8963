"""How good a model is on rows that it was not fitted on, and what it says over a grid of orders."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import mean_absolute_error, r2_score

from pipeline.curves.estimator import DispatchCurve
from pipeline.curves.noise import MEAN_ABSOLUTE_NORMAL
from pipeline.model.arrays import Floats
from pipeline.model.metadata import Metrics
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.orders.features import features_of
from pipeline.training.selection import OutOfSample

GRID_POINTS = 41
ROUNDING_HOURS = 1e-9
"""Estimates that differ by less, by rounding, are the same."""


class GridEstimates(NamedTuple):
    """Estimates for every product, from zero to the most orders placed that were seen with it.

    Attributes:
        products: sorted product codes, shape (n_products,).
        orders: evenly spaced order counts, shape (n_products, 41).
        hours: estimates for them, of the same shape.
    """

    products: npt.NDArray[np.object_]
    orders: Floats
    hours: Floats

    def points(self) -> pd.DataFrame:
        """Return product and orders placed of all points, product by product."""
        products = np.repeat(self.products, self.orders.shape[1])
        return features_of(pd.DataFrame({PRODUCT: products, ORDERS: self.orders.ravel()}))


def compute_metrics(test: OutOfSample, noise_hours: Floats, train_rows: int) -> Metrics:
    """Measure how good a model is on test rows.

    Args:
        test: rows that the model was not fitted on, without outliers.
        noise_hours: standard deviation of the noise of these rows, shape (n_rows,).
        train_rows: number of rows that the model was fitted on.
    """
    truth = test.rows[HOURS].to_numpy()
    varies = len(truth) > 0 and np.ptp(truth) > 0
    return Metrics(
        r_squared=float(r2_score(truth, test.estimates)) if varies else None,
        mean_absolute_error_hours=float(mean_absolute_error(truth, test.estimates)),
        # σ · E |Z|: the mean absolute error of a perfect model
        noise_floor_hours=float(noise_hours.mean() * MEAN_ABSOLUTE_NORMAL),
        train_rows=train_rows,
        test_rows=len(truth),
    )


def estimate_on_grid(model: DispatchCurve, orders: pd.DataFrame) -> GridEstimates:
    """Ask a model for every product of these rows, from zero to the most orders placed."""
    most_orders = orders.groupby(PRODUCT, observed=True)[ORDERS].max().sort_index()
    products = most_orders.index.to_numpy(dtype=object)
    grid = np.linspace(0.0, most_orders.to_numpy(), GRID_POINTS, axis=1)
    empty = GridEstimates(products, grid, np.zeros_like(grid))
    return empty._replace(hours=model.predict(empty.points()).reshape(grid.shape))


def flat_products(grid: GridEstimates) -> tuple[str, ...]:
    """Return the products whose estimate is the same for every number of orders seen."""
    flat = np.ptp(grid.hours, axis=1) <= ROUNDING_HOURS
    return tuple(map(str, grid.products[flat]))
