"""An ONNX session as all that ask one open it; importing it takes 28 MiB, so few do at the top."""

import onnxruntime


def open_session(graph: bytes) -> onnxruntime.InferenceSession:
    """Return a session of an ONNX file, which works in one thread and logs nothing.

    Raises:
        Exception: it is none; onnxruntime's exceptions have no class of their own in common.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def reason(error: Exception) -> str:
    """Return the first line of an error's message, or what it is if it has none."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
