"""Artifacts that are changed after they were made: each helper returns the bytes of a new one."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from pipeline.model.artifact import CURVES_KEY, HOURS_OUTPUT, METADATA_KEY

BEFORE = "hours_before"


def metadata_facts(artifact: bytes) -> dict[str, Any]:
    """Return the metadata in an artifact."""
    facts: dict[str, Any] = json.loads(properties_of(artifact)[METADATA_KEY])
    return facts


def properties_of(artifact: bytes) -> dict[str, str]:
    """Return what an artifact says of itself, by name."""
    return {each.key: each.value for each in onnx.load_from_string(artifact).metadata_props}


def with_metadata(artifact: bytes, metadata: dict[str, str]) -> bytes:
    """Return an artifact with other metadata."""
    onnx_model = onnx.load_from_string(artifact)
    helper.set_model_props(onnx_model, metadata)
    content: bytes = onnx_model.SerializeToString()
    return content


def with_facts(artifact: bytes, facts: dict[str, Any]) -> bytes:
    """Return an artifact that says something else about itself."""
    return with_metadata(artifact, properties_of(artifact) | {METADATA_KEY: json.dumps(facts)})


def without_curves(artifact: bytes) -> bytes:
    """Return an artifact as it was before there were plain curves in it."""
    carried = properties_of(artifact)
    return with_metadata(artifact, {key: carried[key] for key in carried.keys() - {CURVES_KEY}})


def with_offset(artifact: bytes, hours: float) -> bytes:
    """Return an artifact whose model adds some hours to each estimate."""
    return with_end(artifact, [helper.make_node("Add", [BEFORE, "offset"], [HOURS_OUTPUT])], hours)


def with_end(artifact: bytes, nodes: Sequence[NodeProto], offset: Any = ()) -> bytes:
    """Return an artifact whose graph goes on: nodes make its output of what was that, `BEFORE`.

    Args:
        artifact: bytes of an artifact.
        nodes: to append.
        offset: values of a constant of this name.
    """
    onnx_model = onnx.load_from_string(artifact)
    (last,) = (node for node in onnx_model.graph.node if HOURS_OUTPUT in node.output)
    last.output[0] = BEFORE
    onnx_model.graph.initializer.append(numpy_helper.from_array(np.asarray(offset), "offset"))
    onnx_model.graph.node.extend(nodes)
    content: bytes = onnx_model.SerializeToString()
    return content


def one_node_model(
    artifact: bytes, operator: str, inputs: list[str], output: str, element_type: int
) -> bytes:
    """Return another model under the metadata of an artifact."""
    original = onnx.load_from_string(artifact)
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, [output])],
        "another",
        [helper.make_tensor_value_info(name, element_type, [None, 1]) for name in inputs],
        [helper.make_tensor_value_info(output, element_type, [None, 1])],
    )
    other = helper.make_model(
        graph, opset_imports=original.opset_import, ir_version=original.ir_version
    )
    other.metadata_props.extend(original.metadata_props)
    content: bytes = other.SerializeToString()
    return without_curves(content)
