"""What the service says of its model: all that its metadata say, with long lists cut.

A model of a million products may have remarks on a hundred thousand of them.
"""

from typing import Any

from pydantic import BaseModel

from pipeline.api.schemas import ModelAnswer
from pipeline.model.reader import DispatchModel

MAX_LISTED = 200
"""Entries of a list: with the longest codes in all lists, the answer stays below 1 MB."""


def model_answer(model: DispatchModel) -> ModelAnswer:
    """Return the version of a model, its metadata, and which lists in these are cut."""
    lengths: dict[str, int] = {}
    cut = _cut(model.metadata, (), lengths)
    return ModelAnswer(
        model_version=model.version, products=len(model.products), lineage=cut, cut=lengths
    )


def _cut(value: Any, place: tuple[str, ...], lengths: dict[str, int]) -> Any:
    """Return facts with the start of each list, and put down the full lengths of those cut."""
    if isinstance(value, BaseModel):
        parts = {
            name: _cut(getattr(value, name), (*place, name), lengths)
            for name, field in type(value).model_fields.items()
            if not field.exclude
        }
        return value.model_copy(update=parts)
    if not isinstance(value, tuple):
        return value
    if len(value) > MAX_LISTED:
        lengths[".".join(place)] = len(value)
    listed = enumerate(value[:MAX_LISTED])
    return tuple(_cut(each, (*place, str(number)), lengths) for number, each in listed)
