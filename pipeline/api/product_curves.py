"""The products that a model knows, with the range seen of each and its curve over that range."""

from collections.abc import Sequence

import numpy as np

from pipeline.api.rounding import rounded
from pipeline.api.schemas import ProductAnswer, ProductCurve
from pipeline.model.arrays import Floats
from pipeline.model.order import ORDERS, PRODUCT
from pipeline.model.reader import DispatchModel

CURVE_POINTS = 41


def product_answers(
    model: DispatchModel, positions: Sequence[int], with_curves: bool = True
) -> list[ProductAnswer]:
    """Return what the model knows of products; all their curves are estimated in one call.

    Args:
        model: what to ask.
        positions: of the products in the model's catalogue.
        with_curves: whether to estimate curves at all, which takes 0.2 ms for each product.
    """
    catalogue = model.metadata.catalogue
    codes = [catalogue.product_code[position] for position in positions]
    places = np.array(positions, dtype=np.intp)
    least, most = catalogue.least_orders[places], catalogue.most_orders[places]
    orders = np.linspace(least, most, CURVE_POINTS, axis=1)
    curves = _curves(model, codes, orders) if with_curves else [None] * len(codes)
    facts = zip(codes, catalogue.rows[places].tolist(), least.tolist(), most.tolist())
    return [
        ProductAnswer(
            product_code=code,
            curve_from=model.curve_from(code),
            trusted=not model.doubts(code),
            doubts=list(model.doubts(code)),
            remarks=list(model.remarks(code)),
            rows=rows,
            least_orders=least_orders,
            most_orders=most_orders,
            curve=curve,
        )
        for (code, rows, least_orders, most_orders), curve in zip(facts, curves)
    ]


def _curves(model: DispatchModel, codes: Sequence[str], orders: Floats) -> list[ProductCurve]:
    """Return the curves of products at order counts, shape (n_products, n_points)."""
    rows = [code for code in codes for _ in range(orders.shape[1])]
    predicted = model.predict({PRODUCT: rows, ORDERS: orders.ravel()})
    by_product = (column.reshape(orders.shape) for column in predicted[:3])
    return [_curve(*columns) for columns in zip(orders, *by_product)]


def _curve(placed: Floats, hours: Floats, lower: Floats, upper: Floats) -> ProductCurve:
    """Return one product's curve, which has one point only if it was seen at one order count."""
    points = slice(None) if placed[0] < placed[-1] else slice(1)
    return ProductCurve(
        orders_placed=placed[points].tolist(),
        est_hours_to_dispatch=rounded(hours[points]),
        lower_hours=rounded(lower[points]),
        upper_hours=rounded(upper[points]),
    )
