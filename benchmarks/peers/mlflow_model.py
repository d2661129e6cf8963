"""The tree as MLflow wants it: `python mlflow_model.py TREE_FILE NEW_FOLDER`."""

import sys

import joblib
import mlflow.sklearn

NODES = "sklearn.tree._tree.Tree"
"""A type that MLflow must be told to trust."""

if __name__ == "__main__":
    tree = joblib.load(sys.argv[1])
    mlflow.sklearn.save_model(tree, sys.argv[2], skops_trusted_types=[NODES])
