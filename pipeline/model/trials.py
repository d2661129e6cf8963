"""Whether a model that was read answers, and its curves say what its ONNX graph says."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline.model.arrays import Floats
from pipeline.model.catalogue import ProductCatalogue
from pipeline.model.curve_table import CurveTable
from pipeline.model.graph_trial import Trial, hours_of_graph
from pipeline.model.order import MAX_ORDERS_PLACED, ORDERS
from pipeline.model.product_codes import Positions
from pipeline.stages.errors import ArtifactError

if TYPE_CHECKING:
    from pipeline.model.reader import DispatchModel

MAX_PRODUCTS_ON_GRID = 500
"""Of these all knots are tried; of others, one order count each."""
MAX_ORDERS_ON_GRID = 500_000
ORDERS_AT_ONCE = 50_000
"""So that a million products take no more memory."""
ORDERS_ALONE = 20
POINTS_ON_GRID = 20
"""Where there are no knots."""
LEAST_ORDERS_TOGETHER = 1_000
"""As many as the service asks about at once."""
MAX_DIFFERENCE_HOURS = 1e-9
MAX_RELATIVE_DIFFERENCE = 1e-12
"""Graphs add in another order on other processors, and may differ in the last bits."""


def check_curves(
    key: str, content: bytes, curves: CurveTable, product_codes: Sequence[str]
) -> None:
    """Compare the estimates of both: some products on a grid of orders, and all at random ones.

    Args:
        key: of the artifact.
        content: the artifact, with its ONNX graph.
        curves: its curves.
        product_codes: of its catalogue.

    Raises:
        ArtifactError: they disagree, or the graph does not work.
        WorkersError: the graph cannot be tried.
    """
    positions, placed = _tried(curves.knots, len(product_codes))
    trial = Trial(positions, placed, _ends(len(placed)))
    expected = hours_of_graph(key, content, product_codes, trial)
    for rows in _slices(len(placed)):
        with np.errstate(over="ignore", invalid="ignore"):
            plain = curves.hours(positions[rows], {ORDERS: placed[rows]})
        agree = _agree(plain, expected[rows])
        if not agree.all():
            worst = int(np.argmin(agree))
            raise ArtifactError(
                f"The model {key} contradicts itself: for "
                f"{product_codes[positions[rows][worst]]!r} and {placed[rows][worst]:g} orders its "
                f"curves say {plain[worst]:.9g} h, its ONNX graph {expected[rows][worst]:.9g} h. "
                "Train it again."
            )


def check_graph_alone(key: str, content: bytes, catalogue: ProductCatalogue) -> None:
    """Ask the graph of an artifact without curves about orders, alone and among many.

    Raises:
        ArtifactError: it does not work, or does not give the same estimates to both.
        WorkersError: it cannot be tried.
    """
    most = min(1.1 * catalogue.most_orders.max(), MAX_ORDERS_PLACED)
    positions, placed = _tried(np.linspace(0.0, most, POINTS_ON_GRID), len(catalogue.rows))
    together = np.resize(np.arange(len(placed)), max(len(placed), LEAST_ORDERS_TOGETHER))
    alone = np.linspace(0, len(placed) - 1, ORDERS_ALONE).astype(np.intp)
    rows = np.concatenate([together, alone])
    ends = [*_ends(len(together)), *range(len(together) + 1, len(rows) + 1)]
    trial = Trial(positions[rows], placed[rows], ends)
    hours = hours_of_graph(key, content, catalogue.product_code, trial)
    agree = _agree(hours[alone], hours[len(together) :])
    if not agree.all():
        worst = int(alone[np.argmin(agree)])
        raise ArtifactError(
            f"The model {key} contradicts itself: {placed[worst]:g} orders of "
            f"{catalogue.product_code[positions[worst]]!r} get another estimate alone than among "
            "others. Train it again."
        )


def check_answers(model: "DispatchModel") -> None:
    """See that a model has finite answers for all products, at the ends of all that may be asked.

    Its curves are straight and rise between them, and so do the bounds around them.

    Raises:
        ArtifactError: it has not.
    """
    catalogue = model.metadata.catalogue
    for rows in _slices(len(catalogue.rows)):
        positions = np.arange(len(catalogue.rows))[rows]
        for placed in (
            np.zeros(len(positions)),
            catalogue.least_orders[rows],
            catalogue.most_orders[rows],
            np.full(len(positions), float(MAX_ORDERS_PLACED)),
        ):
            _check_answers_at(model, positions, placed)


def _check_answers_at(model: "DispatchModel", positions: Positions, placed: Floats) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        hours, lower, upper, _ = model.predict_at(positions, {ORDERS: placed})
    is_right = (lower >= 0) & (lower <= hours) & (hours <= upper) & np.isfinite(upper)
    if not is_right.all():
        worst = int(np.argmin(is_right))
        product = model.metadata.catalogue.product_code[positions[worst]]
        raise ArtifactError(
            f"The model {model.version} does not work: it estimates {hours[worst]:g} h for "
            f"{product} and {placed[worst]:g} orders, between {lower[worst]:g} and "
            f"{upper[worst]:g} h. Train it again."
        )


def _agree(hours: Floats, others: Floats) -> "np.typing.NDArray[np.bool_]":
    return np.isclose(
        hours, others, rtol=MAX_RELATIVE_DIFFERENCE, atol=MAX_DIFFERENCE_HOURS, equal_nan=True
    )


def _ends(n_rows: int) -> list[int]:
    return [rows.stop for rows in _slices(n_rows)]


def _slices(n_rows: int) -> list[slice]:
    return [
        slice(start, min(start + ORDERS_AT_ONCE, n_rows))
        for start in range(0, n_rows, ORDERS_AT_ONCE)
    ]


def _tried(knots: Floats, n_products: int) -> tuple[Positions, Floats]:
    """Return products and order counts to compare the estimates of.

    Args:
        knots: order counts between which estimates are expected to rise evenly, sorted.
        n_products: number of products.
    """
    random = np.random.default_rng(0)
    # At the knots, just beside them, and far outside.
    grid = np.concatenate([knots, knots - 0.5, knots + 0.5, [0.0, MAX_ORDERS_PLACED]])
    grid = np.unique(np.clip(grid, 0.0, MAX_ORDERS_PLACED))
    n_few = min(MAX_PRODUCTS_ON_GRID, 1 + MAX_ORDERS_ON_GRID // len(grid))
    few = np.unique(np.linspace(0, n_products - 1, n_few).astype(np.intp))
    somewhere = random.uniform(0.0, 1.1 * min(knots[-1], MAX_ORDERS_PLACED), n_products)
    positions = np.concatenate([np.repeat(few, len(grid)), np.arange(n_products)])
    return positions, np.concatenate([np.tile(grid, len(few)), somewhere])
