"""What answers say of products beside their estimates, which is the same for many of them."""

from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.model.reader import DispatchModel


class ProductKind(NamedTuple):
    """What is said of products of one kind.

    Attributes:
        curve_from: when the orders were delivered that their curves were fitted to.
        trusted: whether there is no reason to doubt their estimates.
    """

    curve_from: datetime
    trusted: bool


def product_kinds(model: DispatchModel) -> tuple[npt.NDArray[np.int16], list[ProductKind]]:
    """Return the number of each product's kind, shape (n_products,), and the kinds."""
    metadata = model.metadata
    times = [metadata.dataset.delivered_at, *(each.delivered_at for each in metadata.earlier_weeks)]
    kinds = [ProductKind(time, is_trusted) for time in times for is_trusted in (True, False)]
    return metadata.week_of_products * np.int16(2) + ~model.trusted, kinds
