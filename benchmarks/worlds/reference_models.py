"""What the pipeline's models are compared with: the best that is possible, and the usual."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeRegressor

from benchmarks.worlds.order_worlds import World, floored_mean
from benchmarks.worlds.products import LinePrior
from pipeline.model.arrays import Floats
from pipeline.model.order import HOURS, ORDERS, PRODUCT

TREE_SETTINGS = {
    "criterion": ["squared_error", "absolute_error"],
    "max_depth": [2, 4, 6, 8, 10, None],
    "min_samples_split": [2, 4, 6, 8, 10],
    "min_samples_leaf": [2, 4, 6, 8, 10],
}


def best_possible_hours(world: World, training: pd.DataFrame, fresh: pd.DataFrame) -> Floats:
    """Return the estimates of somebody who knows the world, for fresh rows.

    That is the best estimate given the truth; in a world with a prior it is the posterior mean of
    each product's line, given the prior, the noise and the training rows.
    """
    if world.prior is None:
        return world.best_hours(fresh)
    lines = _posterior_lines(training, world.prior, world.noise_base_hours)
    return floored_mean(_on_lines(lines, fresh), world.noise_base_hours)


def least_squares_hours(training: pd.DataFrame, fresh: pd.DataFrame) -> Floats:
    """Return the estimates of a line per product by plain least squares, for fresh rows.

    Products whose rows do not determine a line get their mean.
    """
    sums = _sums_by_product(training)
    determinant = sums["rows"] * sums["squares"] - sums["orders"] ** 2
    covariance = sums["rows"] * sums["products"] - sums["orders"] * sums["hours"]
    slopes = (covariance / determinant.where(determinant > 0)).fillna(0.0)
    intercepts = (sums["hours"] - slopes * sums["orders"]) / sums["rows"]
    lines = pd.DataFrame({"intercept": intercepts, "slope": slopes})
    return np.maximum(_on_lines(lines, fresh), 0.0)


def fit_tree(training: pd.DataFrame, processes: int) -> Any:
    """Return scikit-learn's decision tree after a grid search over its settings.

    Args:
        training: valid rows.
        processes: how many to use; -1 means one for each processor.
    """
    search = GridSearchCV(
        DecisionTreeRegressor(random_state=0), TREE_SETTINGS, cv=5, scoring="r2", n_jobs=processes
    )
    codes = sorted(training[PRODUCT].unique())
    return search.fit(tree_features(training, codes), training[HOURS].to_numpy())


def tree_hours(training: pd.DataFrame, fresh: pd.DataFrame) -> Floats:
    """Return the estimates of that decision tree for fresh rows of the same products."""
    search = fit_tree(training, processes=1)
    codes = sorted(training[PRODUCT].unique())
    hours: Floats = search.predict(tree_features(fresh, codes))
    return hours


def tree_features(week: pd.DataFrame, codes: Sequence[str]) -> Floats:
    """Return the position of each row's product code and its orders, shape (n_rows, 2)."""
    product = pd.Index(codes).get_indexer(pd.Index(week[PRODUCT]))
    return np.column_stack([product, week[ORDERS]]).astype(float)


def _posterior_lines(training: pd.DataFrame, prior: LinePrior, noise_hours: float) -> pd.DataFrame:
    """Return the posterior mean of intercept and slope of each product."""
    sums = _sums_by_product(training)
    matrices = sums[["rows", "orders", "orders", "squares"]].to_numpy().reshape(-1, 2, 2)
    moments = sums[["hours", "products"]].to_numpy()
    precision = np.diag(prior.deviations**-2.0)
    lines = np.linalg.solve(
        precision + matrices / noise_hours**2,
        (precision @ prior.means + moments / noise_hours**2)[..., None],
    )
    return pd.DataFrame(lines[..., 0], index=sums.index, columns=["intercept", "slope"])


def _sums_by_product(week: pd.DataFrame) -> pd.DataFrame:
    """Return the sums over each product's rows that its line depends on."""
    orders, hours = week[ORDERS].astype(float), week[HOURS]
    terms = pd.DataFrame(
        {
            "rows": 1.0,
            "orders": orders,
            "squares": orders**2,
            "hours": hours,
            "products": orders * hours,
        }
    )
    return terms.groupby(week[PRODUCT]).sum()


def _on_lines(lines: pd.DataFrame, week: pd.DataFrame) -> Floats:
    """Return intercept + slope · orders for each row, in hours."""
    of_rows = lines.loc[week[PRODUCT]]
    hours: Floats = of_rows["intercept"].to_numpy() + of_rows["slope"].to_numpy() * week[ORDERS]
    return np.asarray(hours)
