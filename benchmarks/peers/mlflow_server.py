# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "mlflow==3.17.2",
#     "joblib==1.6.0",
#     "numpy==2.4.6",
#     "scikit-learn==1.9.1",
#     "httptools==0.9.0",  # uvicorn finds this and the next
#     "uvloop==0.23.0",
# ]
# ///
"""The tree behind MLflow's own scoring server, with one worker.

`MODEL_FILE` is that of the plain handler; `PORT` is where it listens. The tree as MLflow wants it
is written to the working folder.
"""

import os
import sys
from pathlib import Path

VARIABLES = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
os.environ.update(VARIABLES)  # before the import of MLflow, which reads them

import joblib  # noqa: E402
import mlflow.sklearn  # noqa: E402

TREE_NODES = "sklearn.tree._tree.Tree"
"""A type that MLflow must be told to trust."""

if __name__ == "__main__":
    model = Path("mlflow_model").resolve()
    tree = joblib.load(os.environ["MODEL_FILE"])
    # Without the list, another process finds out what the tree needs; nobody installs that.
    mlflow.sklearn.save_model(tree, model, pip_requirements=[], skops_trusted_types=[TREE_NODES])
    environment = Path(sys.executable).parent
    program = str(environment / "mlflow")
    serve = [program, "models", "serve", "--model-uri", str(model), "--env-manager", "local"]
    serve += ["--workers", "1", "--host", "127.0.0.1", "--port", os.environ["PORT"]]
    variables = {
        "PATH": f"{environment}:{os.environ['PATH']}",  # it starts uvicorn by name
        "UVICORN_LOG_LEVEL": "error",
        "UVICORN_ACCESS_LOG": "false",
    }
    os.execve(program, serve, {**os.environ, **variables})
