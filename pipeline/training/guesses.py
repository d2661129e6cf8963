"""Guesses that take no model: what every model has to beat."""

from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin

from pipeline.model.arrays import Floats
from pipeline.model.order import PRODUCT


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

    def fit(self, X: pd.DataFrame, y: Floats) -> Self:
        """Learn from orders and their hours."""
        hours = pd.Series(np.asarray(y, dtype=float))
        groups = hours.groupby(X[PRODUCT].astype("category").array, observed=True)
        self.of_all_ = float(hours.agg(self.statistic))
        self.of_product_ = groups.agg(self.statistic) if self.per_product else None
        return self

    def predict(self, X: pd.DataFrame) -> Floats:
        """Return the guessed hours, shape (n_rows,)."""
        if self.of_product_ is None:
            return np.full(len(X), self.of_all_)
        product = self.of_product_.index.astype(object).get_indexer(pd.Index(X[PRODUCT]))
        guesses = np.append(self.of_product_.to_numpy(), self.of_all_)  # the last for position -1
        return guesses[product]
