"""How much better a model is than guesses that take no model, on rows that it had not seen."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.curves.expected import is_mis_keyed
from pipeline.model.arrays import Floats
from pipeline.model.metadata import Estimate, Skill
from pipeline.model.order import HOURS
from pipeline.training.bootstrap import least_mean
from pipeline.training.selection import OutOfSample

MIN_ERROR_HOURS = 1e-9


def measure_skill(
    model: Sequence[OutOfSample],
    guesses: Mapping[str, Sequence[OutOfSample]],
    estimate: Estimate = "typical",
) -> Skill:
    """Compare a model with the best guess.

    Outliers count, since a model must not choose the rows that it is judged by. They decide
    nothing: the errors of model and guess on one row differ at most as the two estimates do.

    Where mean hours are estimated, it is by squared errors, which the mean makes smallest as the
    median does absolute ones (Gneiting 2011): by absolute ones a right mean would lose to the
    median of each product wherever orders are skewed. A mis-keyed label would decide everything,
    so those far above all guesses are left out.

    Args:
        model: rows, and its estimates for them by fits that had not seen them.
        guesses: the same rows, and what each guess says of them.
        estimate: whether typical or mean hours are estimated.
    """
    if estimate == "mean":
        return _skill_of_mean(model, guesses)
    errors = {name: _errors(parts) for name, parts in guesses.items()}
    baseline = min(errors, key=lambda name: float(errors[name].mean()))
    model_errors = _errors(model)
    return Skill(
        baseline=baseline,
        baseline_error_hours=float(errors[baseline].mean()),
        error_hours=float(model_errors.mean()),
        least_gain_hours=least_mean(errors[baseline] - model_errors) or 0.0,
        rows=len(model_errors),
    )


def _skill_of_mean(
    model: Sequence[OutOfSample], guesses: Mapping[str, Sequence[OutOfSample]]
) -> Skill:
    hours = np.concatenate([part.rows[HOURS].to_numpy() for part in model])
    highest = np.max([_estimates(parts) for parts in guesses.values()], axis=0)
    counts = ~is_mis_keyed(hours, highest)
    squares = {name: _errors(parts)[counts] ** 2 for name, parts in guesses.items()}
    baseline = min(squares, key=lambda name: float(squares[name].mean()))
    model_squares = _errors(model)[counts] ** 2
    baseline_error, error = (
        float(np.sqrt(each.mean())) for each in (squares[baseline], model_squares)
    )
    # b - m = (b² - m²) / (b + m)
    least_gain = least_mean(squares[baseline] - model_squares) or 0.0
    return Skill(
        baseline=baseline,
        baseline_error_hours=baseline_error,
        error_hours=error,
        least_gain_hours=least_gain / max(baseline_error + error, MIN_ERROR_HOURS),
        rows=len(model_squares),
    )


def _estimates(parts: Sequence[OutOfSample]) -> Floats:
    estimates: Floats = np.concatenate([part.estimates for part in parts])
    return estimates


def _errors(parts: Sequence[OutOfSample]) -> Floats:
    errors: Floats = np.abs(np.concatenate([part.residuals for part in parts]))
    return errors
