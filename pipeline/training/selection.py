"""The kinds of model that a week may get, and the choice among them by cross-validation."""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import has_fit_parameter

from pipeline.curves.estimator import DispatchCurve, PerProductCurve
from pipeline.curves.noise import OUTLIER_DISTANCE, estimate_noise
from pipeline.curves.steps import steps_of_products, with_steps
from pipeline.model.arrays import Floats
from pipeline.model.metadata import CandidateScore, Estimate
from pipeline.model.order import HOURS, PRODUCT
from pipeline.orders.features import features_of
from pipeline.orders.repeats import find_repeats
from pipeline.orders.splits import FOLDS, assign_folds, plan_thinning
from pipeline.training.guesses import Guess

WEIGHT = "sample_weight"
"""Column of the rows of earlier weeks: how much each counts beside a row of this week."""
PLAN = "plan"
"""Parameter of the `fit` of regressors that plan on whole products, and then fit each alone."""
MAX_SELECTION_ROWS = 50_000
MAX_SELECTION_ROWS_OF_PRODUCT = 500
MAX_NEGLIGIBLE_EXCESS_HOURS = 1e-4
"""Candidates whose errors differ by less are equally good, however sure the difference is."""


class Candidate(NamedTuple):
    """A kind of model.

    Attributes:
        name: in words.
        regressor: a scikit-learn estimator, not fitted, that takes the columns `FEATURES`.
    """

    name: str
    regressor: BaseEstimator

    def estimating(self, estimate: Estimate) -> Self:
        """Return the candidate for typical or mean hours; one that knows no such choice stays."""
        if "estimate" not in self.regressor.get_params():
            return self
        return self._replace(regressor=clone(self.regressor).set_params(estimate=estimate))

    def plan(self, orders: pd.DataFrame, past: pd.DataFrame | None = None) -> Any:
        """Return what products have in common, by whole ones; None if nothing is planned apart.

        Args:
            orders: all rows of some products of this week.
            past: rows of earlier weeks, see `fit`.
        """
        if not has_fit_parameter(self.regressor, PLAN):
            return None
        return self.regressor.plan(**self._training_data(orders, past))

    def fit(
        self, orders: pd.DataFrame, past: pd.DataFrame | None = None, plan: Any = None
    ) -> DispatchCurve:
        """Return a regressor of this kind, fitted on these rows.

        Args:
            orders: rows of this week, all of which count alike.
            past: rows of earlier weeks, with a column `WEIGHT`. Those of products that have none in
                `orders` are left out, and so are all if the regressor's `fit` takes no weights.
            plan: what all products have in common, if these are some of them.
        """
        planned = {} if plan is None else {PLAN: plan}
        data = self._training_data(orders, past)
        fitted: DispatchCurve = clone(self.regressor).fit(**data, **planned)
        return fitted

    def _training_data(self, orders: pd.DataFrame, past: pd.DataFrame | None) -> dict[str, Any]:
        """Return features, labels and weights as the regressor takes them."""
        if past is None or not has_fit_parameter(self.regressor, WEIGHT):
            return {"X": features_of(orders), "y": orders[HOURS]}
        known = past[past[PRODUCT].isin(orders[PRODUCT].unique())]
        known = known.astype({PRODUCT: orders[PRODUCT].dtype})
        rows = pd.concat([orders.assign(**{WEIGHT: 1.0}), known], ignore_index=True)
        return {"X": features_of(rows), "y": rows[HOURS], WEIGHT: rows[WEIGHT]}


CANDIDATES = (
    Candidate("mean per product", PerProductCurve(segments=0)),
    Candidate("line per product", PerProductCurve(segments=1)),
    Candidate("curve per product", PerProductCurve(segments=8)),
)
"""From the simplest to the most flexible. A new candidate is a new entry here."""


GUESSES = (
    Candidate("mean per product", Guess("mean")),
    Candidate("median per product", Guess("median")),
    Candidate("mean of all products", Guess("mean", per_product=False)),
    Candidate("median of all products", Guess("median", per_product=False)),
)
"""What the chosen one has to beat."""


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


class CrossValidated(NamedTuple):
    """A candidate, and its predictions, each by the fit without the row's fold."""

    candidate: Candidate
    out_of_fold: OutOfSample


class Choice(NamedTuple):
    """What cross-validation says of the candidates.

    Attributes:
        ranked: the chosen one, then the others by rising error.
        scores: how each candidate did, in their order.
        guesses: the guesses on the same rows.
    """

    ranked: tuple[CrossValidated, ...]
    scores: tuple[CandidateScore, ...]
    guesses: tuple[CrossValidated, ...]


def choose_candidate(
    orders: pd.DataFrame, candidates: tuple[Candidate, ...], past: pd.DataFrame | None = None
) -> Choice:
    """Choose the simplest candidate whose error is within one standard error of the best.

    The standard error is that of the difference between the two errors over the same rows
    (one-standard-error rule: Breiman and others 1984, for paired rows). Rows that are outliers for
    all candidates are left out. Where there are many rows, some of the products are enough.

    Args:
        orders: rows to cross-validate on.
        candidates: from the simplest to the most flexible.
        past: rows of earlier weeks that each fit gets as well, see `Candidate.fit`.
    """
    thinning = plan_thinning(orders, MAX_SELECTION_ROWS, MAX_SELECTION_ROWS_OF_PRODUCT)
    some_past = None if past is None else thinning.of(past)
    rows, estimates = _cross_validate(thinning.of(orders), (*candidates, *GUESSES), some_past)
    guesses = [
        CrossValidated(guess, OutOfSample(rows, estimates_of_guess))
        for guess, estimates_of_guess in zip(GUESSES, estimates[len(candidates) :])
    ]
    estimates = estimates[: len(candidates)]
    scores = _compare(_errors_without_outliers(rows, estimates), candidates)
    ranks = sorted(range(len(scores)), key=lambda i: (not scores[i].chosen, scores[i].excess_hours))
    ranked = [CrossValidated(candidates[i], OutOfSample(rows, estimates[i])) for i in ranks]
    return Choice(tuple(ranked), scores, tuple(guesses))


def _cross_validate(
    orders: pd.DataFrame, candidates: tuple[Candidate, ...], past: pd.DataFrame | None
) -> tuple[pd.DataFrame, Floats]:
    """Return rows, and their out-of-fold predictions in hours, shape (n_candidates, n_rows).

    The only row of a product is left out: the fit without it does not know the product.
    """
    folds = assign_folds(orders, find_repeats(orders))
    rows, estimates = [], []
    for fold in range(FOLDS):
        train = orders[folds != fold]
        held_out = orders[folds == fold]
        held_out = held_out[held_out[PRODUCT].isin(train[PRODUCT].unique())]
        if held_out.empty:
            continue
        rows.append(held_out)
        fits = [candidate.fit(train, past) for candidate in candidates]
        estimates.append(np.array([fit.predict(features_of(held_out)) for fit in fits]))
    return pd.concat(rows), np.concatenate(estimates, axis=1)


def _errors_without_outliers(rows: pd.DataFrame, estimates: Floats) -> Floats:
    """Return absolute errors in hours, shape (n_candidates, n_inliers).

    Args:
        rows: n_rows orders.
        estimates: out-of-fold predictions in hours, shape (n_candidates, n_rows).
    """
    hours = rows[HOURS].to_numpy()
    errors = np.abs(hours - estimates)
    product, codes = pd.factorize(rows[PRODUCT])
    steps = steps_of_products(product, hours, len(codes))[product]
    noise = [
        estimate_noise(product, own, with_steps(hours - own, steps), len(codes)).of(product, own)
        for own in estimates
    ]
    is_outlier = (errors > OUTLIER_DISTANCE * np.array(noise)).all(axis=0)
    return errors[:, ~is_outlier]


def _compare(errors: Floats, candidates: tuple[Candidate, ...]) -> tuple[CandidateScore, ...]:
    """Apply the one-standard-error rule to errors in hours, shape (n_candidates, n_rows)."""
    mean_errors = errors.mean(axis=1)
    best = int(np.argmin(mean_errors))
    excess = mean_errors - mean_errors[best]
    # sd(eᵢ - e_best) / √n, over the same n rows
    standard_errors = (errors - errors[best]).std(axis=1) / np.sqrt(errors.shape[1])
    chosen = int(np.argmax(excess <= np.maximum(standard_errors, MAX_NEGLIGIBLE_EXCESS_HOURS)))
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
