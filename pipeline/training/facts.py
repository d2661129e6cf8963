"""The metadata of a model, gathered from everything that the training stage knows."""

from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.curves.steps import step_of
from pipeline.model.arrays import Floats
from pipeline.model.catalogue import ProductCatalogue
from pipeline.model.metadata import (
    DatasetLineage,
    Histogram,
    ModelMetadata,
    Outlier,
    Outliers,
    ProductInSteps,
    ProductRemarks,
)
from pipeline.model.order import HOURS, ORDERS, PRODUCT
from pipeline.model.product_codes import ProductCodes
from pipeline.orders.splits import MIN_ROWS_OF_PRODUCT
from pipeline.orders.week_rows import WeekRows
from pipeline.orders.weekly_dataset import WeeklyDataset
from pipeline.stages.settings import git_commit
from pipeline.training.evaluation import flat_products
from pipeline.training.fitting import ModelNoise, TrainedModel

LIBRARIES = ("numpy", "onnx", "onnxruntime", "pandas", "scikit-learn", "skl2onnx")
ORDERS_PLACED_BINS = 20
MAX_LISTED_OUTLIERS = 100
NOISE_DECIMALS = 3
MIN_NOISY_RATIO = 4.0
"""Products that differ by less in their noise are nothing unusual."""
MIN_STEP_SHARE_OF_NOISE = 0.1


def gather_metadata(
    trained_at: datetime, dataset: WeeklyDataset, model: TrainedModel
) -> ModelMetadata:
    """Put together all facts about a model that do not depend on the model in production."""
    orders = dataset.orders
    catalogue = _catalogue(dataset.week.products, model.noise)
    counts, edges = np.histogram(orders[ORDERS], bins=ORDERS_PLACED_BINS)
    return ModelMetadata(
        trained_at=trained_at,
        git_commit=git_commit(),
        library_versions=library_versions(),
        regressor=model.name,
        estimate=model.estimate,
        candidates=model.candidates,
        dataset=DatasetLineage(
            key=dataset.key,
            sha256=dataset.sha256,
            rows_sha256=dataset.rows_sha256,
            delivered_at=dataset.delivered_at,
            rows=dataset.week.n_rows,
            rejected_rows=len(dataset.rejected),
            step_hours=_coarse_step(orders, model.noise),
            repeated=model.repeated,
        ),
        metrics=model.metrics,
        skill=model.skill,
        interval=model.interval,
        outliers=_outliers(dataset.week, model.noise),
        catalogue=catalogue,
        remarks=_remarks(orders, catalogue, model),
        orders_placed=Histogram(edges=edges.tolist(), counts=counts.tolist()),
    )


def library_versions() -> Mapping[str, str]:
    """Return the versions of the libraries that make models."""
    return {library: version(library) for library in LIBRARIES}


def _coarse_step(orders: pd.DataFrame, noise: ModelNoise) -> float | None:
    """Return the step of the labels in hours, or None if it is small beside the noise."""
    step = step_of(orders[HOURS].to_numpy())
    return step if step > MIN_STEP_SHARE_OF_NOISE * np.median(noise.hours) else None


def _outliers(week: WeekRows, noise: ModelNoise) -> Outliers:
    positions = np.flatnonzero(noise.is_outlier)
    farthest = positions[np.argsort(-np.abs(noise.distances[positions]), kind="stable")]
    farthest = farthest[:MAX_LISTED_OUTLIERS]
    distances = noise.distances[farthest]
    rows = week.sample.iloc[farthest]
    estimates = rows[HOURS] - distances * noise.hours[farthest]
    listed = zip(rows[PRODUCT], rows[ORDERS], rows[HOURS], estimates, distances)
    share = len(positions) / len(week.sample)
    return Outliers(
        rows=round(share * week.n_rows),
        share=share,
        farthest=tuple(
            Outlier(
                product_code=str(code),
                orders_placed=orders_placed,
                hours_to_dispatch=hours,
                est_hours_to_dispatch=estimate,
                distance=distance,
            )
            for code, orders_placed, hours, estimate, distance in listed
        ),
    )


def _catalogue(products: pd.DataFrame, noise: ModelNoise) -> ProductCatalogue:
    # Rounded up: many labels may be at the very end of an interval.
    below, above = np.ceil(noise.for_intervals.relative * 10**NOISE_DECIMALS) / 10**NOISE_DECIMALS
    return ProductCatalogue(
        product_code=ProductCodes(map(str, products.index)),
        rows=products["rows"].to_numpy(),
        least_orders=products["least_orders"].to_numpy(),
        most_orders=products["most_orders"].to_numpy(),
        relative_lower_noise=below,
        relative_upper_noise=above,
    )


def _remarks(
    orders: pd.DataFrame, catalogue: ProductCatalogue, model: TrainedModel
) -> ProductRemarks:
    is_one_count = catalogue.least_orders == catalogue.most_orders
    has_few_rows = (catalogue.rows < MIN_ROWS_OF_PRODUCT) | is_one_count
    flat = flat_products(model.grid)
    return ProductRemarks(
        few_rows=catalogue.product_code.those_of(has_few_rows),
        falling=_falling_products(orders[orders[PRODUCT].isin(flat)]),
        flat=flat,
        wide=tuple(map(str, model.grid.products[model.noise.for_intervals.falls_short])),
        noisy=tuple(map(str, model.grid.products[_is_noisy(model.noise.scale.relative)])),
        kinds=model.mixed,
        in_steps=_in_steps(orders, model),
    )


def _in_steps(orders: pd.DataFrame, model: TrainedModel) -> tuple[ProductInSteps, ...]:
    """Return the products whose hours come in steps that are not those of all products."""
    typical = model.grid.hours.mean(axis=1)
    noise = model.noise.scale.of(np.arange(len(typical)), typical)
    is_coarse = model.steps > MIN_STEP_SHARE_OF_NOISE * noise
    is_own = model.steps != step_of(orders[HOURS].to_numpy())
    return tuple(
        ProductInSteps(product_code=str(code), step_hours=step)
        for code, step in zip(
            model.grid.products[is_coarse & is_own], model.steps[is_coarse & is_own].tolist()
        )
    )


def _is_noisy(relative_noise: Floats) -> npt.NDArray[np.bool_]:
    """Return which products are far noisier than the typical one, shape (n_products,).

    Part of the orders of such a product may be of another kind: sent from stock, or a day late.
    """
    typical = np.sort(relative_noise)[(len(relative_noise) - 1) // 2]
    is_noisy: npt.NDArray[np.bool_] = relative_noise >= MIN_NOISY_RATIO * typical
    return is_noisy


def _falling_products(orders: pd.DataFrame) -> tuple[str, ...]:
    """Return the products whose hours fall as orders rise, by the sign of their covariance."""
    columns = orders[[ORDERS, HOURS]].astype(np.float64)
    by_product = columns.groupby(orders[PRODUCT], observed=True)
    deviations = columns - by_product.transform("mean")
    products = deviations[ORDERS] * deviations[HOURS]
    moments = products.groupby(orders[PRODUCT], observed=True).sum()
    return tuple(map(str, moments.index[moments < 0]))
