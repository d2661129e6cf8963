"""What an artifact carries beside its graph -> checked metadata and curves.

Whoever wrote it: what is read here is bounded in size and depth before it is, and each number has
its limits.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from pipeline.model.artifact import CATALOGUE_KEY, CURVES_KEY, METADATA_KEY
from pipeline.model.catalogue import columns_of
from pipeline.model.curve_table import CurveColumns, CurveTable
from pipeline.model.metadata import FORMAT_VERSION, READABLE_FORMATS, MetadataModel, ModelMetadata
from pipeline.model.onnx_file import properties_of
from pipeline.stages.errors import ArtifactError
from pipeline.stages.wording import first_few

MAX_FACTS = 8 * 1024 * 1024
MAX_FACTS_FOR_EACH = 32
"""Characters of metadata, and for each character that the catalogue takes."""
MAX_FAULTS = 3

Facts = TypeVar("Facts", bound=MetadataModel)


def read_properties(key: str, content: bytes) -> Mapping[str, str]:
    """Return what an artifact carries beside its graph, by name.

    Raises:
        ArtifactError: it is no ONNX file.
    """
    try:
        return properties_of(content)
    except ValueError as error:
        raise ArtifactError(f"The model {key} is not an ONNX model: {error}.") from error


def read_metadata(key: str, carried: Mapping[str, str]) -> ModelMetadata:
    """Return the metadata that an artifact carries, with the catalogue.

    Raises:
        ArtifactError: there are none, they are of another format, or a fact is not within its
            limits.
    """
    facts = _read_facts(key, carried)
    try:
        if CATALOGUE_KEY in carried:
            facts["catalogue"] = columns_of(carried[CATALOGUE_KEY])
        return _checked(key, facts, ModelMetadata)
    except ValueError as error:
        raise ArtifactError(f"The products of the model {key} cannot be read: {error}") from error


def read_some_facts(key: str, carried: Mapping[str, str], some: type[Facts]) -> Facts:
    """Return some of the facts that an artifact carries; the others need not be right.

    Raises:
        ArtifactError: as above, of these facts.
    """
    return _checked(key, _read_facts(key, carried), some)


def read_curves(key: str, carried: Mapping[str, str], n_products: int) -> CurveTable:
    """Return the curves that an artifact carries.

    Raises:
        ArtifactError: these are no curves of so many products.
    """
    try:
        columns = CurveColumns.unpacked(carried[CURVES_KEY], n_products)
    except ValueError as error:
        raise ArtifactError(f"The curves in the model {key} cannot be read: {error}") from error
    return CurveTable(columns)


def _checked(key: str, facts: Mapping[str, Any], kind: type[Facts]) -> Facts:
    try:
        return kind.model_validate(facts)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise ArtifactError(
            f"The metadata in the model {key} is incomplete or wrong: "
            f"{first_few(faults, str, MAX_FAULTS)}."
        ) from error


def _read_facts(key: str, carried: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata as it is, if its format is known; pydantic's parser has bounds."""
    text = carried.get(METADATA_KEY, "")
    if len(text) > MAX_FACTS + MAX_FACTS_FOR_EACH * len(carried.get(CATALOGUE_KEY, "")):
        raise ArtifactError(f"The model {key} carries {len(text):,} characters of metadata.")
    try:
        facts = from_json(text, allow_inf_nan=False)
        found = facts["format_version"]
        if type(found) is not int:
            raise TypeError(f"{found!r} is no version")
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"The model {key} carries no metadata, so it is not one that this pipeline made."
        ) from error
    if found not in READABLE_FORMATS:
        raise ArtifactError(
            f"The model {key} has format {found}, and this code knows formats up to "
            f"{FORMAT_VERSION}. Deploy the code that it was made with, or train it again."
        )
    readable: dict[str, Any] = facts
    return readable
