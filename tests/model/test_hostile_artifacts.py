"""Whatever lies in a store under a right hash: it is refused in one line, or it is served right.

The graphs below end nowhere, take all memory, or answer differently to one order and to many. Each
is built by the test. `make fuzz-artifacts` changes 2,000 artifacts at random instead of 90.
"""

import json
import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.model.artifact import (
    CATALOGUE_KEY,
    CURVES_KEY,
    HOURS_OUTPUT,
    METADATA_KEY,
    MODELS,
    artifact_key,
)
from pipeline.model.columns import pack, unpack
from pipeline.model.order import MAX_ORDERS_PLACED, ORDERS
from pipeline.model.reader import DispatchModel, try_artifact
from pipeline.serve_model import create_app
from pipeline.stages.errors import ArtifactError
from tests.support.changed_artifacts import (
    BEFORE,
    metadata_facts,
    properties_of,
    with_end,
    with_facts,
    with_metadata,
    without_curves,
)
from tests.support.service_fixtures import (
    BATCH,
    ORDER,
    PRODUCTS,
    V0_1,
    V0_2,
    hand_made_service,
    send,
)

MUTATIONS = int(os.environ.get("ARTIFACT_MUTATIONS", "90"))
A_MILLION = 1_000_000


@pytest.fixture(scope="module")
def artifact(trained_store: Path) -> bytes:
    """Return the bytes of a real artifact."""
    (path,) = (trained_store / MODELS).iterdir()
    return path.read_bytes()


@pytest.fixture
def load(served_model: DispatchModel) -> Callable[[bytes], DispatchModel]:
    """Return a function that reads and tries an artifact of this content, under a right name."""
    return lambda content: try_artifact(
        artifact_key(MODELS, served_model.metadata.trained_at, content), content
    )


def refusal_of(content: bytes, load: Callable[[bytes], DispatchModel]) -> str:
    """Load what has to be refused, and return why it is; that takes one line."""
    with pytest.raises(ArtifactError) as refusal:
        load(content)
    assert len(str(refusal.value)) < 600 and len(str(refusal.value).splitlines()) == 1
    return str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *product(
            ("interval.lower_multiple", "interval.noise_growth", "interval.movement"),
            ("-1.0", "1e13", "1e999", "NaN", "-Infinity", "null", '"x"'),
        ),
        ("metrics.r_squared", "-1e999"),
        ("skill.least_gain_hours", "1e999"),
    ],
)
def test_an_impossible_number_is_refused(
    name: str, value: str, artifact: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    facts = metadata_facts(artifact)
    part, fact = name.split(".")
    facts[part][fact] = "here"
    text = json.dumps(facts).replace('"here"', value)

    refusal_of(with_metadata(artifact, properties_of(artifact) | {METADATA_KEY: text}), load)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"interval": {"level": 1.1}}, "interval.level"),
        ({"dataset": {"rows": -1}}, "dataset.rows"),
        ({"dataset": {"rows": 10**30}}, "dataset.rows"),
        ({"dataset": {"delivered_at": "2026-11-20T23:00:00"}}, "dataset.delivered_at"),
        ({"dataset": {"delivered_at": "0001-01-01T00:00:00+14:00"}}, "dataset.delivered_at"),
        ({"metrics": {"mean_absolute_error_hours": -0.1}}, "metrics.mean_absolute_error_hours"),
        ({"orders_placed": {"counts": [1]}}, "orders_placed: .* edges are not those of 1 counts"),
        ({"candidates": ["bad"] * 1_000}, "candidates.0: .*, candidates.1: .* and 997 more"),
    ],
)
def test_facts_outside_their_limits_are_refused_by_name(
    change: dict[str, Any],
    reason: str,
    artifact: bytes,
    load: Callable[[bytes], DispatchModel],
) -> None:
    facts = metadata_facts(artifact)
    for name, value in change.items():
        facts[name] = facts[name] | value if isinstance(value, dict) else value

    assert re.search(reason, refusal_of(with_facts(artifact, facts), load))


@pytest.mark.parametrize(
    "text",
    [
        "[" * A_MILLION,
        '{"a":' * A_MILLION,
        '{"format_version": ' + "[" * 1_000 + "]" * 1_000 + "}",
        '{"format_version": Infinity}',
        '{"format_version": 1e999}',
        '{"format_version": ' + "9" * A_MILLION + "}",
        '{"format_version": 9999999999999999999999}',
        '{"format_version": [3]}',
        '{"format_version": 3, "a": "' + "a" * 9 * A_MILLION + '"}',
    ],
    ids=lambda text: text[:30],
)
def test_metadata_that_no_parser_should_see_are_refused(
    text: str, artifact: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    refusal_of(with_metadata(artifact, properties_of(artifact) | {METADATA_KEY: text}), load)


def pickled() -> str:
    """Return columns that run code when they are read carelessly."""
    file = BytesIO()
    np.savez(file, product_code=np.array([print], dtype=object))
    return b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    ("key", "change"),
    [
        (CATALOGUE_KEY, {"relative_upper_noise": np.ones(4)}),
        (CATALOGUE_KEY, {"relative_upper_noise": np.array([1, 1, 1, 1, np.nan])}),
        (CATALOGUE_KEY, {"relative_lower_noise": np.array([1, 1, 1, 1, -1])}),
        (CATALOGUE_KEY, {"relative_lower_noise": np.full(5, 1e13)}),
        (CATALOGUE_KEY, {"rows": np.full(5, 2**63, dtype=np.uint64)}),
        (CATALOGUE_KEY, {"rows": np.full(5, 1 + 1j)}),
        (CATALOGUE_KEY, {"least_orders": np.full(5, 1e6)}),
        (CATALOGUE_KEY, {"least_orders": np.zeros(5), "most_orders": np.full(5, 5e-324)}),
        (CATALOGUE_KEY, {"product_code_bytes": np.full(5, 6.0)}),
        (CATALOGUE_KEY, {"product_code": np.full(30, 0xFF, dtype=np.uint8)}),
        (CATALOGUE_KEY, {"product_code": np.zeros(70 * A_MILLION, dtype=np.uint8)}),
        (CURVES_KEY, {"coefficients": np.full((5, 2), np.nan, dtype=np.float32)}),
        (CURVES_KEY, {"coefficients": np.full((5, 2), -1, dtype=np.float32)}),
        (CURVES_KEY, {"coefficients": np.full((5, 2), 3e38, dtype=np.float32)}),
        (CURVES_KEY, {"coefficients": np.ones((5, 2), dtype=">f4")}),
        (CURVES_KEY, {"widths": np.zeros((1, 1))}),
        (CURVES_KEY, {"widths": np.full((1, 1), 5e-324)}),
        (CURVES_KEY, {"starts": np.full((1, 1), np.inf)}),
        (CURVES_KEY, {"starts": np.array([[3.0, 3.0]]), "widths": np.ones((1, 2))}),
        (CURVES_KEY, {"week": np.zeros(5)}),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else each,
)
def test_columns_outside_their_limits_are_refused(
    key: str,
    change: dict[str, Any],
    artifact: bytes,
    load: Callable[[bytes], DispatchModel],
) -> None:
    carried = properties_of(artifact)
    columns = pack(unpack(carried[key]) | change)

    refusal_of(with_metadata(artifact, carried | {key: columns}), load)


def test_columns_that_would_run_code_are_refused(
    artifact: bytes, load: Callable[[bytes], DispatchModel]
) -> None:
    carried = properties_of(artifact) | {CATALOGUE_KEY: pickled()}

    assert "allow_pickle" in refusal_of(with_metadata(artifact, carried), load)


def to_hours(operator: str, *inputs: str, **attributes: Any) -> onnx.NodeProto:
    """Return the node that makes the hours."""
    return helper.make_node(operator, inputs, [HOURS_OUTPUT], **attributes)


def body(**repeated: Any) -> onnx.GraphProto:
    """Return what a loop repeats for ever."""
    names = {"go_on": TensorProto.BOOL, "hours": TensorProto.DOUBLE}
    values = {name: helper.make_tensor_value_info(name, kind, None) for name, kind in names.items()}
    return helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_too"]) for name in names],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), *values.values()],
        [helper.make_tensor_value_info(f"{name}_too", kind, None) for name, kind in names.items()],
    )


def endless(artifact: bytes) -> bytes:
    """Return a graph that never ends."""
    go_on = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("Constant", [], ["true"], value=go_on),
        to_hours("Loop", "", "true", BEFORE, body=body()),
    ]
    return with_end(artifact, nodes)


def expanding(artifact: bytes) -> bytes:
    """Return a graph that makes 2 GB of each row."""
    nodes = [helper.make_node("Expand", [BEFORE, "offset"], ["wide"])]
    wide = np.array([1, 2**28])
    return with_end(artifact, [*nodes, to_hours("ReduceMax", "wide", keepdims=1)], wide)


def wide(artifact: bytes, width: int, *nodes: onnx.NodeProto) -> bytes:
    """Return a graph that makes so many numbers of each row, called 0, and goes on with them."""
    many = helper.make_node("MatMul", [BEFORE, "offset"], ["0"])
    return with_end(artifact, [many, *nodes], np.ones((1, width)))


def multiplying(artifact: bytes) -> bytes:
    """Return a graph that makes 8 GB of each row, of what is allowed."""
    column = helper.make_tensor("column", TensorProto.INT64, [2], [-1, 1])
    nodes = [
        helper.make_node("Constant", [], ["column"], value=column),
        helper.make_node("Reshape", ["0", "column"], ["1"]),
        helper.make_node("MatMul", ["1", "offset"], ["2"]),
        helper.make_node("Reshape", ["2", "column"], ["3"]),
        helper.make_node("MatMul", ["3", "offset"], ["4"]),
    ]
    return wide(artifact, 1_000, *nodes, to_hours("Identity", "4"))


def slow(artifact: bytes) -> bytes:
    """Return a graph that takes minutes, of what is allowed."""
    nodes = [helper.make_node("Tanh", [str(n)], [str(n + 1)]) for n in range(1_500)]
    return wide(artifact, 20_000, *nodes, to_hours("Identity", "1500"))


def very_long(artifact: bytes) -> bytes:
    """Return a graph of 10,000 nodes."""
    names = [BEFORE, *map(str, range(10_000))]
    nodes = [helper.make_node("Identity", [a], [b]) for a, b in pairwise(names)]
    return with_end(artifact, [*nodes, to_hours("Identity", names[-1])])


def for_one_row(artifact: bytes) -> bytes:
    """Return a graph that fails for two rows."""
    return with_end(artifact, [to_hours("Reshape", BEFORE, "offset")], np.array([1, 1]))


def other_among_others(artifact: bytes) -> bytes:
    """Return a graph that gives all orders what the longest takes."""
    nodes = [
        helper.make_node("ReduceMax", [BEFORE], ["most"], keepdims=1),
        to_hours("Max", BEFORE, "most"),
    ]
    return with_end(artifact, nodes)


def for_many_rows(artifact: bytes) -> bytes:
    """Return a graph that fails for one row."""
    return with_end(artifact, [to_hours("Reshape", BEFORE, "offset")], np.array([1_000, 1]))


def negative_for_many_orders(artifact: bytes) -> bytes:
    """Return a graph whose estimates fall below zero at last."""
    nodes = [
        helper.make_node("Mul", ["orders_placed", "offset"], ["fall"]),
        to_hours("Add", BEFORE, "fall"),
    ]
    return with_end(artifact, nodes, -0.3)


def changed(artifact: bytes, change: Callable[[onnx.ModelProto], None]) -> bytes:
    """Return an artifact whose ONNX model was changed."""
    onnx_model = onnx.load_from_string(artifact)
    change(onnx_model)
    content: bytes = onnx_model.SerializeToString()
    return content


def with_function(artifact: bytes) -> bytes:
    """Return a model with a function of its own."""
    identity = helper.make_node("Identity", ["x"], ["y"])
    imports = [helper.make_opsetid("", 18)]
    own = helper.make_function("own", "Max", ["x"], ["y"], [identity], imports)
    return changed(artifact, lambda model: model.functions.append(own))


def with_file_of_the_system(artifact: bytes) -> bytes:
    """Return a graph that reads a file of the machine."""

    def read_file(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")

    return changed(artifact, read_file)


def with_huge_shape(artifact: bytes) -> bytes:
    """Return a graph with a tensor that claims to have a million million numbers."""

    def enlarge(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].dims[:] = [A_MILLION, A_MILLION]

    return changed(artifact, enlarge)


def twice_the_graph(artifact: bytes) -> bytes:
    """Return a file with two graphs, of which parsers take the sum."""
    more: bytes = onnx.ModelProto(graph=onnx.GraphProto(name="more")).SerializeToString()
    return artifact + more


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (endless, "operator 'Loop', which is not allowed"),
        (expanding, "operator 'Expand', which is not allowed"),
        (multiplying, "does not work: .*(alloc|memory)"),
        (slow, "took more than 2 s of processor time"),
        (very_long, "more than 2,000 nodes"),
        (for_one_row, "does not work: .*Reshape"),
        (other_among_others, "contradicts itself: "),
        (negative_for_many_orders, "contradicts itself: "),
        (with_function, "field 25 of a model in it is not allowed"),
        (with_file_of_the_system, "field 13 of a tensor in it is not allowed"),
        (with_huge_shape, "claims to have the shape"),
        (twice_the_graph, "there are 2 graphs in it"),
    ],
)
def test_a_hostile_graph_is_refused_within_limits(
    make: Callable[[bytes], bytes],
    reason: str,
    artifact: bytes,
    load: Callable[[bytes], DispatchModel],
) -> None:
    assert re.search(reason, refusal_of(make(artifact), load))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (endless, "operator 'Loop', which is not allowed"),
        (for_one_row, "does not work: .*Reshape"),
        (for_many_rows, "does not work: .*Reshape"),
        (other_among_others, "get another estimate alone than among others"),
        (negative_for_many_orders, "does not work: it estimates -"),
    ],
)
def test_a_graph_that_would_answer_itself_is_refused_too(
    make: Callable[[bytes], bytes],
    reason: str,
    artifact: bytes,
    load: Callable[[bytes], DispatchModel],
) -> None:
    assert re.search(reason, refusal_of(make(without_curves(artifact)), load))


def mutations(artifact: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield copies of an artifact, each with one fault, and the number of each."""
    for number in range(MUTATIONS):
        random = np.random.default_rng(number)
        start = int(random.integers(len(artifact)))
        end = start + int(random.integers(1, 9))
        head, middle, tail = artifact[:start], artifact[start:end], artifact[end:]
        yield (
            number,
            [
                head + bytes([middle[0] ^ 1 << int(random.integers(8))]) + artifact[start + 1 :],
                head + random.bytes(len(middle)) + tail,
                head + tail,
                head + middle + middle + tail,
                head + random.bytes(5) + middle + tail,
                head,
            ][number % 6],
        )


@pytest.mark.slow
def test_no_mutation_crashes_and_none_is_served_wrongly(
    artifact: bytes, served_model: DispatchModel, load: Callable[[bytes], DispatchModel]
) -> None:
    products = np.repeat(np.arange(5), 50)
    placed = {ORDERS: np.tile(np.geomspace(1, MAX_ORDERS_PLACED, 50), 5)}
    expected = served_model.predict_at(products, placed).hours
    served = 0
    for number, content in mutations(artifact):
        try:
            model = load(content)
        except ArtifactError as refusal:
            assert len(str(refusal).splitlines()) == 1, number
            continue
        served += 1
        hours, lower, upper, _ = model.predict_at(products, placed)
        np.testing.assert_allclose(hours, expected, rtol=1e-9, err_msg=f"mutation {number}")
        assert ((0 <= lower) & (lower <= hours) & (hours <= upper)).all(), number
        assert np.isfinite(upper).all(), number
        assert statuses(model) == {200}, number
    assert 0 < served < MUTATIONS / 2


def statuses(model: DispatchModel) -> set[int]:
    """Return how a service answers that has this model."""
    app = create_app(hand_made_service(model=model))
    batch = b'{"orders": [' + ORDER + b"]}"
    asked = [(V0_1, ORDER, "POST"), (V0_2, ORDER, "POST"), (BATCH, batch, "POST")]
    asked += [(path, b"", "GET") for path in (PRODUCTS, "/api/v0.1/model", "/metrics", "/")]
    return {send(app, path, content, method=method).status for path, content, method in asked}
