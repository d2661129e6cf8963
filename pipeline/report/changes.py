"""What a training changes for whom, in sentences for people who know no statistics."""

from collections.abc import Iterator

from pipeline.model.metadata import ChampionComparison, ModelMetadata
from pipeline.report.formatting import change, count, short

MAX_NAMED = 3
UNCHANGED = (0.995, 1.005)
"""Ratios of estimates that people take for the same."""


def changes_in_words(metadata: ModelMetadata) -> str:
    """Return what changes for customers, or would, if the model had not been refused."""
    would = "would see" if metadata.refused_because else "see"
    return " ".join(_sentences(metadata, would))


def _sentences(metadata: ModelMetadata, would: str) -> Iterator[str]:
    comparison, difference = metadata.comparison, metadata.catalogue_change
    if comparison is None:
        products = count(metadata.own_products, "product")
        yield f"There is no model to compare with. Customers {would} estimates of {products}."
    else:
        yield from _movements(comparison, would)
    if difference and (new := difference.new.product_code):
        yield f"New: {count(len(new), 'product')}."
    if kept := sum(len(week.product_code) for week in metadata.earlier_weeks):
        yield f"Without orders this week, on an older curve: {count(kept, 'product')}."
    if gone := sum(len(products.product_code) for products in metadata.dropped):
        yield f"Gone, without an estimate from now on: {count(gone, 'product')}."


def _movements(comparison: ChampionComparison, would: str) -> Iterator[str]:
    """Yield by how much estimates moved: those of the typical product, and the farthest."""
    if comparison.median_ratio is None:
        yield "The products are others than before, so estimates cannot be compared."
        return
    hours = change(comparison.median_ratio).replace("the same", "the same hours")
    yield f"Customers {would} {hours} for the typical product."
    low, high = UNCHANGED
    moved = [shift for shift in comparison.shifts if not low <= shift.ratio < high][:MAX_NAMED]
    if moved:
        named = "; ".join(f"{short(shift.product_code)} {change(shift.ratio)}" for shift in moved)
        yield f"Most for {named}."
