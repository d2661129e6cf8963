"""Metrics of a model and the rules that it must keep, as pure functions."""

import reprlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import mean_absolute_error, r2_score

from pipeline.dispatch_curves import FEATURES, DispatchCurve, Floats
from pipeline.model_lineage import Metrics
from pipeline.model_selection import Split
from pipeline.order_rows import HOURS, ORDERS, PRODUCT

GRID_POINTS = 21
MAX_OVERSHOOT = 1.25
ROUNDING_HOURS = 1e-9


class GridEstimates(NamedTuple):
    """Estimates for every product, from zero to the most orders placed that were seen with it.

    Attributes:
        products: product codes, shape (n_products,).
        hours: estimates at evenly spaced order counts, shape (n_products, 21).
    """

    products: npt.NDArray[np.object_]
    hours: Floats


def compute_metrics(model: DispatchCurve, split: Split) -> Metrics:
    """Judge a model that was fitted on the training rows on the test rows."""
    truth = split.test[HOURS].to_numpy()
    estimates = model.predict(split.test[FEATURES])
    return Metrics(
        r_squared=float(r2_score(truth, estimates)) if np.ptp(truth) > 0 else None,
        mean_absolute_error_hours=float(mean_absolute_error(truth, estimates)),
        train_rows=len(split.train),
        test_rows=len(split.test),
    )


def r_squared_failures(metrics: Metrics, threshold: float, option: str) -> list[str]:
    """Return why R² does not reach a threshold, or nothing if it does.

    Args:
        metrics: of the model.
        threshold: smallest R² that is good enough.
        option: of the command line that sets the threshold, for the message.
    """
    if metrics.r_squared is None:
        return [f"R² is not defined: the hours of all test rows ({metrics.test_rows:,}) agree"]
    if metrics.r_squared < threshold:
        return [f"R² {metrics.r_squared:.4f} is below {option} {threshold:g}"]
    return []


def estimate_on_grid(model: DispatchCurve, orders: pd.DataFrame) -> GridEstimates:
    """Ask a model for every product of these rows, from zero to the most orders placed."""
    most_orders = orders.groupby(PRODUCT, observed=True)[ORDERS].max()
    products = most_orders.index.to_numpy(dtype=object)
    grid = np.linspace(0.0, most_orders.to_numpy(), GRID_POINTS, axis=1)
    points = pd.DataFrame({PRODUCT: np.repeat(products, GRID_POINTS), ORDERS: grid.ravel()})
    return GridEstimates(products, model.predict(points).reshape(grid.shape))


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
