"""The kinds of model that a week may get, and the choice among them by cross-validation."""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, clone

from pipeline.curves.estimator import DispatchCurve, PerProductCurve
from pipeline.curves.noise import OUTLIER_DISTANCE, settled_noise
from pipeline.model.arrays import Floats
from pipeline.model.metadata import CandidateScore
from pipeline.model.order import HOURS, PRODUCT
from pipeline.orders.features import features_of
from pipeline.orders.splits import FOLDS, assign_folds, subsample

MAX_SELECTION_ROWS = 50_000
MAX_SELECTION_ROWS_OF_PRODUCT = 500
NEGLIGIBLE_DIFFERENCE_HOURS = 1e-4
"""Candidates whose errors differ by less are equally good, however sure the difference is."""


class Candidate(NamedTuple):
    """A kind of model.

    Attributes:
        name: in words.
        regressor: a scikit-learn estimator, not fitted, that takes the columns `FEATURES`.
    """

    name: str
    regressor: BaseEstimator

    def fit(self, orders: pd.DataFrame) -> DispatchCurve:
        """Return a regressor of this kind, fitted on these rows."""
        fitted: DispatchCurve = clone(self.regressor).fit(features_of(orders), orders[HOURS])
        return fitted


CANDIDATES = (
    Candidate("mean per product", PerProductCurve(segments=0)),
    Candidate("line per product", PerProductCurve(segments=1)),
    Candidate("curve per product", PerProductCurve(segments=8)),
)
"""From the simplest to the most flexible. A new candidate is a new entry here."""


class OutOfSample(NamedTuple):
    """Rows, and estimates for them by fits that had not seen them.

    Attributes:
        rows: n_rows orders.
        estimates: hours to dispatch for them, shape (n_rows,).
    """

    rows: pd.DataFrame
    estimates: Floats

    @property
    def residuals(self) -> Floats:
        """Label minus estimate in hours, shape (n_rows,)."""
        residuals: Floats = self.rows[HOURS].to_numpy() - self.estimates
        return residuals

    def where(self, kept: npt.NDArray[np.bool_] | slice) -> Self:
        """Return some of the rows."""
        return self._replace(rows=self.rows[kept], estimates=self.estimates[kept])


class Choice(NamedTuple):
    """The candidate that cross-validation chose.

    Attributes:
        candidate: the chosen one.
        scores: how each candidate did, in their order.
        judged: what the chosen one said of rows that it had not seen.
    """

    candidate: Candidate
    scores: tuple[CandidateScore, ...]
    judged: OutOfSample


def choose_candidate(orders: pd.DataFrame, candidates: tuple[Candidate, ...]) -> Choice:
    """Choose the simplest candidate whose error is within one standard error of the best.

    The standard error is that of the difference between the two errors over the same rows
    (one-standard-error rule: Breiman and others 1984, for paired rows). Rows that are outliers for
    all candidates are left out. Where there are many rows, some of the products are enough.

    Args:
        orders: rows to fit and to judge by cross-validation.
        candidates: from the simplest to the most flexible.
    """
    some = subsample(orders, MAX_SELECTION_ROWS, MAX_SELECTION_ROWS_OF_PRODUCT)
    judged, estimates = _cross_validate(some, candidates)
    scores = _scores(judged, estimates, candidates)
    chosen = next(i for i, score in enumerate(scores) if score.chosen)
    return Choice(candidates[chosen], scores, OutOfSample(judged, estimates[chosen]))


def _cross_validate(
    orders: pd.DataFrame, candidates: tuple[Candidate, ...]
) -> tuple[pd.DataFrame, Floats]:
    """Return the rows that could be judged, and estimates of shape (n_candidates, n_rows).

    The only row of a product cannot: the fit without it does not know the product.
    """
    folds = assign_folds(orders)
    judged, estimates = [], []
    for fold in range(FOLDS):
        fitted = orders[folds != fold]
        held_out = orders[folds == fold]
        held_out = held_out[held_out[PRODUCT].isin(fitted[PRODUCT].unique())]
        if held_out.empty:
            continue
        judged.append(held_out)
        fits = [candidate.fit(fitted) for candidate in candidates]
        features = features_of(held_out)
        estimates.append(np.array([fit.predict(features) for fit in fits]))
    return pd.concat(judged), np.concatenate(estimates, axis=1)


def _scores(
    judged: pd.DataFrame, estimates: Floats, candidates: tuple[Candidate, ...]
) -> tuple[CandidateScore, ...]:
    """Compare the candidates' errors on the same rows."""
    hours = judged[HOURS].to_numpy()
    errors = np.abs(hours - estimates)
    product, codes = pd.factorize(judged[PRODUCT])
    noise = [
        settled_noise(product, own, hours - own, len(codes)).of(product, own) for own in estimates
    ]
    is_outlier = (errors > OUTLIER_DISTANCE * np.array(noise)).all(axis=0)
    errors = errors[:, ~is_outlier]
    mean_errors = errors.mean(axis=1)
    best = int(np.argmin(mean_errors))
    excess = mean_errors - mean_errors[best]
    standard_errors = (errors - errors[best]).std(axis=1) / np.sqrt(errors.shape[1])
    chosen = int(np.argmax(excess <= np.maximum(standard_errors, NEGLIGIBLE_DIFFERENCE_HOURS)))
    return tuple(
        CandidateScore(
            name=candidate.name,
            mean_absolute_error_hours=float(mean_errors[i]),
            excess_hours=float(excess[i]),
            standard_error_hours=float(standard_errors[i]),
            chosen=i == chosen,
        )
        for i, candidate in enumerate(candidates)
    )
