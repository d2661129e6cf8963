"""The regressor from product and orders placed to hours, as a scikit-learn estimator."""

from collections.abc import Sequence
from copy import copy
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from pipeline.curves.plan import CurvePlan, plan_curves, whole_products
from pipeline.curves.robust_fit import fit_products
from pipeline.curves.tables import CurveTable
from pipeline.curves.weighted_fit import LabelledRows
from pipeline.model.arrays import Floats
from pipeline.model.order import FEATURES, ORDERS, PRODUCT
from pipeline.orders.products import positions_among, positions_of
from pipeline.stages.wording import first_few


class DispatchCurve(Protocol):
    """What the rest of the pipeline asks of a fitted regressor."""

    def predict(self, X: pd.DataFrame) -> Floats:
        """Return the estimated hours to dispatch, shape (n_rows,).

        Args:
            X: the columns `FEATURES` of orders, shape (n_rows, n_features).

        Raises:
            ValueError: a product was not among those fitted.
        """


class PerProductCurve(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A rising piecewise-linear curve of orders placed for each product, never below zero.

    The knots are the same for all products. The fit is robust: labels far from the curve lose their
    influence (see `plan` and `robust_fit`). The coefficients of a product are shrunk to those of
    all products, the more so the fewer rows it has (see `prior`).

    Args:
        segments: most segments of the curve: 0 for the mean, 1 for a straight line.
        estimate: `typical` for the robust curve, `mean` for expected hours (see `expected`).

    Attributes:
        products_: sorted product codes, shape (n_products,).
        knots_: order counts between which the curves are straight, shape (D,), where D is the
            number of segments plus one.
        coefficients_: level at the first knot and rise over each segment in hours, no rise
            negative, shape (n_products, D); exact in single precision, in which they are stored.
        carried_: the curves of further products, which other weeks had.
    """

    products_: npt.NDArray[np.object_]
    knots_: Floats
    coefficients_: Floats
    carried_: tuple[CurveTable, ...]

    def __init__(self, segments: int = 1, estimate: str = "typical") -> None:
        """Store the parameters."""
        self.segments = segments
        self.estimate = estimate

    def plan(
        self, X: pd.DataFrame, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> CurvePlan:
        """Return what all curves have in common, learnt from a sample of the products.

        Args:
            X, y, sample_weight: as `fit` takes them.
        """
        return self._planned(*self._labelled(X, y, sample_weight))

    def fit(
        self,
        X: pd.DataFrame,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        plan: CurvePlan | None = None,
    ) -> Self:
        """Fit one curve per product.

        Args:
            X: the columns `FEATURES` of orders, shape (n_rows, n_features).
            y: hours to dispatch, shape (n_rows,).
            sample_weight: how much each row counts, above zero, shape (n_rows,): a row of weight
                one half is half a row. By default all count alike.
            plan: what all curves have in common, if these are not all rows; by default it is
                learnt from them.
        """
        rows, codes = self._labelled(X, y, sample_weight)
        plan = plan or self._planned(rows, codes)
        coefficients = fit_products(rows, plan, len(codes), self.estimate)
        self.products_ = np.asarray(codes, dtype=object)
        self.knots_ = plan.knots
        self.coefficients_ = coefficients.astype(np.float32).astype(float)
        self.carried_ = ()
        self.feature_names_in_ = np.asarray(FEATURES, dtype=object)
        self.n_features_in_ = len(FEATURES)
        return self

    def _planned(self, rows: LabelledRows, codes: "pd.Index[str]") -> CurvePlan:
        return plan_curves(rows.sample(whole_products(rows.product, codes)), self.segments)

    @staticmethod
    def _labelled(
        X: pd.DataFrame, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None
    ) -> tuple[LabelledRows, "pd.Index[str]"]:
        """Return the rows with their products as numbers, and the sorted codes of these."""
        hours = np.asarray(y, dtype=float)
        weights = None if sample_weight is None else np.asarray(sample_weight, dtype=float)
        check_consistent_length(X, hours, weights)
        product, codes = positions_of(X[PRODUCT])
        return LabelledRows(product, X[ORDERS].to_numpy(dtype=float), hours, weights), codes

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """Return one regressor for the products of several, which were fitted with one plan."""
        merged = copy(parts[0])
        products = np.concatenate([part.products_ for part in parts])
        order = np.argsort(products)
        merged.products_ = products[order]
        merged.coefficients_ = np.concatenate([part.coefficients_ for part in parts])[order]
        return merged

    @property
    def tables(self) -> tuple[CurveTable, ...]:
        """All curves: those that were fitted, and those that are carried along."""
        return (CurveTable(self.products_, self.knots_, self.coefficients_), *self.carried_)

    def carry(self, tables: Sequence[CurveTable]) -> Self:
        """Return a regressor that takes the curves of these tables, too, before its own."""
        carrying = copy(self)
        is_own = ~np.isin(self.products_, [code for table in tables for code in table.products])
        carrying.products_ = self.products_[is_own]
        carrying.coefficients_ = self.coefficients_[is_own]
        carrying.carried_ = tuple(tables)
        return carrying

    def predict(self, X: pd.DataFrame) -> Floats:
        """See `DispatchCurve.predict`; the estimates are not negative."""
        check_is_fitted(self)
        orders = X[ORDERS].to_numpy(dtype=float)
        hours = np.full(len(orders), np.nan)
        for table in self.tables:
            product = positions_among(pd.Index(table.products), X[PRODUCT])
            is_known = product >= 0
            rows = slice(None) if is_known.all() else is_known  # millions of rows are not copied
            hours[rows] = table.evaluate(product[rows], orders[rows])
        if np.isnan(hours).any():
            unknown = sorted(set(X[PRODUCT][np.isnan(hours)]))
            raise ValueError(f"Unknown product codes: {first_few(unknown)}")
        estimates: Floats = np.maximum(hours, 0.0)
        return estimates
