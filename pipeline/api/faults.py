"""What is wrong with an input, in the words of v0.2: which field, its place, and what it lacks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pipeline.api.schemas import Fault

PydanticFault = Mapping[str, Any]
"""A fault as pydantic and FastAPI tell it: type, loc, msg, input and perhaps ctx."""

Place = Sequence[str | int]
"""Names of fields and indices of lists, from the outside to the inside."""

FAULTS_OF_WHOLE_BODY = {
    "missing": "The body is empty; it should be a JSON object",
    "model_attributes_type": "The body should be a JSON object",
}


def faults_of(faults: Iterable[PydanticFault]) -> list[Fault]:
    """Return faults in the words of v0.2."""
    return [_fault(fault) for fault in faults]


def _fault(fault: PydanticFault) -> Fault:
    kind, detail = fault["type"], fault["msg"]
    where, *place = fault["loc"]
    if kind == "json_invalid":
        return Fault(type=kind, detail=f"{detail}: {fault['ctx']['error']} at character {place[0]}")
    if not place:
        return Fault(type=kind, detail=FAULTS_OF_WHOLE_BODY.get(kind, detail))
    detail = f"{_name(place)}: {detail}"
    if where == "query":
        return Fault(type=kind, detail=detail, parameter=str(place[0]))
    return Fault(type=kind, detail=detail, pointer=_pointer(place))


def _name(place: Place) -> str:
    """Return a place as people write it: `orders[3].product_code`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return "".join(parts).removeprefix(".")


def _pointer(place: Place) -> str:
    """Return a JSON Pointer as a URI fragment (RFC 6901, section 6)."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in place)
    return "#/" + "/".join(quote(part, safe="") for part in escaped)
