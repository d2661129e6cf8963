"""What both stages agree on: the order, the metadata of a model, its artifact and its reader."""

import os

# Or onnxruntime would tell Microsoft of its use, and keep what it tells in the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
