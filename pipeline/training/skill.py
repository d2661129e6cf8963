"""How much better a model is than guesses that take no model, on rows that it had not seen."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.model.arrays import Floats
from pipeline.model.metadata import Skill
from pipeline.training.bootstrap import least_mean
from pipeline.training.selection import OutOfSample


def measure_skill(
    model: Sequence[OutOfSample], guesses: Mapping[str, Sequence[OutOfSample]]
) -> Skill:
    """Compare a model with the best guess.

    Outliers count, since a model must not choose the rows that it is judged by. They decide
    nothing: the errors of model and guess on one row differ at most as the two estimates do.

    Args:
        model: rows, and its estimates for them by fits that had not seen them.
        guesses: the same rows, and what each guess says of them.
    """
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


def _errors(parts: Sequence[OutOfSample]) -> Floats:
    errors: Floats = np.abs(np.concatenate([part.residuals for part in parts]))
    return errors
