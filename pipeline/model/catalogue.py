"""The products that a model knows, as columns, and the text that an artifact carries them as.

A million products take 70 MB in memory and are checked in a second, all at once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, InstanceOf, model_validator
from pydantic.dataclasses import dataclass

from pipeline.model.arrays import Floats
from pipeline.model.columns import pack, pack_texts, unpack, unpack_texts
from pipeline.model.limits import MAX_AMOUNT
from pipeline.model.product_codes import Positions, ProductCodes

Column = npt.NDArray[Any]
CODES, SIZES = "product_code", "product_code_bytes"
"""The columns of an artifact that hold the codes, and how many bytes each takes."""


def _codes(codes: Iterable[str]) -> ProductCodes:
    if isinstance(codes, ProductCodes):
        return codes
    listed = _listed(codes)
    if not listed:
        raise ValueError("there has to be at least one product")
    if not all(isinstance(code, str) for code in listed):
        raise ValueError("a code is no text")
    return ProductCodes(listed)


def _amounts(values: Iterable[float]) -> Floats:
    """Return finite numbers, none of them negative or beyond all measure."""
    column = _column(values, "iuf")
    if not np.isfinite(column).all():
        raise ValueError("a number is not finite")
    return column.astype(np.float64, copy=False)


def _counts(values: Iterable[int]) -> npt.NDArray[np.int64]:
    """Return whole numbers, none of them negative or beyond all measure."""
    return _column(values, "iu").astype(np.int64, copy=False)


def _column(values: Iterable[Any], kinds: str) -> Column:
    column = np.asarray(values if isinstance(values, np.ndarray) else _listed(values))
    if column.ndim != 1 or column.dtype.kind not in kinds:
        raise ValueError("these are no numbers, or not of the kind that they should be")
    if (column < 0).any():
        raise ValueError("a number is negative")
    if (column > MAX_AMOUNT).any():
        raise ValueError(f"a number is above {MAX_AMOUNT:g}")
    return column


def _listed(values: Iterable[Any]) -> list[Any]:
    if not isinstance(values, Iterable):
        raise ValueError("this is no list")
    return list(values)


Codes = Annotated[InstanceOf[ProductCodes], BeforeValidator(_codes)]
Amounts = Annotated[InstanceOf[np.ndarray], BeforeValidator(_amounts)]
Counts = Annotated[InstanceOf[np.ndarray], BeforeValidator(_counts)]


@dataclass(frozen=True, eq=False)
class ProductCatalogue:
    """The products that a model knows, as columns of equal length, sorted by code."""

    product_code: Codes = Field(description="the codes")
    rows: Counts = Field(description="rows of each product in the dataset that its curve is from")
    least_orders: Amounts = Field(description="fewest orders placed seen with each product")
    most_orders: Amounts = Field(description="most orders placed seen with each product")
    relative_lower_noise: Amounts = Field(
        description="noise of each product below its estimates, relative to that of all products"
    )
    relative_upper_noise: Amounts = Field(description="the same above its estimates")

    def noise_of(self, positions: Positions | slice) -> Floats:
        """Return the relative noise of products below and above their estimates, shape (2, n)."""
        return np.array(
            [self.relative_lower_noise[positions], self.relative_upper_noise[positions]]
        )

    @model_validator(mode="before")
    @classmethod
    def _the_same_to_both_sides(cls, facts: Any) -> Any:
        """Give the products of artifacts from before there were two noises the same to both."""
        if not isinstance(facts, Mapping) or "relative_noise" not in facts:
            return facts
        noise = facts["relative_noise"]
        return {"relative_lower_noise": noise, "relative_upper_noise": noise, **facts}

    @model_validator(mode="after")
    def _of_equal_length(self) -> Self:
        sizes = {name: len(getattr(self, name)) for name in COLUMNS}
        if len(set(sizes.values())) > 1:
            told = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
            raise ValueError(f"the columns have different lengths: {told}")
        if (self.least_orders > self.most_orders).any():
            raise ValueError("the fewest orders of a product are more than the most")
        return self


COLUMNS = [field.name for field in fields(ProductCatalogue)]


def to_text(catalogue: ProductCatalogue) -> str:
    """Return a catalogue as an artifact carries it."""
    content, sizes = pack_texts(catalogue.product_code)
    numbers = {name: getattr(catalogue, name) for name in COLUMNS if name != CODES}
    return pack({CODES: content, SIZES: sizes, **numbers})


def columns_of(text: str) -> dict[str, Any]:
    """Return the columns of a catalogue from what an artifact carries; they are not checked.

    Raises:
        ValueError: these are no columns, or there are no codes among them.
    """
    columns: dict[str, Any] = unpack(text)
    if not {CODES, SIZES} <= columns.keys():
        raise ValueError("There are no product codes among the columns.")
    return {**columns, CODES: unpack_texts(columns[CODES], columns.pop(SIZES))}
