"""The bytes of an ONNX file -> what it carries, and whether its graph may be given to a runtime.

An ONNX file is a protocol buffer: fields with numbers, of which some are messages again. The few
that matter here are read by their numbers (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto),
so that whoever only wants what a file carries needs neither of the large libraries. Nothing here
is called again for a message within a message of the same kind, and nothing is copied but texts.
It imports nothing but Python's own modules: the process that tries graphs starts with it.
"""

from collections.abc import Iterator, Mapping
from math import prod

Field = tuple[int, int | memoryview]
"""Number of a field, and its value: a number, or the bytes of a text, a message or numbers."""

MAX_NODES = 2_000
"""Ours have some twenty, an ensemble of trees has some hundred."""
MAX_DIMENSIONS = 8

OPERATORS = {
    "": frozenset(
        "Abs Add And ArgMax ArgMin Cast Ceil Clip Concat Constant CumSum Div Equal Exp Flatten "
        "Floor Gather GatherElements Gemm Greater GreaterOrEqual Identity IsNaN Less LessOrEqual "
        "Log MatMul Max Mean Min Mul Neg Not Or Pow ReduceMax ReduceMean ReduceMin ReduceProd "
        "ReduceSum Relu Reshape Round Shape Sigmoid Sign Slice Sqrt Squeeze Sub Sum Tanh TopK "
        "Transpose Unsqueeze Where".split()
    ),
    "ai.onnx.ml": frozenset(
        "ArrayFeatureExtractor Binarizer FeatureVectorizer Imputer LabelEncoder LinearRegressor "
        "Normalizer OneHotEncoder SVMRegressor Scaler TreeEnsemble TreeEnsembleRegressor".split()
    ),
}
"""What may be in a graph, by domain: time and memory follow from the number of rows, never from
what is in them. So there are no loops and branches, and nothing that makes tensors of a computed
shape."""

_GRAPH, _PROPERTIES = 7, 14
_OF_MODEL = {*range(1, 9), _PROPERTIES}
"""Not training_info, functions, configuration."""
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12
_OF_GRAPH = {_NODE, 2, _INITIALIZER, 10, _INPUT, _OUTPUT, 13}
"""Not sparse initializers, quantization, properties."""
_OPERATOR, _ATTRIBUTE, _DOMAIN = 4, 5, 7
_OF_NODE = {*range(1, 8)}
_TENSORS = {5, 10}
_OF_ATTRIBUTE = {1, 2, 3, 4, 7, 8, 9, 13, 20, *_TENSORS}
"""Not graphs, sparse tensors, types, references."""
_DIMENSIONS = 1
_OF_TENSOR = {1, 2, *range(4, 13)}
"""Not what lies in other files, or in several parts."""


def properties_of(content: bytes) -> Mapping[str, str]:
    """Return what an ONNX file carries beside its graph, by name.

    Raises:
        ValueError: it is no protocol buffer, or such a name or value is no text.
    """
    fields = list(_fields(memoryview(content)))
    if _GRAPH not in dict(fields):
        raise ValueError("there is no graph in it")
    entries = [dict(_fields(_message(v))) for number, v in fields if number == _PROPERTIES]
    return {_text(entry.get(1)): _text(entry.get(2)) for entry in entries}


def check_graph(content: bytes) -> None:
    """See that the graph of an ONNX file has few nodes, known operators, and all of its numbers.

    Raises:
        ValueError: it has not; or the file is no protocol buffer.
    """
    graphs = [v for n, v in _known_fields(memoryview(content), _OF_MODEL, "model") if n == _GRAPH]
    if len(graphs) != 1:
        raise ValueError(f"there are {len(graphs)} graphs in it")
    nodes = 0
    for number, value in _known_fields(_message(graphs[0]), _OF_GRAPH, "graph"):
        if number == _NODE:
            nodes += 1
            if nodes > MAX_NODES:
                raise ValueError(f"its graph has more than {MAX_NODES:,} nodes")
            _check_node(_message(value))
        elif number == _INITIALIZER:
            _check_tensor(_message(value))


def _check_node(node: memoryview) -> None:
    fields = list(_known_fields(node, _OF_NODE, "node"))
    names = {number: _text(value) for number, value in fields if number in (_OPERATOR, _DOMAIN)}
    operator, domain = names.get(_OPERATOR, ""), names.get(_DOMAIN, "")
    if operator not in OPERATORS.get(domain, ()):
        raise ValueError(f"its graph has the operator {operator[:40]!r}, which is not allowed")
    for attribute in (_message(value) for number, value in fields if number == _ATTRIBUTE):
        for number, value in _known_fields(attribute, _OF_ATTRIBUTE, "attribute"):
            if number in _TENSORS:
                _check_tensor(_message(value))


def _check_tensor(tensor: memoryview) -> None:
    """See that a tensor is not larger than what is there of it."""
    sizes: list[int] = []
    for number, value in _known_fields(tensor, _OF_TENSOR, "tensor"):
        if number == _DIMENSIONS:
            sizes += [value] if isinstance(value, int) else _numbers(value)
    if len(sizes) > MAX_DIMENSIONS or prod(sizes) > len(tensor):
        raise ValueError(
            f"a tensor of {len(tensor):,} bytes claims to have the shape {sizes[:MAX_DIMENSIONS]}"
        )


def _known_fields(message: memoryview, known: set[int], kind: str) -> Iterator[Field]:
    for number, value in _fields(message):
        if number not in known:
            raise ValueError(f"field {number} of a {kind} in it is not allowed")
        yield number, value


def _fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a message; see https://protobuf.dev/programming-guides/encoding."""
    place = 0
    while place < len(message):
        tag, place = _number(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, place = _number(message, place)
            yield number, value
            continue
        if kind == 2:
            size, place = _number(message, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("it is no protocol buffer")
        if size > len(message) - place:
            raise ValueError("it is no protocol buffer, or its end is missing")
        yield number, message[place : place + size]
        place += size


def _number(message: memoryview, place: int) -> tuple[int, int]:
    """Return the number of variable length at a place, and the place behind it."""
    number = 0
    for shift in range(0, 64, 7):
        if place == len(message):
            raise ValueError("it is no protocol buffer, or its end is missing")
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ValueError("it is no protocol buffer")


def _numbers(packed: memoryview) -> list[int]:
    found, place = [], 0
    while place < len(packed):
        number, place = _number(packed, place)
        found.append(number)
    return found


def _message(value: int | memoryview | None) -> memoryview:
    if not isinstance(value, memoryview):
        raise ValueError("it is no ONNX model: a number stands where a message should")
    return value


def _text(value: int | memoryview | None) -> str:
    return str(_message(value), "utf-8")
