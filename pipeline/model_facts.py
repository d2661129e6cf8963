"""The lineage of a model, gathered from everything that the training stage knows."""

import os
from datetime import datetime
from importlib.metadata import version

import numpy as np
import pandas as pd

from pipeline.dispatch_curves import PerProductLine
from pipeline.model_checks import GridEstimates, flat_products
from pipeline.model_lineage import (
    DatasetLineage,
    Histogram,
    Lineage,
    Metrics,
    ProductCatalogue,
    ProductRemarks,
)
from pipeline.order_rows import ORDERS, PRODUCT
from pipeline.weekly_dataset import WeeklyDataset

LIBRARIES = ("numpy", "onnx", "onnxruntime", "pandas", "scikit-learn", "skl2onnx")
COMMIT_VARIABLE = "GIT_COMMIT_HASH"
HISTOGRAM_BINS = 20


def gather_lineage(
    trained_at: datetime,
    dataset: WeeklyDataset,
    model: PerProductLine,
    metrics: Metrics,
    grid: GridEstimates,
    failures: list[str],
) -> Lineage:
    """Put together all facts about a model, with the reasons for which it is refused, if any."""
    orders = dataset.orders
    counts, edges = np.histogram(orders[ORDERS], bins=HISTOGRAM_BINS)
    return Lineage(
        trained_at=trained_at,
        git_commit=os.environ.get(COMMIT_VARIABLE),
        library_versions={library: version(library) for library in LIBRARIES},
        regressor=type(model).__name__,
        dataset=DatasetLineage(
            key=dataset.key,
            sha256=dataset.sha256,
            delivered_at=dataset.delivered_at,
            rows=len(orders),
            rejected_rows=dataset.rejected,
        ),
        metrics=metrics,
        catalogue=_catalogue(orders),
        remarks=ProductRemarks(
            borrowed_slope=tuple(model.products_[model.borrowed_]),
            clipped_slope=tuple(model.products_[model.clipped_]),
            flat=flat_products(grid),
        ),
        orders_placed=Histogram(edges=edges.tolist(), counts=counts.tolist()),
        refused_because=tuple(failures),
    )


def _catalogue(orders: pd.DataFrame) -> ProductCatalogue:
    products = orders.groupby(PRODUCT, observed=True)[ORDERS].agg(["size", "min", "max"])
    products = products.sort_index()
    return ProductCatalogue(
        product_code=tuple(map(str, products.index)),
        rows=tuple(products["size"].tolist()),
        least_orders=tuple(products["min"].tolist()),
        most_orders=tuple(products["max"].tolist()),
    )
