"""The figures of the training report as inline SVG; nothing else imports matplotlib.

All text in a figure is ours. Words that come from data, such as product codes, would have to be
kept from matplotlib's own markup and fonts, so they stand beside the figures, in HTML.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.typing import RcKeyType

from pipeline.model.arrays import Floats

FIGURE_INCHES = (3.5, 2.7)
AXES_BOX = (0.17, 0.165, 0.80, 0.80)
"""Left, bottom, width and height in shares of the figure; room for labels such as 100,000."""

INK, ROWS, CURVE, BAND = "#1b1f24", "#566573", "#0b4f8a", "#a9cdea"
CHAMPION, OUTLIER = "#9a4a00", "#b00020"
STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "time-to-dispatch",
    "path.simplify": False,
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#5a6673",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
}
NO_METADATA = dict.fromkeys(["Date", "Creator", "Format", "Type"])
MIN_AXIS_HOURS = 0.1
ERROR_BINS = 40
HISTOGRAM_QUANTILE = 0.99
"""Of the sizes of the errors; the outermost bars hold those beyond."""


class Points(NamedTuple):
    """Orders placed and hours to dispatch of rows, each of shape (n_rows,)."""

    orders: Floats
    hours: Floats


class DrawnCurve(NamedTuple):
    """What is said of one product over a grid of orders placed; each of shape (n_points,).

    Attributes:
        orders: orders placed.
        estimates: of the model, in hours.
        lower: where the interval around them begins, in hours.
        upper: where it ends.
        champion: estimates of the champion, or None if it does not know the product.
    """

    orders: Floats
    estimates: Floats
    lower: Floats
    upper: Floats
    champion: Floats | None


def draw_product(name: str, label: str, rows: Points, outliers: Points, curve: DrawnCurve) -> str:
    """Return rows, fitted curve and interval band of one product.

    Args:
        name: of the figure, unique in the page.
        label: what the figure shows, for people who do not see it.
        rows: some rows of the product that are no outliers.
        outliers: some of its outliers.
        curve: what model and champion say of the product.
    """
    with _axes("orders placed before, on the same day", "hours to dispatch") as (figure, axes):
        axes.fill_between(curve.orders, curve.lower, curve.upper, color=BAND, linewidth=0)
        _dots(axes, *rows)
        axes.plot(curve.orders, curve.estimates, color=CURVE, linewidth=1.8)
        if curve.champion is not None:  # over the estimate, which shows between the dashes
            axes.plot(curve.orders, curve.champion, "--", color=CHAMPION, linewidth=1.6)
        top = 1.08 * _largest(curve.upper, rows.hours, curve.champion)
        _crosses(axes, outliers, top)
        axes.set_ylim(0.0, top)
        axes.set_xlim(0.0, 1.03 * max(curve.orders[-1], 1.0))
        return _svg(figure, name, label)


def draw_agreement(name: str, label: str, truth: Floats, estimates: Floats) -> str:
    """Return actual hours against estimates, with the line on which both are the same."""
    with _axes("estimated hours", "actual hours") as (figure, axes):
        top = 1.05 * _largest(truth, estimates)
        axes.plot([0.0, top], [0.0, top], color=CURVE, linewidth=1.4)
        _dots(axes, estimates, truth)
        axes.set(xlim=(0.0, top), ylim=(0.0, top))
        return _svg(figure, name, label)


def draw_residuals(name: str, label: str, estimates: Floats, residuals: Floats) -> str:
    """Return actual minus estimated hours, against the estimates."""
    with _axes("estimated hours", "actual minus estimated hours") as (figure, axes):
        reach = 1.08 * _largest(residuals, -residuals)
        axes.axhline(0.0, color=CURVE, linewidth=1.4)
        _dots(axes, estimates, residuals)
        axes.set(xlim=(0.0, 1.05 * _largest(estimates)), ylim=(-reach, reach))
        return _svg(figure, name, label)


def draw_histogram(name: str, label: str, residuals: Floats) -> str:
    """Return how often each size of actual minus estimated hours occurs.

    The outermost bars hold everything beyond them, so that a few rows cannot squeeze all others
    into one bar.
    """
    with _axes("actual minus estimated hours", "test rows") as (figure, axes):
        reach = max(float(np.quantile(np.abs(residuals), HISTOGRAM_QUANTILE)), MIN_AXIS_HOURS)
        bins = np.linspace(-reach, reach, ERROR_BINS + 1)
        counts, edges = np.histogram(np.clip(residuals, -reach, reach), bins)
        axes.stairs(counts, edges, fill=True, facecolor=BAND, edgecolor=CURVE, linewidth=0.8)
        axes.axvline(0.0, color=CURVE, linewidth=1.4)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.set_ylim(0.0, 1.08 * counts.max())
        return _svg(figure, name, label)


@contextmanager
def _axes(x_label: str, y_label: str) -> Iterator[tuple[Figure, Axes]]:
    """Yield an empty figure in our style; what is drawn and written inside keeps to the style."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=FIGURE_INCHES)
        axes = figure.add_axes(AXES_BOX)
        axes.grid(color="#e3e7eb", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set(xlabel=x_label, ylabel=y_label)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
            axis.set_major_formatter(FuncFormatter(_tick_label))
        yield figure, axes


def _tick_label(value: float, position: int | None) -> str:
    """Write 0.5, 1,500, 250k."""
    text = f"{value / 1000:,.6g}k" if abs(value) >= 100_000 else f"{value:,.6g}"
    return text.replace("-", "−")


def _dots(axes: Axes, x: Floats, y: Floats) -> None:
    """Draw dots as one line of round ends without length: a quarter of the size of markers."""
    gap = np.full(len(x), np.nan)
    axes.plot(
        np.column_stack([x, x, gap]).ravel(),
        np.column_stack([y, y, gap]).ravel(),
        color=ROWS,
        linewidth=2.0,
        solid_capstyle="round",
    )


def _crosses(axes: Axes, outliers: Points, top: float) -> None:
    """Draw outliers as crosses, and as triangles at the upper edge where they are beyond it."""
    orders, hours = outliers
    is_beyond = hours > top
    axes.plot(orders[~is_beyond], hours[~is_beyond], "x", color=OUTLIER)
    edge = np.full(is_beyond.sum(), top)
    axes.plot(orders[is_beyond], edge, "^", color=OUTLIER, clip_on=False)


def _largest(*hours: Floats | None) -> float:
    """Return the largest of all, or a little where all are zero or there are none."""
    return max(
        float(np.max(values, initial=MIN_AXIS_HOURS)) for values in hours if values is not None
    )


def _svg(figure: Figure, name: str, label: str) -> str:
    """Return a figure as an element that can stand in a page with others, and is read aloud."""
    content = io.StringIO()
    figure.savefig(content, format="svg", transparent=True, metadata=NO_METADATA)
    svg = content.getvalue()
    svg = svg[svg.index("<svg") :]
    attributes = f'role="img" aria-label="{escape(label)}" stroke-linejoin="round"'
    svg = svg.replace("<svg ", f"<svg {attributes} ", 1)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    # The page's policy allows styles of its own alone, so that these become plain attributes. Its
    # font is used, and a hundredth of a point is finer than any screen.
    svg = re.sub(r"<style[^<]*</style>", "", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r' style="([^"]*)"', _attributes, svg)
    return re.sub(r"(\.\d\d)\d{3,4}\b", r"\1", svg)


def _attributes(style: "re.Match[str]") -> str:
    """Return the attributes of SVG that say what a style does."""
    pairs = (rule.split(":", 1) for rule in style[1].split(";") if rule.strip())
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs)
