"""Products without orders this week: they keep the champion's curve for a while, or are dropped.

Products whose orders contradict the champion keep its curve, too.

All this happens after the new model was judged, which is only about products with orders.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Set
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.curves.estimator import DispatchCurve, PerProductCurve
from pipeline.curves.onnx_converter import read_tables
from pipeline.curves.tables import CurveTable
from pipeline.model.artifact import MODELS, SUFFIX
from pipeline.model.catalogue import CODES, COLUMNS, ProductCatalogue
from pipeline.model.metadata import (
    DOUBTS,
    DroppedProducts,
    EarlierWeek,
    ModelMetadata,
    PredictionInterval,
    ProductRemarks,
)
from pipeline.model.order import normalised_code
from pipeline.model.product_codes import ProductCodes
from pipeline.model.reader import DispatchModel
from pipeline.release.champion import champion_on_grid
from pipeline.stores.base import ObjectStore
from pipeline.training.evaluation import GRID_POINTS, ROUNDING_HOURS, GridEstimates
from pipeline.training.fitting import TrainedModel

WEEK = timedelta(weeks=1)


class FinalModel(NamedTuple):
    """What is published: a new model, and the curves that it keeps.

    Attributes:
        regressor: estimates the products of the week, and those that are kept.
        metadata: says which these are, and which the champion knew and were dropped.
        points: orders on which its artifact must agree with it, of kept products too.
    """

    regressor: DispatchCurve
    metadata: ModelMetadata
    points: pd.DataFrame


def carry_products(
    store: ObjectStore | None,
    champion: DispatchModel | None,
    model: TrainedModel,
    metadata: ModelMetadata,
    keep_weeks: int,
    retired: Set[str],
) -> FinalModel:
    """Let a new model keep the champion's curves of products that had no orders this week.

    So does a product whose orders contradict the champion, if the model is published.
    A curve is kept for a number of weeks after the one that it was fitted to, unless people retired
    the product. Its prediction intervals stay as wide as they were.

    Args:
        store: has the champion's artifact; None if no store is known.
        champion: the model in production, or None if there is none to keep anything of.
        model: the new model.
        metadata: of the new model.
        keep_weeks: so many weeks; 0 to keep none.
        retired: normalised codes of products that people retired.

    Raises:
        StoreError: the store cannot be read.
    """
    ordered = tuple(c for c in sorted(retired) if c in metadata.catalogue.product_code)
    remarks = metadata.remarks.model_copy(update={"retired": ordered})
    metadata = metadata.model_copy(update={"remarks": remarks})
    if store is None or champion is None:
        return FinalModel(model.regressor, metadata, model.points())
    held = _held_back(champion, metadata, keep_weeks)
    absent = _absent(champion, metadata.catalogue.product_code)
    gone = (code for code in absent if normalised_code(code) in retired)
    reasons = _aged(champion, absent, metadata, keep_weeks)
    reasons |= dict.fromkeys(gone, "retired by ttd-models")
    wanted = absent - reasons.keys()
    regressor, kept = _carry(store, champion, model.regressor, wanted | held)
    reasons |= dict.fromkeys(
        wanted - kept,
        f"whose curves a {metadata.regressor} cannot take over from {champion.version}",
    )
    doubts = _kept_doubts(champion, remarks, kept)
    facts = {
        "remarks": remarks.model_copy(update={**doubts, "held_back": tuple(sorted(held & kept))}),
        "catalogue": _joined(metadata.catalogue, champion.metadata.catalogue, kept),
        "earlier_weeks": tuple(_earlier_weeks(champion.metadata, metadata, kept, keep_weeks)),
        "dropped": tuple(_dropped(reasons)),
    }
    points = pd.concat([model.points(), _grid(champion, kept).some_points()])
    return FinalModel(regressor, metadata.model_copy(update=facts), points)


def _absent(champion: DispatchModel, own: ProductCodes) -> set[str]:
    """Return the champion's products that are not among these, however they are written."""
    unknown = champion.products.those_of(own.positions(champion.products) < 0)
    return {code for code in unknown if normalised_code(code) not in own}


def _held_back(champion: DispatchModel, metadata: ModelMetadata, keep_weeks: int) -> set[str]:
    """Return the products whose orders of this week are rather wrong than the champion's curve.

    Their curve is kept for as many weeks as one without orders. A model that is refused is shown as
    it was fitted. A champion of the same dataset has nothing better to say of the products whose
    curves it has from there.
    """
    if metadata.refused_because:
        return set()
    remarks, comparison = metadata.remarks, metadata.comparison
    doubted = {c for c in (*remarks.surprising, *remarks.swapped) if c in champion.products}
    if comparison is not None and comparison.same_dataset:
        doubted -= champion.metadata.own_rows.keys()
    return doubted - _aged(champion, doubted, metadata, keep_weeks).keys()


def _kept_doubts(
    champion: DispatchModel, remarks: ProductRemarks, kept: Set[str]
) -> dict[str, tuple[str, ...]]:
    """Return the remarks that say whom not to trust, with the champion's on what is kept."""
    own = champion.metadata.remarks
    return {
        remark: tuple(
            dict.fromkeys(
                [*getattr(remarks, remark), *(c for c in getattr(own, remark) if c in kept)]
            )
        )
        for remark in DOUBTS
    }


def _aged(
    champion: DispatchModel, codes: Collection[str], metadata: ModelMetadata, keep_weeks: int
) -> dict[str, str]:
    """Return the products without orders for too long, with the reason to drop them."""
    if keep_weeks == 0:
        return dict.fromkeys(codes, "without orders this week, and --keep-weeks is 0")
    reason = (
        f"without orders for more than {'a week' if keep_weeks == 1 else f'{keep_weeks} weeks'}"
    )
    now = metadata.dataset.delivered_at
    # Rounded, as deliveries are hours early or late.
    weeks = {code: round((now - champion.curve_from(code)) / WEEK) for code in codes}
    return {code: reason for code, age in weeks.items() if age > keep_weeks}


def _carry(
    store: ObjectStore, champion: DispatchModel, regressor: DispatchCurve, codes: Set[str]
) -> tuple[DispatchCurve, Set[str]]:
    """Return a regressor that estimates these products too, and for which of them it could be made.

    Both the regressor and the champion must be made of curves.
    """
    if not codes or not isinstance(regressor, PerProductCurve):
        return regressor, set()
    content = store.read(f"{MODELS}/{champion.version}{SUFFIX}")
    wanted = (table.of(codes) for table in read_tables(content))
    tables = [table.of(_agreeing(champion, table)) for table in wanted]
    kept = {str(code) for table in tables for code in table.products}
    return regressor.carry([table for table in tables if len(table.products)]), kept


def _agreeing(champion: DispatchModel, table: CurveTable) -> set[str]:
    """Return the products for which a table gives the champion's estimates."""
    grid = _grid(champion, table.products)
    positions = pd.Index(table.products).get_indexer(pd.Index(grid.products))
    product = np.repeat(positions, grid.orders.shape[1])
    hours = np.maximum(table.evaluate(product, grid.orders.ravel()), 0.0).reshape(grid.orders.shape)
    agrees = (np.abs(hours - grid.hours) <= ROUNDING_HOURS).all(axis=1)
    return set(grid.products[agrees])


def _grid(champion: DispatchModel, codes: Collection[str]) -> GridEstimates:
    """Return the champion's estimates over the orders that were seen with these products."""
    wanted = sorted(code for code in codes if code in champion.products)
    positions = champion.products.known_positions(wanted)
    products = np.array(wanted, dtype=object)
    most = champion.metadata.catalogue.most_orders[positions]
    orders = np.linspace(0.0, most, GRID_POINTS, axis=1)
    empty = GridEstimates(products, orders, np.zeros_like(orders))
    return empty._replace(hours=champion_on_grid(champion, empty))


def _joined(
    own: ProductCatalogue, champion: ProductCatalogue, kept: Collection[str]
) -> ProductCatalogue:
    """Return a catalogue with the champion's facts about the products that are kept."""
    taken = champion.product_code.known_positions(sorted(kept))
    left = np.flatnonzero(~np.isin(np.arange(len(own.rows)), own.product_code.positions(kept)))
    codes = [*(own.product_code[position] for position in left.tolist()), *sorted(kept)]
    order = sorted(range(len(codes)), key=codes.__getitem__)
    columns = {
        name: np.concatenate([getattr(own, name)[left], getattr(champion, name)[taken]])[order]
        for name in COLUMNS
        if name != CODES
    }
    return ProductCatalogue(product_code=ProductCodes(codes[place] for place in order), **columns)


def _earlier_weeks(
    champion: ModelMetadata, metadata: ModelMetadata, kept: Collection[str], keep_weeks: int
) -> Iterator[EarlierWeek]:
    """Yield the weeks that the kept curves are from, the oldest first."""
    own = (champion.dataset.delivered_at, champion.interval, champion.own_rows)
    weeks = [
        (week.delivered_at, week.interval, week.product_code) for week in champion.earlier_weeks
    ]
    for delivered_at, interval, codes in (*weeks, own):
        if of_week := tuple(code for code in codes if code in kept):
            yield EarlierWeek(
                delivered_at=delivered_at,
                kept_until=delivered_at + keep_weeks * WEEK,
                interval=_not_narrower(interval, metadata.interval),
                product_code=of_week,
            )


def _not_narrower(own: PredictionInterval, asked: PredictionInterval) -> PredictionInterval:
    """Return the interval of an earlier week, wider only if a higher level is asked for now."""
    if asked.level <= own.level:
        return own
    names = ("multiple", "lower_multiple", "upper_multiple")
    multiples = {name: max(getattr(own, name), getattr(asked, name)) for name in names}
    return own.model_copy(update={"level": asked.level, **multiples})


def _dropped(reasons: Mapping[str, str]) -> Iterator[DroppedProducts]:
    """Yield the products that are dropped, by reason."""
    codes = defaultdict(list)
    for code in sorted(reasons):
        codes[reasons[code]].append(code)
    for reason in sorted(codes):
        yield DroppedProducts(reason=reason, product_code=tuple(codes[reason]))
