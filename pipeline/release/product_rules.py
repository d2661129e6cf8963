"""Products whose estimates cannot be trusted, although the week as a whole is sound."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from pipeline.curves.noise import OUTLIER_DISTANCE
from pipeline.model.arrays import Floats
from pipeline.model.metadata import Failure, MixedProduct, ProductRemarks
from pipeline.model.order import HOURS, PRODUCT
from pipeline.release.rules import far_outliers
from pipeline.release.swaps import Swap
from pipeline.stages.command_line import option_of
from pipeline.stages.wording import first_few
from pipeline.training.fitting import ModelNoise
from pipeline.training.selection import OutOfSample

FALSE_ALARM_RATE = 0.01
"""Of the products that are named for a reason, so many may be named by chance."""

MAX_RATIO_TO_GUESS = 1.25
"""Models of products with few rows lean on the others, and may lose a little by it."""
MAX_BIAS_IN_NOISE = 1.0
MIN_ERROR_HOURS = 0.01
"""Errors below this harm nobody."""
MIN_SPREAD = 1e-9
MIN_ROWS = 10
"""The mean of fewer rows has no normal distribution where hours are skewed."""


class Doubt(NamedTuple):
    """A reason not to trust the estimates of some products.

    Attributes:
        remark: the field of `ProductRemarks` that names them.
        products: what there is to say of each product, by code.
        meaning: of the reason, as a sentence.
        is_of_champion: whether they are doubted because the champion says something else.
    """

    remark: str
    products: Mapping[str, str]
    meaning: str
    is_of_champion: bool = False


SURPRISING = Doubt(
    "surprising",
    {},
    "The model in production is off by more than a third, and twice the noise, for most of their "
    "orders: their labels may be in another unit, or under another code.",
    is_of_champion=True,
)
SWAPPED = Doubt(
    "swapped",
    {},
    "Each is now where the other was in the model in production: their codes or labels may be "
    "swapped.",
    is_of_champion=True,
)


def doubt_unfit(products: "pd.Series[str]", noise: ModelNoise, max_outlier_share: float) -> Doubt:
    """Doubt products with a larger share of outliers than is fine, by more than chance.

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
            "code": products.array,
        }
    )
    by_product = rows.groupby("code", observed=True)
    facts = by_product[["outliers", "hours"]].mean().assign(rows=by_product.size())
    outliers = (facts["outliers"] * facts["rows"]).round()
    # P(X >= outliers), X ~ Binomial(rows, max_outlier_share)
    chance = stats.binom.sf(outliers - 1, facts["rows"], max_outlier_share)
    # The share of false alarms is bounded over all products (Benjamini and Hochberg 1995).
    unfit = facts[stats.false_discovery_control(chance) < FALSE_ALARM_RATE]
    return Doubt(
        "unfit",
        {
            str(code): f"{own['outliers']:.0%} outliers, error {own['hours']:.1f} h"
            for code, own in unfit.iterrows()
        },
        f"Too many of their rows are outliers, farther than {OUTLIER_DISTANCE:g} robust standard "
        "deviations from the model: part of their orders may be sent from stock, or their labels "
        "may be a default.",
    )


def doubt_mixed(mixed: Sequence[MixedProduct]) -> Doubt:
    """Doubt products with orders of two kinds, of which the estimates are for one."""
    return Doubt(
        "mixed",
        {product.product_code: product.in_words for product in mixed},
        "Part of their orders is of another kind than the others, and the estimates are for the "
        "larger part: some may be sent from stock, or a day late, or a default may stand for "
        "hours.",
    )


def doubt_unskilled(
    unseen: OutOfSample, guessed: Mapping[str, Floats], steps: "pd.Series[float]"
) -> Doubt:
    """Doubt products for which a guess of their own would have been far better.

    Where hours come in steps, all orders of a product may have the same, and a guess no error. An
    estimate between two steps is no worse than rounding for that.

    Args:
        unseen: rows of the week, each estimated by a fit that had not seen it.
        guessed: what each guess says of them, in hours, shape (n_rows,).
        steps: in which the hours of each product come, by code; zero for none.
    """
    hours = unseen.rows[HOURS].to_numpy()
    own = np.abs(unseen.residuals)
    guesses = np.abs(hours[:, np.newaxis] - np.column_stack(list(guessed.values())))
    codes, product = np.unique(unseen.rows[PRODUCT].astype(str), return_inverse=True)
    rows = np.bincount(product)
    of_model = np.bincount(product, own) / rows
    of_guesses = np.array([np.bincount(product, column) / rows for column in guesses.T])
    best, of_best = of_guesses.argmin(axis=0), of_guesses.min(axis=0)
    excess = own - guesses[np.arange(len(own)), best[product]]
    # Rounding to steps s makes a mean absolute error of s / 4.
    of_rounding = steps.reindex(codes).to_numpy() / 4
    harmless = np.maximum(of_rounding, MIN_ERROR_HOURS)
    is_far = of_model > MAX_RATIO_TO_GUESS * np.maximum(of_best, harmless)
    names = list(guessed)
    return Doubt(
        "unskilled",
        {
            str(codes[i]): f"error {of_model[i]:.1f} h, that of the {names[best[i]]} "
            f"{of_best[i]:.1f} h"
            for i in np.flatnonzero(is_far & _is_certain(excess, product))
        },
        "On rows that it had not seen, the model is far worse than a guess for them: their hours "
        "may depend on something else, or fall as orders rise.",
    )


def doubt_biased(unseen: OutOfSample, noise_hours: Floats) -> Doubt:
    """Doubt products whose estimates are too low or too high on average.

    Outliers are judged by their number. What is left of skewed hours is half of the noise away
    from a typical one.

    Args:
        unseen: rows of the week, each estimated by a fit that had not seen it.
        noise_hours: standard deviation of the noise of these rows, shape (n_rows,).
    """
    is_inlier = np.abs(unseen.residuals) <= OUTLIER_DISTANCE * noise_hours
    residuals, noise = unseen.residuals[is_inlier], noise_hours[is_inlier]
    codes, product = np.unique(unseen.rows[PRODUCT].astype(str)[is_inlier], return_inverse=True)
    rows = np.bincount(product)
    bias = np.bincount(product, residuals) / rows
    limit = np.maximum(MAX_BIAS_IN_NOISE * np.bincount(product, noise) / rows, MIN_ERROR_HOURS)
    is_certain = _is_certain(residuals, product) | _is_certain(-residuals, product)
    return Doubt(
        "biased",
        {
            str(codes[i]): f"hours {bias[i]:+.1f} h from the estimates on average"
            for i in np.flatnonzero((np.abs(bias) > limit) & is_certain)
        },
        "On rows that it had not seen, the model is off to one side for them by more than their "
        "noise.",
    )


def _is_certain(values: Floats, product: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Return of which products the mean is above zero by more than chance, by t tests.

    The share of false alarms is bounded over all products (Benjamini and Hochberg 1995).

    Args:
        values: of rows, shape (n_rows,).
        product: position of each row's product, shape (n_rows,).
    """
    facts = pd.Series(values).groupby(product).agg(["size", "mean", "std"])
    rows, mean = facts["size"].to_numpy(), facts["mean"].to_numpy()
    # Where all values agree there is next to no chance in them.
    error = np.maximum(facts["std"].fillna(0.0).to_numpy(), MIN_SPREAD) / np.sqrt(rows)
    chance = stats.t.sf(mean / error, np.maximum(rows - 1, 1))
    chance = np.where(rows >= MIN_ROWS, chance, 1.0)
    is_certain: npt.NDArray[np.bool_] = stats.false_discovery_control(chance) < FALSE_ALARM_RATE
    return is_certain


def doubt_surprising(surprises: pd.DataFrame) -> Doubt:
    """Doubt products on which the model in production is far off.

    Args:
        surprises: as `find_surprises` returns them.
    """
    return SURPRISING._replace(
        products={
            str(code): f"off by {own['hours']:.1f} h where it says {own['estimate']:.1f} h"
            for code, own in surprises.iterrows()
        }
    )


def doubt_swapped(swaps: Sequence[Swap]) -> Doubt:
    """Doubt products that seem to have been swapped."""
    pairs = [(swap.one, swap.other) for swap in swaps]
    others = {one: other for pair in pairs for one, other in (pair, pair[::-1])}
    return SWAPPED._replace(products={one: f"with {other!r}" for one, other in others.items()})


def doubt_as_before(champion: ProductRemarks, rows: Mapping[str, int]) -> list[Doubt]:
    """Doubt what was doubted when the model in production was trained on the same dataset.

    Args:
        champion: its remarks.
        rows: of each product in the week.
    """
    return [
        doubt._replace(
            products={
                code: "as when the model in production was trained"
                for code in getattr(champion, doubt.remark)
                if code in rows
            }
        )
        for doubt in (SURPRISING, SWAPPED)
    ]


def untrusted_failures(
    doubts: Sequence[Doubt], rows: Mapping[str, int], max_unfit_share: float
) -> list[Failure]:
    """Return that products which cannot be trusted have too many rows, or nothing.

    Args:
        doubts: all of them.
        rows: of each product in the week.
        max_unfit_share: largest share of the rows that such products may have.
    """
    untrusted = {code for doubt in doubts for code in doubt.products}
    share = sum(rows[code] for code in untrusted) / sum(rows.values())
    if share <= max_unfit_share:
        return []
    shift = (
        f"; if their hours really changed, {option_of('accept_shift')} does so"
        if any(doubt.products for doubt in doubts if doubt.is_of_champion)
        else ""
    )
    return [
        Failure(
            rule="untrusted_products",
            summary=f"products whose estimates cannot be trusted have {share:.1%} of the rows, "
            f"more than the limit of {max_unfit_share:.3g}",
            value=share,
            limit=max_unfit_share,
            details=tuple(
                f"{doubt.meaning} Products: {first_few(_described(doubt, rows), str)}."
                for doubt in doubts
                if doubt.products
            ),
            remedy=f"If they are like that, a larger {option_of('max_unfit_share')} publishes the "
            f"model, and its report names them{shift}.",
        )
    ]


def _described(doubt: Doubt, rows: Mapping[str, int]) -> list[str]:
    """Return the products with what there is to say of each, those with most rows first."""
    ordered = sorted(doubt.products, key=lambda code: (-rows[code], code))
    return [f"{code!r} ({rows[code]:,} rows; {doubt.products[code]})" for code in ordered]
