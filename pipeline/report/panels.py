"""What the training report draws: which products, which of their rows, and the figures' words."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup

from pipeline.model.arrays import Floats
from pipeline.model.metadata import ModelMetadata
from pipeline.orders.csv_rows import HOURS, ORDERS, PRODUCT
from pipeline.report.facts import ReportFacts
from pipeline.report.formatting import count, hours, short
from pipeline.report.plots import (
    DrawnCurve,
    draw_agreement,
    draw_histogram,
    draw_product,
    draw_residuals,
)

MAX_DRAWN_PRODUCTS = 12
DOTS_OF_A_PRODUCT = 400
CROSSES_OF_A_PRODUCT = 50
DOTS_OF_ALL_PRODUCTS = 1_500


class ProductPanel(NamedTuple):
    """One product as the report shows it.

    Attributes:
        product_code: its code.
        rows: its valid rows, outliers included.
        outliers: how many of them are outliers.
        error_hours: mean absolute error on its test rows; None without test rows.
        figure: its rows and curve as SVG.
    """

    product_code: str
    rows: int
    outliers: int
    error_hours: float | None
    figure: Markup


class ProductPanels(NamedTuple):
    """The products that the report shows.

    Attributes:
        largest: those with the most rows; all products, by code, where all fit.
        worst: of the others, those with the largest mean absolute error on test rows.
    """

    largest: list[ProductPanel]
    worst: list[ProductPanel]


class ErrorFigures(NamedTuple):
    """The figures about the test rows of all products, as SVG.

    Attributes:
        dots: number of test rows that are drawn as dots.
        agreement: actual against estimated hours.
        residuals: actual minus estimated hours, against the estimates.
        histogram: of actual minus estimated hours, of all test rows.
    """

    dots: int
    agreement: Markup
    residuals: Markup
    histogram: Markup


def typical_half_width(facts: ReportFacts) -> float:
    """Return the median half-width of the intervals of the test rows, in hours."""
    products = facts.test[PRODUCT].cat
    noise = _noise_of_products(facts.metadata).reindex(products.categories.astype(str))
    noise_of_rows = np.asarray(noise, dtype=np.float64)[products.codes.to_numpy()]
    half_widths = facts.metadata.interval.half_width(facts.test_estimates, noise_of_rows)
    return float(np.median(half_widths))


def product_panels(facts: ReportFacts) -> ProductPanels:
    """Choose the products to show, and draw them."""
    errors = _errors_of_products(facts)
    largest, worst = _shown_products(facts.metadata, errors)
    noise = _noise_of_products(facts.metadata)
    panels = [
        _panel(facts, f"product-{i}", product, float(noise[product]), errors.get(product))
        for i, product in enumerate([*largest, *worst], start=1)
    ]
    return ProductPanels(panels[: len(largest)], panels[len(largest) :])


def error_figures(facts: ReportFacts) -> ErrorFigures:
    """Draw how far estimates are from the truth on the test rows."""
    truth = facts.test[HOURS].to_numpy()
    residuals = truth - facts.test_estimates
    dots = _sample(np.arange(len(truth)), DOTS_OF_ALL_PRODUCTS)
    estimates = facts.test_estimates[dots]
    distances = np.abs(residuals)
    label = (
        f"Of {count(len(truth), 'test row')}, half are within {hours(np.median(distances))} of "
        f"the estimate, and all within {hours(distances.max())}."
    )
    kinds = ("Actual against estimated hours", "Errors against estimates", "Histogram of errors")
    agreement, scatter, histogram = (f"{kind}. {label}" for kind in kinds)
    return ErrorFigures(
        len(dots),
        Markup(draw_agreement("agreement", agreement, truth[dots], estimates)),
        Markup(draw_residuals("residuals", scatter, estimates, residuals[dots])),
        Markup(draw_histogram("histogram", histogram, residuals)),
    )


def _shown_products(
    metadata: ModelMetadata, errors: "pd.Series[float]"
) -> tuple[list[str], list[str]]:
    """Return the codes of the largest products, and of the worst among the others."""
    rows = pd.Series(metadata.catalogue.rows, index=list(metadata.catalogue.product_code))
    if len(rows) <= MAX_DRAWN_PRODUCTS:
        return list(rows.index), []
    half = MAX_DRAWN_PRODUCTS // 2
    largest = list(rows.sort_values(ascending=False, kind="stable").index[:half])
    others = errors.drop(largest, errors="ignore")
    return largest, list(others.sort_values(ascending=False, kind="stable").index[:half])


def _noise_of_products(metadata: ModelMetadata) -> "pd.Series[float]":
    """Return the relative noise of each product, by code."""
    catalogue = metadata.catalogue
    return pd.Series(catalogue.relative_noise, index=list(catalogue.product_code))


def _errors_of_products(facts: ReportFacts) -> "pd.Series[float]":
    """Return the mean absolute error of each product with test rows, in hours, by code."""
    distances = pd.Series(np.abs(facts.test[HOURS].to_numpy() - facts.test_estimates))
    errors = distances.groupby(facts.test[PRODUCT].array, observed=True).mean()
    return errors.set_axis(errors.index.astype(str))


def _panel(
    facts: ReportFacts, name: str, product: str, noise: float, error_hours: float | None
) -> ProductPanel:
    """Draw one product, whose noise relative to that of all products is given."""
    rows = np.flatnonzero(facts.orders[PRODUCT] == product)
    is_outlier = facts.is_outlier[rows]
    dots = _sample(rows[~is_outlier], DOTS_OF_A_PRODUCT)
    crosses = _sample(rows[is_outlier], CROSSES_OF_A_PRODUCT)
    orders, label_hours = facts.orders[ORDERS].to_numpy(), facts.orders[HOURS].to_numpy()
    position = int(np.flatnonzero(facts.grid.products == product)[0])
    estimates = facts.grid.hours[position]
    curve = DrawnCurve(
        orders=orders[dots],
        hours=label_hours[dots],
        outlier_orders=orders[crosses],
        outlier_hours=label_hours[crosses],
        grid=facts.grid.orders[position],
        estimates=estimates,
        half_width=facts.metadata.interval.half_width(estimates, np.full_like(estimates, noise)),
        champion=_champion_curve(facts, position),
    )
    outliers = int(is_outlier.sum())
    figure = draw_product(name, _curve_in_words(product, len(rows), outliers, curve), curve)
    return ProductPanel(product, len(rows), outliers, error_hours, Markup(figure))


def _champion_curve(facts: ReportFacts, position: int) -> Floats | None:
    """Return the champion's estimates for a product of the grid, if it knows that product."""
    if facts.champion_hours is None or np.isnan(facts.champion_hours[position]).any():
        return None
    return np.asarray(facts.champion_hours[position])


def _curve_in_words(product: str, rows: int, outliers: int, curve: DrawnCurve) -> str:
    """Return what the figure of a product shows."""
    words = (
        f"{short(product)}: {count(rows, 'row')}, {count(outliers, 'outlier')} among them. "
        f"The estimate goes from {hours(curve.estimates[0])} at 0 orders placed to "
        f"{hours(curve.estimates[-1])} at {curve.grid[-1]:,.0f}, where the interval reaches "
        f"{hours(curve.half_width[-1])} to either side."
    )
    if curve.champion is None:
        return words
    return f"{words} The champion says {hours(curve.champion[-1])} there."


def _sample(positions: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.intp]:
    """Return at most so many of these, in their order, and always the same ones."""
    if len(positions) <= most:
        return positions
    chosen = np.random.default_rng(0).choice(len(positions), most, replace=False, shuffle=False)
    return positions[np.sort(chosen)]
