"""Stores with a model of many products, whose curves are made up: only speed is measured."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.curves.estimator import PerProductCurve
from pipeline.model.artifact import MODELS
from pipeline.model.metadata import ModelMetadata
from pipeline.orders.simulator import BUSIEST_DAY
from pipeline.release.publishing import store_artifact, write_artifact
from pipeline.stores.base import open_store

SEGMENTS = 8
ROWS_OF_PRODUCT = 10
LEAST_ORDERS = 5.0
SEED = 0


def product_codes(n_products: int) -> tuple[str, ...]:
    """Return codes in their order."""
    return tuple(f"SKU{number:07d}" for number in range(n_products))


def publish_curves(store: Path, like: ModelMetadata, codes: Sequence[str]) -> None:
    """Publish a model with a curve for each product.

    Args:
        store: an empty folder.
        like: what the model says of itself, but for its products.
        codes: of the products, in their order.
    """
    random = np.random.default_rng(SEED)
    rises = random.exponential(2.0, (len(codes), SEGMENTS + 1)).astype(np.float32)
    regressor = PerProductCurve(SEGMENTS)
    regressor.products_ = np.array(codes, dtype=object)
    regressor.knots_ = np.linspace(0.0, BUSIEST_DAY, SEGMENTS + 1)
    regressor.coefficients_ = rises.astype(float)
    regressor.carried_ = ()
    noise = random.uniform(0.5, 2.0, len(codes))
    catalogue = {
        "product_code": codes,
        "rows": np.full(len(codes), ROWS_OF_PRODUCT),
        "least_orders": np.full(len(codes), LEAST_ORDERS),
        "most_orders": np.full(len(codes), float(BUSIEST_DAY)),
        "relative_noise": noise,
    }
    facts = like.model_dump(exclude={"catalogue", "outliers", "remarks"}) | {
        "catalogue": catalogue,
        "outliers": {"rows": 0, "share": 0, "farthest": []},
        "remarks": {"few_rows": [], "falling": [], "flat": []},
    }
    metadata = ModelMetadata.model_validate(facts)
    content = write_artifact(regressor, metadata)
    store_artifact(open_store(str(store)), MODELS, metadata, content)
