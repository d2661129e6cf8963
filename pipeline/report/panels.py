"""What the training report draws: which products, which of their rows, and the figures' words."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup

from pipeline.model.arrays import Floats
from pipeline.model.metadata import ModelMetadata
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.report.formatting import count, hours, short
from pipeline.report.plots import (
    DrawnCurve,
    Points,
    draw_agreement,
    draw_histogram,
    draw_product,
    draw_residuals,
)
from pipeline.training.evaluation import GridEstimates
from pipeline.training.fitting import TrainedModel
from pipeline.training.selection import OutOfSample

MAX_DRAWN_PRODUCTS = 12
MAX_DOTS_OF_PRODUCT = 400
MAX_CROSSES_OF_PRODUCT = 50
MAX_DOTS_OF_TEST_ROWS = 1_500


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
        worst: of the others, those with too many outliers, and then those with the largest mean
            absolute error on test rows.
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


def typical_reach(metadata: ModelMetadata, test: OutOfSample) -> tuple[float, float]:
    """Return how far the intervals of the test rows reach below and above, as medians in hours."""
    products = test.rows[PRODUCT].cat
    known = metadata.catalogue.product_code.positions(products.categories.astype(str))
    noise_of_rows = metadata.catalogue.noise_of(known[products.codes])
    below, above = metadata.interval.reach(test.estimates, noise_of_rows)
    return float(np.median(below)), float(np.median(above))


def product_panels(
    metadata: ModelMetadata,
    orders: pd.DataFrame,
    model: TrainedModel,
    errors: "pd.Series[float]",
    champion_hours: Floats | None,
) -> ProductPanels:
    """Choose the products to show, and draw them.

    Args:
        metadata: of the model.
        orders: the valid rows of the week.
        model: the model that was trained on them.
        errors: from `errors_of_products`.
        champion_hours: estimates of the champion on the grid of the model, NaN for products that
            it does not know; None without champion.
    """
    largest, worst = _shown_products(metadata, errors)
    is_outlier_of_week = model.noise.is_outlier
    panels = []
    for i, product in enumerate([*largest, *worst], start=1):
        rows = np.flatnonzero(orders[PRODUCT] == product)
        is_outlier = is_outlier_of_week[rows]
        outliers = int(is_outlier.sum())
        curve = _curve(product, metadata, model.grid, champion_hours)
        figure = Markup(
            draw_product(
                f"product-{i}",
                _curve_in_words(product, len(rows), outliers, curve),
                _points(orders, rows[~is_outlier], MAX_DOTS_OF_PRODUCT),
                _points(orders, rows[is_outlier], MAX_CROSSES_OF_PRODUCT),
                curve,
            )
        )
        error_hours = errors.get(product)
        panels.append(ProductPanel(product, len(rows), outliers, error_hours, figure))
    return ProductPanels(panels[: len(largest)], panels[len(largest) :])


def error_figures(test: OutOfSample) -> ErrorFigures:
    """Draw how far estimates are from the truth on the test rows."""
    truth, residuals = test.rows[HOURS].to_numpy(), test.residuals
    dots = _sample(np.arange(len(truth)), MAX_DOTS_OF_TEST_ROWS)
    estimates = test.estimates[dots]
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
    codes, rows = metadata.catalogue.product_code, metadata.catalogue.rows
    own = np.flatnonzero(metadata.week_of_products == 0)
    held = list(metadata.remarks.held_back)
    if len(own) + len(held) <= MAX_DRAWN_PRODUCTS:
        return sorted([*(codes[position] for position in own.tolist()), *held]), []
    half = MAX_DRAWN_PRODUCTS // 2
    order = np.argsort(-rows[own], kind="stable")[:half]
    largest = [codes[position] for position in own[order].tolist()]
    shown = {*largest, *held}
    unfit = [code for code in metadata.remarks.unfit if code not in shown]
    others = errors.drop([*shown, *unfit], errors="ignore")
    worst = [*held, *unfit, *others.sort_values(ascending=False, kind="stable").index[:half]]
    return largest, worst[:half]


def errors_of_products(test: OutOfSample) -> "pd.Series[float]":
    """Return the mean absolute error of each product with test rows, in hours, by code."""
    distances = pd.Series(np.abs(test.residuals))
    errors = distances.groupby(test.rows[PRODUCT].array, observed=True).mean()
    return errors.set_axis(errors.index.astype(str))


def _curve(
    product: str, metadata: ModelMetadata, grid: GridEstimates, champion_hours: Floats | None
) -> DrawnCurve:
    """Return what model and champion say of a product."""
    position = int(np.flatnonzero(grid.products == product)[0])
    estimates = grid.hours[position]
    noise = metadata.catalogue.noise_of(metadata.catalogue.product_code.positions([product]))
    below, above = metadata.interval.reach(estimates, noise)
    champion = None if champion_hours is None else champion_hours[position]
    return DrawnCurve(
        orders=grid.orders[position],
        estimates=estimates,
        lower=np.maximum(estimates - below, 0.0),
        upper=estimates + above,
        champion=None if champion is None or np.isnan(champion).any() else champion,
    )


def _points(orders: pd.DataFrame, rows: npt.NDArray[np.intp], max_points: int) -> Points:
    """Return some of these rows as points."""
    some = orders.iloc[_sample(rows, max_points)]
    return Points(some[ORDERS].to_numpy(), some[HOURS].to_numpy())


def _curve_in_words(product: str, rows: int, outliers: int, curve: DrawnCurve) -> str:
    """Return what the figure of a product shows."""
    words = (
        f"{short(product)}: {count(rows, 'row')}, {count(outliers, 'outlier')} among them. "
        f"The estimate goes from {hours(curve.estimates[0])} at 0 orders placed to "
        f"{hours(curve.estimates[-1])} at {curve.orders[-1]:,.0f}, where the interval reaches "
        f"from {hours(curve.lower[-1])} to {hours(curve.upper[-1])}."
    )
    if curve.champion is None:
        return words
    return f"{words} The champion says {hours(curve.champion[-1])} there."


def _sample(positions: npt.NDArray[np.intp], max_size: int) -> npt.NDArray[np.intp]:
    """Return at most so many of these, in their order, and always the same ones."""
    if len(positions) <= max_size:
        return positions
    chosen = np.random.default_rng(0).choice(len(positions), max_size, replace=False, shuffle=False)
    return positions[np.sort(chosen)]
