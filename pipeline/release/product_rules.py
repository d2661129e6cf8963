"""Products that the model does not fit, although the week as a whole has few outliers."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.curves.noise import OUTLIER_DISTANCE
from pipeline.model.metadata import Failure
from pipeline.release.rules import far_outliers
from pipeline.stages.command_line import option_of
from pipeline.stages.wording import first_few
from pipeline.training.fitting import ModelNoise

FALSE_ALARM_RATE = 0.01
"""Of the products that are called unfit, so many may have their outliers by chance."""


class UnfitProducts(NamedTuple):
    """Products with too many outliers of their own.

    Attributes:
        facts: of each product, by code, those with most rows first: its `rows`, the share of its
            `outliers`, and its mean absolute error in `hours`, outliers included.
        share: of all rows that are of these products.
    """

    facts: pd.DataFrame
    share: float

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the products."""
        return tuple(map(str, self.facts.index))


def find_unfit_products(
    products: "pd.Series[str]", noise: ModelNoise, max_outlier_share: float
) -> UnfitProducts:
    """Return the products with a larger share of outliers than is fine, by more than chance.

    A product with few rows may have many outliers by chance, and of many products some will.

    Args:
        products: code of each row of the week, shape (n_rows,).
        noise: of these rows around the model.
        max_outlier_share: largest share of outliers that is fine.
    """
    rows = pd.DataFrame(
        {
            "outliers": far_outliers(noise),
            "hours": np.abs(noise.distances) * noise.hours,
            "code": products.to_numpy(),
        }
    )
    by_product = rows.groupby("code", observed=True)
    facts = by_product[["outliers", "hours"]].mean().assign(rows=by_product.size())
    outliers = (facts["outliers"] * facts["rows"]).round()
    # P(X >= outliers), X ~ Binomial(rows, max_outlier_share)
    chance = stats.binom.sf(outliers - 1, facts["rows"], max_outlier_share)
    # The share of false alarms is bounded over all products (Benjamini and Hochberg 1995).
    unfit = facts[stats.false_discovery_control(chance) < FALSE_ALARM_RATE]
    unfit = unfit.sort_values("rows", ascending=False, kind="stable")
    return UnfitProducts(unfit, float(unfit["rows"].sum() / len(rows)))


def unfit_failures(unfit: UnfitProducts, max_unfit_share: float) -> list[Failure]:
    """Return that products which the model does not fit have too many rows, or nothing.

    Args:
        unfit: the products.
        max_unfit_share: largest share of the rows that they may have.
    """
    if unfit.share <= max_unfit_share:
        return []
    described = [
        f"{str(code)!r} ({facts['outliers']:.0%} of {facts['rows']:,.0f} rows, error "
        f"{facts['hours']:.1f} h)"
        for code, facts in unfit.facts.iterrows()
    ]
    return [
        Failure(
            rule="unfit_products",
            summary=f"products with too many outliers of their own have {unfit.share:.1%} of the "
            f"rows, more than the limit of {max_unfit_share:.3g}",
            value=unfit.share,
            limit=max_unfit_share,
            details=(
                f"Outliers are rows farther than {OUTLIER_DISTANCE:g} robust standard deviations "
                f"from the model. Products: {first_few(described, str)}.",
                "Part of their orders may be sent from stock, or their labels may be a default.",
            ),
            remedy=f"If their orders are so unlike each other, a larger "
            f"{option_of('max_unfit_share')} publishes the model, and its report names them.",
        )
    ]
