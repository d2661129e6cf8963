"""A process of its own with limits, which asks the graph of an artifact for estimates.

It is started by `graph_trial`, and imports as little as it can, so that it is there in a tenth of a
second. It takes an ONNX file and arrays on standard input, and gives the estimates on standard
output, or, with exit code EX_DATAERR, the reason why the graph gives none.
"""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from itertools import pairwise
from typing import BinaryIO

import numpy as np
import onnxruntime

from pipeline.model.arrays import Floats
from pipeline.model.onnx_file import check_graph
from pipeline.model.onnx_session import open_session, reason


class Refused(Exception):
    """The graph is to blame."""


def main(
    answers: BinaryIO, graph_bytes: int, product: str, orders: str, output: str, *optional: str
) -> None:
    """Ask for the estimates of all orders; end with an exit code if there are none.

    Args:
        answers: where to write them, or the reason.
        graph_bytes: size of the ONNX file, with which standard input begins.
        product: name of the input that takes the product codes, as text.
        orders: name of the input that takes the orders placed.
        output: name of the output.
        optional: names of inputs that may be there, and get NaN.
    """
    graph = sys.stdin.buffer.read(graph_bytes)
    try:
        session = _open(graph, {product, orders, output}, {*optional})
        hours = [*_hours(session, product, orders, output)]
    except Refused as refused:
        answers.write(str(refused).encode(errors="replace"))
        sys.exit(os.EX_DATAERR)
    answers.write(np.concatenate(hours).tobytes())


def _hours(
    session: onnxruntime.InferenceSession, product: str, orders: str, output: str
) -> Iterator[Floats]:
    """Yield the estimates for the orders on standard input, slice by slice."""
    asked = BytesIO(sys.stdin.buffer.read())
    text, ends_of_codes, positions, placed, ends_of_slices = (
        np.lib.format.read_array(asked, allow_pickle=False) for _ in range(5)
    )
    codes = np.array([*_texts(text.tobytes(), ends_of_codes.tolist())], dtype=object)
    names = [each.name for each in session.get_inputs()]
    for rows in (slice(*pair) for pair in pairwise([0, *ends_of_slices.tolist()])):
        columns = {product: codes[positions[rows]], orders: placed[rows]}
        unknown = np.full(len(placed[rows]), np.nan)
        try:
            inputs = {name: columns.get(name, unknown).reshape(-1, 1) for name in names}
            (hours,) = session.run([output], inputs)
            yield np.asarray(hours, dtype=np.float64).reshape(len(unknown))
        except Exception as error:  # see open_session
            raise Refused(f"does not work: {reason(error)}") from error


def _open(graph: bytes, required: set[str], optional: set[str]) -> onnxruntime.InferenceSession:
    try:
        check_graph(graph)
        session = open_session(graph)
    except Exception as error:  # see open_session
        raise Refused(f"is not an ONNX model: {reason(error)}") from error
    names = {each.name for each in (*session.get_inputs(), *session.get_outputs())}
    if names - optional != required:
        raise Refused(f"is of another kind: its inputs and outputs are {', '.join(sorted(names))}")
    return session


def _texts(text: bytes, ends: list[int]) -> Iterator[str]:
    return (text[start:end].decode() for start, end in pairwise([0, *ends]))


def _limit(kind: int, most: int) -> None:
    """Take no more of something than so much, or than the system allows."""
    _, hard = resource.getrlimit(kind)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with suppress(ValueError, OSError):  # macOS does not limit address space
        resource.setrlimit(kind, (least, hard))


if __name__ == "__main__":
    _limit(resource.RLIMIT_CPU, int(sys.argv[1]))
    _limit(resource.RLIMIT_AS, int(sys.argv[2]))
    _limit(resource.RLIMIT_CORE, 0)
    with os.fdopen(os.dup(1), "wb") as own_output:
        os.dup2(2, 1)  # onnxruntime prints there when it cannot open a graph
        main(own_output, int(sys.argv[3]), *sys.argv[4:])
