"""What is known of an order before it is dispatched: the only place where its fields are declared.

The bodies of requests, the columns of the weekly CSV, the features of the regressors, the inputs of
the artifact and the controls of the web page all follow from `Order`. Further fields are declared
there; they are numbers, and their default is None: requests, weekly files and artifacts without
them stay valid. Serving imports this module, so it imports nothing but pydantic.
"""

import sys
import unicodedata
from math import nan
from typing import get_args

from pydantic import BaseModel, ConfigDict, Field

PRODUCT = "product_code"
ORDERS = "orders_placed"
HOURS = "hours_to_dispatch"
"""The label, which only a dataset has."""

MAX_PRODUCT_CODE_LENGTH = 200
"""Characters; what is longer is no code, but text that got into its field."""
INVISIBLE = dict.fromkeys(
    [0xAD, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
)
"""Characters without width that come along when a code is copied: the soft hyphen, zero-width
blanks and joiners, marks of direction, the byte order mark."""
BLANKS = " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""What Unicode calls white space. Python strips the control characters 0x1c to 0x1f as well."""
MAX_ORDERS_PLACED = 1_000_000
"""Orders placed on one day."""
MAX_HOURS_TO_DISPATCH = 100_000
"""Hours until an order is dispatched; more than eleven years."""


class BaseOrder(BaseModel):
    """The fields that every order has; v0.1 of the API takes these and no others."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    product_code: str = Field(
        title="Product", description="a product that the model knows", examples=["SKU001"]
    )
    orders_placed: float = Field(
        title="Orders placed on the same day",
        ge=0,
        le=MAX_ORDERS_PLACED,
        description="orders placed already on the same day; may be a fraction",
        examples=[112],
    )


class Order(BaseOrder):
    """An order to estimate."""


FEATURES = list(Order.model_fields)
NUMBERS = [name for name in FEATURES if name != PRODUCT]
REQUIRED = [name for name in FEATURES if Order.model_fields[name].is_required()]
OPTIONAL = [name for name in FEATURES if name not in REQUIRED]
EXAMPLE = {name: Order.model_json_schema()["properties"][name]["examples"][0] for name in REQUIRED}


def limits(name: str) -> tuple[float, float]:
    """Return the smallest and the largest number that a field may hold."""
    bounds = {"ge": -sys.float_info.max, "le": sys.float_info.max}
    for rule in Order.model_fields[name].metadata:
        bounds |= {end: getattr(rule, end) for end in bounds if hasattr(rule, end)}
    return bounds["ge"], bounds["le"]


def is_whole(name: str) -> bool:
    """Tell whether a field holds whole numbers only."""
    annotation = Order.model_fields[name].annotation
    return int in (annotation, *get_args(annotation))


def normalised_code(text: str) -> str:
    """Return the product code that a text stands for, alike in a weekly CSV and in a request.

    Blanks of any kind around it and invisible characters do not count, and an accented letter is
    one character (Unicode NFC). Case does.
    """
    if text.isascii():
        return text.strip(BLANKS)
    code = text.translate(INVISIBLE).strip(BLANKS)
    if len(code) > MAX_PRODUCT_CODE_LENGTH:
        return code  # Sorting a long run of accents would take quadratic time.
    return unicodedata.normalize("NFC", code)


def number_or_nan(value: float | None) -> float:
    """Return what stands for a missing number among the features."""
    return nan if value is None else value
