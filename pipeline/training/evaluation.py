"""Metrics of a model and the rules that it must keep, as pure functions."""

import reprlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import mean_absolute_error, r2_score

from pipeline.curves.estimator import DispatchCurve
from pipeline.curves.noise import MEAN_OF_NORMAL, OUTLIER_DISTANCE
from pipeline.curves.segments import Floats
from pipeline.model.metadata import Metrics, Outliers
from pipeline.model.order import FEATURES, HOURS, ORDERS, PRODUCT
from pipeline.training.selection import Judged

GRID_POINTS = 41
MAX_OVERSHOOT = 1.25
ROUNDING_HOURS = 1e-9
NEAR_NOISE_FLOOR = 1.1
"""A model whose error is within this factor of the noise floor cannot be made much better."""


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
        points = pd.DataFrame({PRODUCT: products, ORDERS: self.orders.ravel()})
        return points.reindex(columns=FEATURES)


def compute_metrics(test: Judged, noise_hours: Floats, train_rows: int) -> Metrics:
    """Judge a model on test rows.

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
        noise_floor_hours=float(noise_hours.mean() * MEAN_OF_NORMAL),
        train_rows=train_rows,
        test_rows=len(truth),
    )


def r_squared_failures(metrics: Metrics, threshold: float, option: str) -> list[str]:
    """Return why R² does not reach a threshold, or nothing if it does.

    R² measures the error against how much the hours of the week vary. In a quiet week they vary
    little, and even a perfect model has a low R²; the reason then says so.

    Args:
        metrics: of the model.
        threshold: smallest R² that is good enough.
        option: of the command line that sets the threshold, for the message.
    """
    if metrics.r_squared is None:
        return [f"R² is not defined: the hours of all test rows ({metrics.test_rows:,}) agree"]
    if metrics.r_squared >= threshold:
        return []
    failure = f"R² {metrics.r_squared:.4f} is below {option} {threshold:g}"
    error, floor = metrics.mean_absolute_error_hours, metrics.noise_floor_hours
    if error > NEAR_NOISE_FLOOR * floor:
        return [failure]
    return [
        f"{failure}, though the mean absolute error of {error:.2f} h is at the noise floor of "
        f"{floor:.2f} h: either the hours of this week vary too little for a high R², and a lower "
        f"{option} accepts that, or they depend on something else than product and orders placed"
    ]


def outlier_failures(outliers: Outliers, max_share: float) -> list[str]:
    """Return that too many labels are far from the model, or nothing if they are few."""
    if outliers.share <= max_share:
        return []
    return [
        f"{outliers.rows:,} rows ({outliers.share:.1%}) are farther than {OUTLIER_DISTANCE:g} "
        f"robust standard deviations from the model, more than --max-outlier-share {max_share:g} "
        "allows"
    ]


def estimate_on_grid(model: DispatchCurve, orders: pd.DataFrame) -> GridEstimates:
    """Ask a model for every product of these rows, from zero to the most orders placed."""
    most_orders = orders.groupby(PRODUCT, observed=True)[ORDERS].max().sort_index()
    products = most_orders.index.to_numpy(dtype=object)
    grid = np.linspace(0.0, most_orders.to_numpy(), GRID_POINTS, axis=1)
    empty = GridEstimates(products, grid, np.zeros_like(grid))
    return empty._replace(hours=model.predict(empty.points()).reshape(grid.shape))


def behaviour_failures(grid: GridEstimates, largest_label_hours: float) -> list[str]:
    """Return the rules of behaviour that a model breaks.

    Estimates must not fall as orders rise, be negative, exceed 1.25 times the largest label, or
    be flat for all products.
    """
    limit = MAX_OVERSHOOT * largest_label_hours
    largest_fall = -np.diff(grid.hours, axis=1).min(axis=1)
    least, most = grid.hours.min(axis=1), grid.hours.max(axis=1)
    broken = {
        f"estimates fall by up to {largest_fall.max():.2f} h as orders rise": (
            largest_fall > ROUNDING_HOURS
        ),
        f"estimates are negative, down to {least.min():.2f} h,": least < 0,
        f"estimates reach {most.max():.2f} h, more than {MAX_OVERSHOOT:g} times the largest label "
        f"({largest_label_hours:.2f} h),": most > limit + ROUNDING_HOURS,
    }
    failures = [
        f"{rule} for {listed([str(code) for code in grid.products[where]])}"
        for rule, where in broken.items()
        if where.any()
    ]
    if len(flat_products(grid)) == len(grid.products):
        failures.append("estimates do not depend on orders placed for any product")
    return failures


def flat_products(grid: GridEstimates) -> tuple[str, ...]:
    """Return the products whose estimate is the same for every number of orders seen."""
    flat = np.ptp(grid.hours, axis=1) <= ROUNDING_HOURS
    return tuple(map(str, grid.products[flat]))


def listed(products: Sequence[str]) -> str:
    """Return the first few product codes in words, on one line however odd they are."""
    shown = ", ".join(map(reprlib.repr, products[:5]))
    return shown if len(products) <= 5 else f"{shown} and {len(products) - 5:,} more"
