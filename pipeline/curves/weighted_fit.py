"""Rows to fit, and one step of reweighted least squares of all their products."""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from pipeline.curves.prior import Prior, compute_posterior
from pipeline.curves.segments import (
    LocatedRows,
    NormalEquations,
    Positions,
    evaluate,
    locate,
    normal_equations,
    sum_by_segment,
)
from pipeline.model.arrays import Floats

MIN_RESIDUAL_FREEDOM = 0.05
"""Smallest residual degrees of freedom by row: a curve that follows its rows nearly all the way
has residuals that say nothing."""


class LabelledRows(NamedTuple):
    """Rows to fit; all of shape (n_rows,).

    Attributes:
        product: position of each row's product.
        orders: orders placed.
        hours: labels.
        sample_weight: how much each row counts; None if all count alike.
    """

    product: Positions
    orders: Floats
    hours: Floats
    sample_weight: Floats | None = None

    def sample(self, where: slice | npt.NDArray[np.bool_] | Positions) -> Self:
        """Return some of the rows."""
        weights = None if self.sample_weight is None else self.sample_weight[where]
        return self._replace(
            product=self.product[where],
            orders=self.orders[where],
            hours=self.hours[where],
            sample_weight=weights,
        )


class PlacedRows(NamedTuple):
    """Rows, and where they lie on the curves.

    Attributes:
        product: position of each row's product, shape (n_rows,).
        hours: labels, shape (n_rows,).
        steps: in which these labels come, in hours; zero for none, shape (n_rows,).
        located: on the curves.
    """

    product: Positions
    hours: Floats
    steps: Floats
    located: LocatedRows

    @classmethod
    def of(cls, rows: LabelledRows, knots: Floats, steps: Floats) -> Self:
        """Place rows on the curves with these knots, of products with these steps."""
        located = locate(knots, rows.product, rows.orders, len(steps), rows.sample_weight)
        return cls(rows.product, rows.hours, steps[rows.product], located)

    def of_products(self, kept: npt.NDArray[np.bool_]) -> Self:
        """Return the rows of some of the products, which are numbered anew.

        Args:
            kept: which products, shape (n_products,).
        """
        rows = kept[self.product]
        return type(self)(
            (np.cumsum(kept) - 1)[self.product[rows]],
            self.hours[rows],
            self.steps[rows],
            self.located.of_products(kept, rows),
        )


class WeightedFit(NamedTuple):
    """Curves fitted to weighted rows.

    Attributes:
        coefficients: of the curves in hours, shape (n_products, D).
        equations: of the rows that they were fitted on.
        reduction: by which factor residuals are smaller than the noise, since a curve follows its
            own few rows, shape (n_products,).
        relative_noise: of each product, relative to that of all, with which its rows were weighted,
            shape (n_products,).
    """

    coefficients: Floats
    equations: NormalEquations
    reduction: Floats
    relative_noise: Floats

    def estimates(self, rows: PlacedRows) -> Floats:
        """Return the estimates for rows in hours, not negative, shape (n_rows,)."""
        hours: Floats = np.maximum(evaluate(self.coefficients, rows.located), 0.0)
        return hours

    def of(self, products: Positions | npt.NDArray[np.bool_]) -> Self:
        """Return the curves of some of the products."""
        return self._replace(
            coefficients=self.coefficients[products],
            equations=self.equations.of(products),
            reduction=self.reduction[products],
            relative_noise=self.relative_noise[products],
        )

    def put(self, products: Positions | npt.NDArray[np.bool_], other: Self) -> None:
        """Replace the curves of some of the products, in place."""
        self.coefficients[products] = other.coefficients
        self.reduction[products] = other.reduction
        self.relative_noise[products] = other.relative_noise
        for mine, new in zip(self.equations, other.equations):
            mine[products] = new


def weighted_equations(rows: PlacedRows, weights: Floats, n_coefficients: int) -> NormalEquations:
    """Return the normal equations of rows with weights in 1/hours², shape (n_rows,)."""
    by_segment = sum_by_segment(rows.located, rows.hours, weights)
    return normal_equations(by_segment, rows.located.rows_of_product, n_coefficients)


def solve(
    equations: NormalEquations, prior: Prior, relative_noise: Floats | None = None
) -> WeightedFit:
    """Return the curves that the rows of each product make of the prior.

    Args:
        equations: of each product.
        prior: of the coefficients.
        relative_noise: of each product, if their noise differs, shape (n_products,).
    """
    posterior = compute_posterior(equations, prior)
    # E r² = σ² · (1 - df / n), where df are the effective degrees of freedom of n rows
    residual_freedom = 1 - posterior.degrees_of_freedom / np.maximum(equations.rows, 1)
    reduction = np.sqrt(np.maximum(residual_freedom, MIN_RESIDUAL_FREEDOM))
    relative = np.ones_like(reduction) if relative_noise is None else relative_noise
    return WeightedFit(posterior.means, equations, reduction, relative)
