# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "mlserver==1.7.1",
#     "mlserver-sklearn==1.7.1",
#     "joblib==1.6.0",
#     "numpy==2.4.6",
#     "scikit-learn==1.9.1",
#     "httptools==0.9.0",  # uvicorn finds this and the next
#     "uvloop==0.21.0",    # the workers of MLServer 1.7.1 do not start with a newer one
# ]
# ///
"""The tree behind MLServer, with its own runtime for scikit-learn and its default of one worker.

`MODEL_FILE` is that of the plain handler; `PORT` is where it listens. The model's settings are
written to the working folder.
"""

import json
import os
import socket
import sys
from pathlib import Path

HOST = "127.0.0.1"
SETTINGS = {
    "name": "tree",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": os.environ["MODEL_FILE"]},
}


def free_port() -> str:
    """Return a port for what nobody asks: gRPC and metrics."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return str(listener.getsockname()[1])


if __name__ == "__main__":
    Path("model-settings.json").write_text(json.dumps(SETTINGS))
    program = str(Path(sys.executable).with_name("mlserver"))
    variables = {
        "MLSERVER_HOST": HOST,
        "MLSERVER_HTTP_PORT": os.environ["PORT"],
        "MLSERVER_GRPC_PORT": free_port(),
        "MLSERVER_METRICS_PORT": free_port(),
        "MLSERVER_PARALLEL_WORKERS": "1",
        "MLSERVER_DEBUG": "false",
    }
    os.execve(program, [program, "start", "."], {**os.environ, **variables})
