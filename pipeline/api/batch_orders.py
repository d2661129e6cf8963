"""The orders of a batch, in rows or in columns: which are good, and what is wrong with others."""

from collections.abc import Mapping, Sequence
from itertools import compress
from operator import getitem
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.api.faults import PydanticFault
from pipeline.api.unknown_products import UnknownProducts
from pipeline.model.order import FEATURES, OPTIONAL, PRODUCT, REQUIRED, Order
from pipeline.model.product_codes import Positions
from pipeline.model.reader import DispatchModel

Faults = Mapping[int, Sequence[PydanticFault]]
"""What is wrong with orders, by their places among others; places in them are relative."""
Columns = Mapping[str, Sequence[Any]]
"""The fields of orders; those of `OPTIONAL` may be missing."""

NO_ORDER = {
    "type": "dict_type",
    "loc": (),
    "msg": f"An order should be an object with {' and '.join(REQUIRED)}",
}
CHECK_ORDERS = TypeAdapter(list[Order]).validator.validate_python


def _check_of_column(name: str) -> Any:
    """Return what checks the values of a field like `Order` does."""
    field = Order.model_fields[name]
    value: Any = getitem(Annotated, (field.annotation, *field.metadata, Field()))
    config = ConfigDict(strict=True, allow_inf_nan=False)
    return TypeAdapter(list[value], config=config).validator.validate_python


CHECK_COLUMN = {name: _check_of_column(name) for name in FEATURES}


class CheckedOrders(NamedTuple):
    """Some orders of a batch.

    Attributes:
        positions: of the products of the good ones.
        columns: the fields of the good ones.
        faults: what is wrong with the others.
    """

    positions: Positions
    columns: Columns
    faults: Faults


def check_rows(
    model: DispatchModel, orders: Sequence[Any], unknown: UnknownProducts
) -> CheckedOrders:
    """Check what should be objects like `Order`, and may be anything that JSON can hold."""
    try:
        return check_columns(model, _columns(orders), unknown)
    except (AttributeError, LookupError, TypeError):  # some are no objects, or lack a field
        faults = _faults_of_rows(orders)
    good = [place for place in range(len(orders)) if place not in faults]
    checked = check_columns(model, _columns([orders[place] for place in good]), unknown)
    more = {good[place]: found for place, found in checked.faults.items()}
    return checked._replace(faults=faults | more)


def check_columns(
    model: DispatchModel, columns: Columns, unknown: UnknownProducts
) -> CheckedOrders:
    """Check columns of equal length, which may hold anything."""
    faults: dict[int, list[PydanticFault]] = {}
    for name, column in columns.items():
        try:
            CHECK_COLUMN[name](column)
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                place = int(fault["loc"][0])
                faults.setdefault(place, []).append({**fault, "loc": (name,)})
    good = _without(columns, faults)
    positions = model.positions_of(good[PRODUCT])
    strange = np.flatnonzero(positions < 0).tolist()
    if not strange:
        return CheckedOrders(positions, good, faults)
    places = [place for place in range(len(columns[PRODUCT])) if place not in faults]
    nowhere = {row: [unknown.fault(good[PRODUCT][row])] for row in strange}
    faults |= {places[row]: found for row, found in nowhere.items()}
    return CheckedOrders(positions[positions >= 0], _without(good, nowhere), faults)


def _columns(orders: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the fields of orders as columns.

    Raises:
        AttributeError, LookupError, TypeError: an order is not an object with all that it needs.
    """
    columns = {name: [order[name] for order in orders] for name in REQUIRED}
    return columns | {name: [order.get(name) for order in orders] for name in OPTIONAL}


def _without(columns: Columns, faults: Faults) -> Columns:
    """Return columns without the orders that have faults."""
    if not faults:
        return columns
    is_good = [place not in faults for place in range(len(columns[PRODUCT]))]
    return {name: list(compress(column, is_good)) for name, column in columns.items()}


def _faults_of_rows(orders: Sequence[Any]) -> dict[int, list[PydanticFault]]:
    """Return what is wrong with orders of which some are not objects, or lack a field."""
    faults: dict[int, list[PydanticFault]] = {}
    try:
        CHECK_ORDERS(orders)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            position, *place = fault["loc"]
            told = NO_ORDER if fault["type"] == "model_type" else {**fault, "loc": tuple(place)}
            faults.setdefault(int(position), []).append(told)
    return faults
