"""Guesses that take no model: what every model has to beat."""

from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin

from pipeline.model.arrays import Floats
from pipeline.model.order import PRODUCT
from pipeline.orders.products import positions_among

MAX_ROWS_OF_PRODUCT = 1_000
"""The mean of as many is as good a guess as that of more."""


class Guess(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Guesses the mean or median of the hours, of each product or of all: it is no model.

    Attributes:
        statistic: `mean` or `median`.
        per_product: whether each product has its own.
    """

    def __init__(self, statistic: str = "mean", per_product: bool = True) -> None:
        """Choose the guess."""
        self.statistic = statistic
        self.per_product = per_product

    def plan(self, X: pd.DataFrame, y: Floats) -> float:
        """Return the guess for all products, in hours."""
        return float(pd.Series(np.asarray(y, dtype=float)).agg(self.statistic))

    def fit(self, X: pd.DataFrame, y: Floats, plan: float | None = None) -> Self:
        """Learn from orders and their hours.

        Args:
            X: the features of orders.
            y: their hours.
            plan: the guess for all products, if these are some of them.
        """
        self.of_all_ = self.plan(X, y) if plan is None else plan
        self.of_product_ = None
        if self.per_product:
            codes = X[PRODUCT].astype("category").array
            hours = pd.Series(np.asarray(y, dtype=float))
            place = hours.groupby(codes, observed=True).cumcount().to_numpy()
            some = place < MAX_ROWS_OF_PRODUCT
            own = hours[some].groupby(codes[some], observed=True)
            self.of_product_ = own.agg(self.statistic)
        return self

    def predict(self, X: pd.DataFrame) -> Floats:
        """Return the guessed hours, shape (n_rows,)."""
        if self.of_product_ is None:
            return np.full(len(X), self.of_all_)
        product = positions_among(self.of_product_.index.astype(object), X[PRODUCT])
        guesses = np.append(self.of_product_.to_numpy(), self.of_all_)  # the last for position -1
        return guesses[product]
