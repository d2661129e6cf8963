"""What is read of an ONNX file without any library, and what is found to be none."""

from pathlib import Path

import onnx
import pytest
from onnx import helper

from pipeline.model.artifact import MODELS
from pipeline.model.onnx_file import check_graph, properties_of


@pytest.fixture(scope="module")
def artifact(trained_store: Path) -> bytes:
    """Return the bytes of a real artifact."""
    (path,) = (trained_store / MODELS).iterdir()
    return path.read_bytes()


def test_what_onnx_reads_is_read(artifact: bytes) -> None:
    props = {each.key: each.value for each in onnx.load_from_string(artifact).metadata_props}

    assert properties_of(artifact) == props
    check_graph(artifact)


def test_a_tensor_within_a_node_is_looked_at_too(artifact: bytes) -> None:
    model = onnx.load_from_string(artifact)
    constant = helper.make_tensor("huge", onnx.TensorProto.DOUBLE, [1], [1.0])
    constant.dims[:] = [2**62, 2**62]
    model.graph.node.append(helper.make_node("Constant", [], ["huge"], value=constant))

    with pytest.raises(ValueError, match="claims to have the shape"):
        check_graph(model.SerializeToString())


def test_no_part_of_a_file_is_taken_for_the_whole(artifact: bytes) -> None:
    for end in range(1_000):  # within the graph
        with pytest.raises(ValueError, match="no|graph"):
            check_graph(artifact[:end])


@pytest.mark.parametrize(
    "content",
    [
        b"\x00",  # field 0 does not exist
        b"\x3b\x3c",  # a group
        b"\x38\x01",  # a number where the graph should be
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a length of more than 64 bits
        b"\x3a\x05\x0a\x7f",  # a message that is longer than what it is in
        b"\x3a\x00\x72\x03\x0a\x01\xff",  # a name that is no text
    ],
)
def test_what_is_no_onnx_model_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="it is no|number|graph|decode"):
        properties_of(content)
        check_graph(content)
