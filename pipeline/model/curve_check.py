"""Whether the plain curves of an artifact say what its ONNX graph says, tried when it is loaded."""

from collections.abc import Sequence

import numpy as np

from pipeline.model.arrays import Floats
from pipeline.model.curve_table import CurveTable
from pipeline.model.onnx_regressor import OnnxRegressor, reason
from pipeline.model.order import MAX_ORDERS_PLACED, ORDERS
from pipeline.model.product_codes import Positions
from pipeline.stages.errors import ArtifactError

MAX_PRODUCTS_ON_GRID = 500
"""Of these all knots are tried; of others, one order count each."""
ORDERS_AT_ONCE = 50_000
"""So that a million products take no more memory."""
MAX_DIFFERENCE_HOURS = 1e-9
MAX_RELATIVE_DIFFERENCE = 1e-12
"""Graphs add in another order on other processors, and may differ in the last bits."""


def check_curves(
    key: str, curves: CurveTable, graph: OnnxRegressor, product_codes: Sequence[str]
) -> None:
    """Compare the estimates of both: some products on a grid of orders, and all at random ones.

    Args:
        key: of the artifact.
        curves: its curves.
        graph: its ONNX graph.
        product_codes: of its catalogue.

    Raises:
        ArtifactError: they disagree, or the graph does not work.
    """
    positions, placed = _tried(curves, len(product_codes))
    for start in range(0, len(placed), ORDERS_AT_ONCE):
        part = slice(start, start + ORDERS_AT_ONCE)
        _compare(key, curves, graph, product_codes, positions[part], placed[part])


def _compare(
    key: str,
    curves: CurveTable,
    graph: OnnxRegressor,
    product_codes: Sequence[str],
    positions: Positions,
    placed: Floats,
) -> None:
    """Compare the estimates for some orders; see `check_curves`."""
    plain = curves.hours(positions, {ORDERS: placed})
    try:
        expected = graph.hours(positions, {ORDERS: placed})
    except Exception as error:  # see open_session
        raise ArtifactError(f"The model {key} does not work: {reason(error)}") from error
    agree = np.isclose(
        plain, expected, rtol=MAX_RELATIVE_DIFFERENCE, atol=MAX_DIFFERENCE_HOURS, equal_nan=True
    )
    if not agree.all():
        worst = int(np.argmin(agree))
        raise ArtifactError(
            f"The model {key} contradicts itself: for {product_codes[positions[worst]]!r} and "
            f"{placed[worst]:g} orders its curves say {plain[worst]:.9g} h, its ONNX graph "
            f"{expected[worst]:.9g} h. Train it again."
        )


def _tried(curves: CurveTable, n_products: int) -> tuple[Positions, Floats]:
    """Return products and order counts to compare the estimates of."""
    random = np.random.default_rng(0)
    few = np.unique(np.linspace(0, n_products - 1, MAX_PRODUCTS_ON_GRID).astype(np.intp))
    knots = curves.knots
    # At the knots, just beside them, and far outside.
    grid = np.concatenate([knots, knots - 0.5, knots + 0.5, [0.0, MAX_ORDERS_PLACED]])
    grid = np.unique(np.clip(grid, 0.0, MAX_ORDERS_PLACED))
    somewhere = random.uniform(0.0, 1.1 * min(knots[-1], MAX_ORDERS_PLACED), n_products)
    positions = np.concatenate([np.repeat(few, len(grid)), np.arange(n_products)])
    return positions, np.concatenate([np.tile(grid, len(few)), somewhere])
